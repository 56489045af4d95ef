"""Middleware and an observer for grantway."""

from .middleware import audit
from .observer import Calls

__all__ = ["Calls", "audit"]
