"""A grant for grantway that exchanges ``example_parameter`` for a token."""

from .grant import GRANT, GRANT_TYPE

__all__ = ["GRANT", "GRANT_TYPE"]
