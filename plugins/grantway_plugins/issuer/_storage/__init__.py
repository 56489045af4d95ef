"""The issuer's database."""
