"""The issuer's endpoints, one module each."""
