"""What a grant's schema says of a parameter, in the words of a file."""

from grantway._types.grant import UNKNOWN_PARAMETER

_UNKNOWN = "is not a parameter of this grant; provider-specific ones go into the table extra"


def parameter_rule(rule: str) -> str:
    """Return the rule that a parameter broke, with keys of the file instead of Python."""
    return _UNKNOWN if rule == UNKNOWN_PARAMETER else rule
