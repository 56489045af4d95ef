"""A client authentication method for grantway."""

from .client_auth import HeaderSecret, header_secret

__all__ = ["HeaderSecret", "header_secret"]
