"""Translate the error messages of a grant's schema into the terms of a profile."""

from grantway._types.fields import UNKNOWN_PARAMETER

_UNKNOWN = "is not a parameter of this grant; provider-specific ones go into the table extra"


def parameter_rule(rule: str) -> str:
    """Return the message for an invalid parameter, in terms of the file's keys."""
    return _UNKNOWN if rule == UNKNOWN_PARAMETER else rule
