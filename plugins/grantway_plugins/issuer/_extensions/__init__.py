"""Endpoints, pages and client authentication methods that plugins add to the issuer."""
