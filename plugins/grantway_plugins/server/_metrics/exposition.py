"""Render metrics for a scraper, and serve them on a separate listener."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector

from grantway_plugins.server._http.asgi import Receive, Scope, Send, send_response
from grantway_plugins.server._http.own_name import is_own_name
from grantway_plugins.server._http.wire import WireResponse

#: Variable with the folder through which processes share metrics; read by ``prometheus_client``.
_SHARED = "PROMETHEUS_MULTIPROC_DIR"
_NO_STORE = (b"cache-control", b"no-store")
_TEXT = (b"content-type", b"text/plain")


def render(registry: CollectorRegistry, accept: str) -> tuple[bytes, str]:
    """Return the metrics of a registry and their content type.

    If processes share a folder, the metrics of all processes are included.

    Args:
        registry: The metrics of this process.
        accept: The scraper's ``Accept`` header.
    """
    source = registry
    if os.environ.get(_SHARED):
        source = CollectorRegistry()
        MultiProcessCollector(source)  # type: ignore[no-untyped-call]
    encode, content_type = choose_encoder(accept)
    return encode(source), content_type


def metrics_response(registry: CollectorRegistry, scope: Scope) -> WireResponse:
    """Return the response to a request for metrics.

    Args:
        registry: The metrics of this process.
        scope: The ASGI scope of the request.
    """
    accept = dict(scope["headers"]).get(b"accept", b"").decode("latin-1")
    body, kind = render(registry, accept)
    return WireResponse(200, ((b"content-type", kind.encode()), _NO_STORE), body)


class MetricsApp:
    """The ASGI application of a listener for metrics and health. Web pages cannot read it.

    Args:
        registry: The metrics of this process.
        ready: Returns the response of ``/readyz``.
    """

    def __init__(
        self, registry: CollectorRegistry, ready: Callable[[], Awaitable[WireResponse]]
    ) -> None:
        self._registry, self._ready = registry, ready

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Respond to one request."""
        if scope["type"] != "http":
            return
        if not is_own_name(scope):
            message = b"use this machine's IP address or localhost as the host name\n"
            response = WireResponse(403, (_TEXT,), message)
        elif scope["path"] not in {"/metrics", "/readyz"}:
            response = WireResponse(404, (_TEXT,), b"the paths are /metrics and /readyz\n")
        elif scope["method"] not in {"GET", "HEAD"}:
            response = WireResponse(405, (_TEXT, (b"allow", b"GET, HEAD")), b"use GET\n")
        elif scope["path"] == "/readyz":
            response = await self._ready()
        else:
            response = metrics_response(self._registry, scope)
        await send_response(send, response)
