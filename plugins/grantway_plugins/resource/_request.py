"""The properties of a request with which a protected resource verifies its caller."""

from __future__ import annotations

from typing import Protocol


class ResourceRequest(Protocol):
    """A request to a protected resource."""

    @property
    def method(self) -> str:
        """The HTTP method."""
        ...

    @property
    def raw(self) -> str:
        """The path as received, percent-encoded and without the query."""
        ...

    @property
    def peer(self) -> str:
        """The address that sent the request; empty if unknown."""
        ...

    def header(self, name: str, /) -> str:
        """Return the value of a header that must not be repeated; empty if it is missing.

        Args:
            name: Lower-case name of the header.

        Raises:
            GrantwayError: The header is repeated.
        """
        ...
