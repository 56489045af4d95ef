"""Errors of signing keys."""

from __future__ import annotations

from grantway._exceptions import ConfigurationError


class SigningKeyError(ConfigurationError):
    """Raised if signing keys cannot be used. The message says which ones, why, and how to fix it.

    The issuer raises it when it starts, and for a request if a key was damaged later.
    """
