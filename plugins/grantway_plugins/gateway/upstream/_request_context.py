"""The properties of a request that select its route, tenant and token."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from grantway._processes.copies import OneProcess
from grantway_plugins.resource import VerifiedToken
from grantway_plugins.resource._errors import InvalidRequestError
from grantway_plugins.resource._request import single_value

from ._paths import has_one_reading, normal_path
from ._rejection import RequestRejectedError

_HOST = re.compile(
    r"(?P<host>[a-z0-9](?:[a-z0-9._-]{0,252}[a-z0-9])?|\[[0-9a-f:.]{2,45}\])(?::[0-9]{1,5})?"
)

#: Returns all values of a header by its lower-case name; empty or None if it is missing.
Values = Callable[[str], Sequence[str] | None]


class RequestContext(OneProcess):
    """The properties of a request that select its route, tenant and token.

    Args:
        host: The host of its ``Host`` header, without the port; empty if there is none.
        path: The path of the request, percent-encoded and without the query.
        values: Returns all values of a header by its lower-case name.
        context: The ASGI scope, the WSGI environ, or an object that the caller passed.
        method: The HTTP method; needed only to recognise CORS preflights.

    Raises:
        RequestRejectedError: The host is invalid.

    Attributes:
        host: The host in lower case, without a port.
        path: The path in its normal form; unchanged if it is ambiguous.
        raw: The path as it was received.
        ambiguity: The error that describes why the path is ambiguous, or None. Only a route with
            ``encoded_paths="forward"`` accepts such a request.
        has_one_reading: Whether all servers read ``path`` alike.
        context: The argument ``context``.
        caller: The verified caller, or None.
    """

    stays = "it belongs to one request"

    __slots__ = (
        "_values",
        "ambiguity",
        "caller",
        "context",
        "has_one_reading",
        "host",
        "method",
        "path",
        "raw",
    )

    def __init__(
        self, host: str, path: str, values: Values, context: Any = None, *, method: str = ""
    ) -> None:
        self.host = normal_host(host) if host else ""
        self.path = self.raw = path
        self.ambiguity: RequestRejectedError | None = None
        try:
            self.path = normal_path(path)
        except RequestRejectedError as error:
            self.ambiguity = error
        self.has_one_reading = has_one_reading(self.path)
        self._values = values
        self.context = context
        self.method = method
        self.caller: VerifiedToken | None = None

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
        """Return the context of a request from its parts, with headers as (name, value) pairs."""
        pairs = [(name.lower(), value) for name, value in headers]

        def values(name: str) -> list[str]:
            return [each for key, each in pairs if key == name]

        return cls(host, path, values, context, method=method)

    @property
    def peer(self) -> str:
        """The address that sent an ASGI or WSGI request; empty if unknown."""
        if not isinstance(self.context, Mapping):
            return ""
        client = self.context.get("client")
        return str(client[0] if client else self.context.get("REMOTE_ADDR", ""))

    @property
    def is_preflight(self) -> bool:
        """Whether the request is a CORS preflight (Fetch standard)."""
        return (
            self.method == "OPTIONS"
            and bool(self.header("origin"))
            and bool(self.header("access-control-request-method"))
        )

    def header(self, name: str) -> str:
        """Return the value of a header that must not be repeated; empty if it is missing.

        Args:
            name: Lower-case name of the header.

        Raises:
            RequestRejectedError: The header is repeated or contains control characters.
        """
        try:
            return single_value(name, self._values(name) or ())
        except InvalidRequestError as error:
            problem = str(error)
        raise RequestRejectedError(problem)

    def check_forwarding(self, token_header: str) -> None:
        """Check that a token can be added to the request safely.

        Args:
            token_header: Name of the header that carries the token.

        Raises:
            RequestRejectedError: The method is TRACE, whose response would show the token to the
                sender (RFC 9110 section 9.3.8), or the ``Connection`` header lists the token's
                header, so that the next proxy would remove it (section 7.6.1).
        """
        if self.method.upper() == "TRACE":
            raise RequestRejectedError("TRACE is not forwarded", status=501)
        if any(
            token_header.lower() == each.strip(" \t").lower()
            for value in self._values("connection") or ()
            for each in value.split(",")
        ):
            raise RequestRejectedError(
                f"The Connection header must not name {token_header}, which the gateway sets"
            )


@lru_cache(1024)
def normal_host(host: str) -> str:
    """Return a host in lower case, without its port.

    Raises:
        RequestRejectedError: It is not a valid host.
    """
    found = _HOST.fullmatch(host.lower()) if host.isascii() else None
    if found is None or ".." in host:
        raise RequestRejectedError("The Host header is not a valid host")
    return found["host"]
