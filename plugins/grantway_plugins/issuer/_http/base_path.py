"""The path of the issuer's URL, which is a prefix of every endpoint's path."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from grantway_plugins.server._http.denial import Denial
from grantway_plugins.server._http.wire import WireFormat, denial_response

WELL_KNOWN = "/.well-known/"


class BasePath:
    """Removes the issuer's path from request paths.

    Args:
        issuer: The issuer's URL.
        paths: The paths of the endpoints.
    """

    def __init__(self, issuer: str, paths: Iterable[str]) -> None:
        self._base = urlsplit(issuer).path
        #: Response to a request outside the path.
        self.not_below = denial_response(
            Denial(
                "not_found",
                f"This issuer's endpoints are below {self._base}; a proxy in front must forward "
                "the path unchanged",
            ),
            WireFormat.RFC,
            status=404,
        )
        # Exceptions: RFC 8414 section 3.1 puts the well-known part in front of the path, and health
        # probes do not know the path.
        self._elsewhere = {
            f"{each}{self._base}": each for each in paths if each.startswith(WELL_KNOWN)
        }
        self._elsewhere |= {self._base: "/", "/health": "/health", "/readyz": "/readyz"}

    def endpoint(self, path: str) -> str | None:
        """Return a request's path without the issuer's path, or None if it is outside.

        Paths that a proxy has already shortened are rejected. Otherwise ``/auth/auth/device`` would
        be equivalent to ``/auth/device`` and bypass the proxy's rules for it.
        """
        if not self._base:
            return path
        if path.startswith(f"{self._base}/"):
            return path.removeprefix(self._base)
        return self._elsewhere.get(path)

    def target(self, path: str) -> bytes:
        """Return the request target of an endpoint without a query."""
        return f"{self._base}{path}".encode()
