"""What the rules may know of a request, whatever brought it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any

from grantway._processes.copies import OneProcess
from grantway_plugins.server._http.repeated_headers import joins_credentials

from ._paths import normal_path
from ._refusal import RequestRefusedError

_HOST = re.compile(
    r"(?P<host>[a-z0-9](?:[a-z0-9._-]{0,252}[a-z0-9])?|\[[0-9a-f:.]{2,45}\])(?::[0-9]{1,5})?"
)
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")

Values = Callable[[str], Sequence[str]]


class RequestContext(OneProcess):
    """The properties of a request that rules use.

    Args:
        host: The host of its ``Host`` header, without the port; empty if there is none.
        path: The path of the request, percent-encoded and without the query.
        values: Returns all values of a header by its lower-case name.
        context: The ASGI scope, the WSGI environ, or an object that the caller passed.
        method: The HTTP method; needed only to recognise CORS preflights.

    Raises:
        RequestRefusedError: the host can be read in two ways.

    Attributes:
        host: In lower case, without a port.
        path: In its normal form; as it came if it can be read in two ways.
        raw: The path as it came.
        ambiguity: Why the path can be read in two ways, or None. Only a route with
            ``encoded_paths="forward"`` takes such a request.
        context: As above.
    """

    stays = "it belongs to one request"

    __slots__ = ("_values", "ambiguity", "context", "host", "method", "path", "raw")

    def __init__(
        self, host: str, path: str, values: Values, context: Any = None, *, method: str = ""
    ) -> None:
        self.host = normal_host(host) if host else ""
        self.path = self.raw = path
        self.ambiguity: RequestRefusedError | None = None
        try:
            self.path = normal_path(path)
        except RequestRefusedError as error:
            self.ambiguity = error
        self._values = values
        self.context = context
        self.method = method

    @classmethod
    def of(
        cls,
        host: str,
        path: str,
        headers: Iterable[tuple[str, str]] = (),
        context: Any = None,
        *,
        method: str = "",
    ) -> RequestContext:
        """A request from its parts, with headers as pairs of name and value."""
        pairs = [(name.lower(), value) for name, value in headers]

        def values(name: str) -> list[str]:
            return [each for key, each in pairs if key == name]

        return cls(host, path, values, context, method=method)

    @property
    def is_preflight(self) -> bool:
        """Whether a browser asks if a page may send a request (CORS, Fetch standard)."""
        return (
            self.method == "OPTIONS"
            and bool(self.header("origin"))
            and bool(self.header("access-control-request-method"))
        )

    def header(self, name: str) -> str:
        """Return the value of a header that must not be repeated; empty if it is missing.

        Args:
            name: In lower case.

        Raises:
            RequestRefusedError: The header is repeated or contains control characters.
        """
        found = self._values(name)
        if not found:
            return ""
        value = found[0]
        if len(found) > 1 or (name == "authorization" and joins_credentials(value)):
            raise RequestRefusedError(f"The {name} header is repeated; send it once")
        if not value.isprintable() and _CONTROL.search(value):
            raise RequestRefusedError(f"The {name} header has characters that are not allowed")
        return value.strip(" \t")

    def ends_here(self, name: str) -> bool:
        """Whether ``Connection`` says that a header goes no further (RFC 9110 section 7.6.1).

        Args:
            name: In lower case.
        """
        return any(
            name == each.strip(" \t").lower()
            for value in self._values("connection")
            for each in value.split(",")
        )


@lru_cache(1024)
def normal_host(host: str) -> str:
    """A host in lower case and without its port.

    Raises:
        RequestRefusedError: it is none.
    """
    found = _HOST.fullmatch(host.lower()) if host.isascii() else None
    if found is None or ".." in host:
        raise RequestRefusedError("The Host header is not a valid host")
    return found["host"]
