"""The error for invalid arguments of plugins."""

from __future__ import annotations


class InvalidArgumentError(ValueError):
    """An argument that a plugin passed is invalid.

    The message contains no value of a request, so it may be logged.
    """
