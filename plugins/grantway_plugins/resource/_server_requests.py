"""Requests of ASGI and WSGI servers, which read only what the verification needs."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from grantway._processes.copies import OneProcess
from grantway_plugins.server._http.raw_path import asgi_raw_path, encoded, wsgi_raw_path

from ._request import single_value


class AsgiRequest(OneProcess):
    """An HTTP request or WebSocket handshake of an ASGI server.

    Args:
        scope: The ASGI scope.
    """

    stays = "it belongs to one request"

    __slots__ = ("context",)

    def __init__(self, scope: MutableMapping[str, Any]) -> None:
        self.context = scope

    @property
    def method(self) -> str:
        """The HTTP method; that of a handshake is GET."""
        return str(self.context.get("method", "GET"))

    @property
    def raw(self) -> str:
        """The path as received, with the root path if a proxy removed it."""
        path, root = asgi_raw_path(self.context), encoded(self.context.get("root_path", ""))
        return path if below(self.context["path"], root) else f"{root}{path}"

    @property
    def peer(self) -> str:
        """The address that sent the request; empty if unknown."""
        client = self.context.get("client")
        return str(client[0]) if client else ""

    def header(self, name: str) -> str:
        """Return the value of a header; see ``ResourceRequest``."""
        found = self._values(name.encode("latin-1"))
        return single_value(name, [each.decode("latin-1") for each in found])

    @property
    def credentials(self) -> object:
        """See ``ServerRequest``."""
        return self._values(b"authorization")

    def _values(self, wanted: bytes) -> list[bytes]:
        return [value for key, value in self.context["headers"] if key == wanted]


class WsgiRequest(OneProcess):
    """A request of a WSGI server.

    Args:
        environ: The WSGI environ (PEP 3333).
    """

    stays = "it belongs to one request"

    __slots__ = ("context",)

    def __init__(self, environ: MutableMapping[str, Any]) -> None:
        self.context = environ

    @property
    def method(self) -> str:
        """The HTTP method."""
        return str(self.context["REQUEST_METHOD"])

    @property
    def raw(self) -> str:
        """The path as received."""
        return wsgi_raw_path(self.context)

    @property
    def peer(self) -> str:
        """The address that sent the request; empty if unknown."""
        return str(self.context.get("REMOTE_ADDR", ""))

    def header(self, name: str) -> str:
        """Return the value of a header; see ``ResourceRequest``."""
        value = self.context.get(f"HTTP_{name.upper().replace('-', '_')}")
        return "" if value is None else single_value(name, (value,))

    @property
    def credentials(self) -> object:
        """See ``ServerRequest``."""
        return self.context.get("HTTP_AUTHORIZATION")


def below(path: str, root: str) -> bool:
    """Return whether a path is below a root path or equal to it."""
    root = root.rstrip("/")
    return path == root or path.startswith(f"{root}/")
