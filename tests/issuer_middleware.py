"""ASGI middleware in front of an issuer, which sees and changes all requests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from grantway_plugins.issuer import IssuerServer
from grantway_plugins.server._listening.direct import DirectRequest, Respond


class _NoDirect:
    """Sends all requests through ASGI."""

    direct_targets = ()

    def answer(self, request: DirectRequest, respond: Respond) -> None:
        """See ``DirectApp``."""
        raise AssertionError("not called without targets")


def add_middleware(server: IssuerServer, middleware: Callable[[Any], Any]) -> None:
    """Wrap the application of an issuer that has not been started."""
    listener = server._server
    listener.config.app = middleware(listener.config.app)
    listener._http.direct = _NoDirect()
