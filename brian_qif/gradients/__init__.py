"""Losses, exact gradients, and their check; units go back on here."""
