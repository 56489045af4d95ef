"""The issuer's rules for clients, grants and tokens."""
