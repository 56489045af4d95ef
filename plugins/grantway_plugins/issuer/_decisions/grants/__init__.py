"""The issuer's decision for each grant, one module per grant."""
