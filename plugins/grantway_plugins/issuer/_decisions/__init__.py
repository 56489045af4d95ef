"""The issuer's rules: which client, which grant, which tokens."""
