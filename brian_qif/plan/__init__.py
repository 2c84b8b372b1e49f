"""A Brian2 network as plain SI arrays; units come off here, and unsupported objects are refused here."""
