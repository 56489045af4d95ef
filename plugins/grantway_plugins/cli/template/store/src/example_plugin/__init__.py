"""A token store for grantway."""

from .store import TokenStore

__all__ = ["TokenStore"]
