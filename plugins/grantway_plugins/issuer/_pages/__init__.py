"""The HTML pages for users: start, approval of a client, and approval of a device."""

from .site import PATHS, STATIC_PATHS, Pages

__all__ = ["PATHS", "STATIC_PATHS", "Pages"]
