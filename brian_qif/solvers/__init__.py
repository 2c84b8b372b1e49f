"""How time passes, forwards and backwards."""
