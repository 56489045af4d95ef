"""A coupon grant for grantway's client and embedded issuer."""
