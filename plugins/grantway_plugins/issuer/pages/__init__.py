"""The pages that people see: a start page, approving a client, and entering a device's code."""

from .site import PATHS, Pages

__all__ = ["PATHS", "Pages"]
