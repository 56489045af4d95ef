"""Credentials: keep a token fresh across threads, processes and machines."""
