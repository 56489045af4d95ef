"""Health endpoints of the gateway: process, providers, metrics."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from grantway._transport.http import is_loopback
from grantway_plugins.server._http.asgi import Receive, Scope, Send, send_response
from grantway_plugins.server._http.wire import WireResponse

from .gateway_provider import GatewayProvider
from .own_name import is_own_name
from .runtime import Runtime

if TYPE_CHECKING:
    from grantway_plugins.gateway._metrics import GatewayMetrics

_NO_STORE = (b"cache-control", b"no-store")


class Health:
    """An ASGI application for the admin listener. Holds no secret, and needs none.

    Args:
        current: Gives what answers requests at the moment.
        stopping: Whether the gateway is ending.
        reload: Reads the file again; gives what is wrong with it, or None.
        metrics: What ``/metrics`` shows.
    """

    def __init__(
        self,
        current: Callable[[], Runtime],
        stopping: Callable[[], bool],
        reload: Callable[[], Any],
        metrics: GatewayMetrics,
    ) -> None:
        self._current, self._stopping = current, stopping
        self._reload, self._metrics = reload, metrics
        self._began = time.time()

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Answer one request."""
        method, path = scope["method"], scope["path"]
        peer = scope["client"][0] if scope.get("client") else ""
        if not is_own_name(scope):
            answer = _json(
                403, {"error": "use this machine's IP address or localhost as the host name"}
            )
        elif path == "/reload" and method == "POST" and not is_loopback(peer):
            answer = _json(403, {"error": "only this machine may reload"})
        elif path == "/reload" and method == "POST" and _is_of_a_page(scope):
            answer = _json(403, {"error": "no page in a browser may reload"})
        elif path == "/reload" and method == "POST":
            problem = await self._reload()
            answer = _json(200 if problem is None else 400, {"error": problem} if problem else {})
        elif method not in {"GET", "HEAD"}:
            answer = _json(405, {"error": "only GET is answered here, and POST /reload"})
        elif path == "/healthz":
            answer = _json(200, {"status": "ok", "up_seconds": round(time.time() - self._began, 1)})
        elif path == "/readyz":
            answer = await self.ready()
        elif path == "/metrics":
            accept = dict(scope["headers"]).get(b"accept", b"").decode("latin-1")
            body, kind = self._metrics.render(accept)
            answer = WireResponse(200, ((b"content-type", kind.encode()), _NO_STORE), body)
        else:
            answer = _json(404, {"error": "there are /healthz, /readyz, /metrics and /reload"})
        await send_response(send, answer)

    async def ready(self) -> WireResponse:
        """Whether it is to be sent requests, and how each provider and the store do."""
        assembly = self._current()
        store = await _store_of(assembly)
        told = {name: _told(each) for name, each in assembly.providers.items()}
        bad = [name for name, each in told.items() if each["status"] == "failing"]
        enough = not bad or (
            assembly.config.gateway["ready"] == "any" and len(bad) < len(assembly.providers)
        )
        if store["status"] == "failing" or (
            store["status"] == "degraded" and assembly.config.gateway["ready"] == "all"
        ):
            enough = False
        degraded = bad or store["status"] != "ok"
        status = "stopping" if self._stopping() else "degraded" if degraded else "ok"
        ready = enough and not self._stopping()
        members = {"ready": ready, "status": status, "providers": told, "store": store}
        return _json(200 if ready else 503, members)


def _is_of_a_page(scope: Scope) -> bool:
    """Return whether a web page sent the request; browsers then send ``Origin``."""
    return any(name == b"origin" for name, _ in scope["headers"])


async def _store_of(assembly: Runtime) -> dict[str, Any]:
    """How the store does; ``degraded`` if it fails and tokens in memory still work."""
    watch = assembly.store_watch
    standing = None if watch is None else await watch.standing()
    if standing is None or not standing.error:
        return {"status": "ok"}
    served = await asyncio.to_thread(assembly.serves_from_memory)
    return {
        "status": "degraded" if served else "failing",
        "error": standing.error,
        "error_description": standing.message,
        "since": math.floor(standing.since),
    }


def _told(provider: GatewayProvider) -> dict[str, Any]:
    """Return the health of a provider, without texts from the provider."""
    standing, protection = provider.watch.standing, provider.protection.state()
    failing = provider.found is None or standing.failing or protection.breaker == "open"
    told: dict[str, Any] = {
        "status": "failing" if failing else "ok",
        "discovered": provider.found is not None,
        "error": standing.code or None,
        "since": math.floor(standing.since),
        "breaker": protection.breaker,
        "breaker_why": protection.why or None,
        "in_flight": protection.in_flight,
        "waiting": protection.waiting,
    }
    if protection.until is not None:
        told["asked_again_in"] = round(max(0.0, protection.until - time.time()), 1)
    return told


def _json(status: int, told: dict[str, Any]) -> WireResponse:
    body = json.dumps(told, indent=1).encode() + b"\n"
    return WireResponse(status, ((b"content-type", b"application/json"), _NO_STORE), body)
