"""The issuer's HTTP application and its endpoints."""
