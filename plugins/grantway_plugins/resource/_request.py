"""The properties of a request with which a protected resource verifies its caller."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Protocol

from grantway._processes.copies import OneProcess
from grantway_plugins.server._http.repeated_headers import joins_credentials

from ._errors import InvalidRequestError

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


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


class ReceivedRequest(OneProcess):
    """A request to a protected resource, for servers and frameworks without an adapter.

    Args:
        method: The HTTP method.
        path: The path as received, percent-encoded and without the query.
        headers: Pairs of name and value.
        peer: The address that sent the request; empty if unknown. It is needed only for client
            certificates.
    """

    stays = "it belongs to one request"

    __slots__ = ("_headers", "method", "peer", "raw")

    def __init__(
        self, method: str, path: str, headers: Iterable[tuple[str, str]], *, peer: str = ""
    ) -> None:
        self.method, self.raw, self.peer = method, path, peer
        self._headers = [(name.lower(), value) for name, value in headers]

    def header(self, name: str) -> str:
        """Return the value of a header; see ``ResourceRequest``."""
        return single_value(name, [value for key, value in self._headers if key == name])


def single_value(name: str, values: Sequence[str]) -> str:
    """Return the value of a header that must not be repeated; empty if there is none.

    Args:
        name: Lower-case name of the header.
        values: All its values. WSGI servers join them by a comma; a second ``Authorization`` is
            detected by its scheme after the comma.

    Raises:
        InvalidRequestError: The header is repeated or contains control characters.
    """
    if not values:
        return ""
    value = values[0]
    if len(values) > 1 or (name == "authorization" and joins_credentials(value)):
        raise InvalidRequestError(f"The {name} header is repeated; send it once")
    if not value.isprintable() and _CONTROL.search(value):
        raise InvalidRequestError(f"The {name} header has characters that are not allowed")
    return value.strip(" \t")
