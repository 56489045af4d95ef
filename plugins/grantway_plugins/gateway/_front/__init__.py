"""Configurations of proxies in front, which get their tokens from ``[authorize]``."""
