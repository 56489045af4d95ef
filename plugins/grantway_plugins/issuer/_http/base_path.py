"""The path of the issuer's URL, which prefixes every endpoint."""

from __future__ import annotations

from urllib.parse import urlsplit

from grantway_plugins.server._http.denial import Denial
from grantway_plugins.server._http.wire import WireFormat, denial_response

_WELL_KNOWN = ("/.well-known/oauth-authorization-server", "/.well-known/openid-configuration")


class BasePath:
    """Finds the endpoint that a request means.

    Args:
        issuer: The issuer's URL.
    """

    def __init__(self, issuer: str) -> None:
        self._base = urlsplit(issuer).path
        #: The answer to a path that is not below it.
        self.not_below = denial_response(
            Denial(
                "not_found",
                f"This issuer's endpoints are below {self._base}; a proxy in front must forward "
                "the path unchanged",
            ),
            WireFormat.RFC,
            status=404,
        )
        # What is not below the path: RFC 8414 section 3.1 puts the well-known part before it, and
        # a probe of the process knows no path.
        self._elsewhere = {f"{each}{self._base}": each for each in _WELL_KNOWN}
        self._elsewhere |= {self._base: "/", "/health": "/health"}

    def endpoint(self, path: str) -> str | None:
        """Return a request's path without the issuer's, or None if it is not below it.

        A path that a proxy has shortened is not accepted: ``/auth/auth/device`` would then mean
        what ``/auth/device`` does, and pass a rule that the proxy has for the latter.
        """
        if not self._base:
            return path
        if path.startswith(f"{self._base}/"):
            return path.removeprefix(self._base)
        return self._elsewhere.get(path)
