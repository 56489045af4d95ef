"""The HTML pages for users: start, approval of a client, and approval of a device."""

from .site import LOGIN_PATHS, PATHS, STATIC_PATHS, Pages

__all__ = ["LOGIN_PATHS", "PATHS", "STATIC_PATHS", "Pages"]
