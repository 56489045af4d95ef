"""A grant for grantway: a token for a voucher."""

from .grant import GRANT_TYPE, VOUCHER

__all__ = ["GRANT_TYPE", "VOUCHER"]
