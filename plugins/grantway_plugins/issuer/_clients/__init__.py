"""Clients that the issuer knows from other sources than registration."""
