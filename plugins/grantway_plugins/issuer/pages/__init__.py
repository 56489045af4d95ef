"""The pages a person sees: approving a client, and entering a device's code."""

from .site import Pages

__all__ = ["Pages"]
