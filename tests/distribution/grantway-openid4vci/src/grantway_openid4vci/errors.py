"""Errors of credential offers."""

from grantway import GrantwayError


class OfferInvalidError(GrantwayError):
    """A credential offer cannot be used. The message contains no code."""
