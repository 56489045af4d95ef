"""Tokens for coupons, for those who ask and for the embedded issuer."""
