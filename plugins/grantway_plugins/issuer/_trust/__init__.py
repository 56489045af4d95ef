"""Tokens of other issuers: which are trusted, for whom, and with which keys."""
