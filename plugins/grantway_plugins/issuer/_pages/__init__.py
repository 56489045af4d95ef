"""The pages that people see: a start page, approving a client, and entering a device's code."""

from .site import PATHS, STATIC_PATHS, Pages

__all__ = ["PATHS", "STATIC_PATHS", "Pages"]
