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
from grantway_plugins.server._http.own_name import is_own_name
from grantway_plugins.server._http.wire import WireResponse

from .gateway_provider import GatewayProvider
from .runtime import Runtime

if TYPE_CHECKING:
    from grantway_plugins.gateway._metrics import GatewayMetrics
    from grantway_plugins.server._tls.certificate import ServerCertificate

_NO_STORE = (b"cache-control", b"no-store")


class Health:
    """The ASGI application of the admin listener. Its responses contain no secrets.

    Args:
        current: Returns the current runtime.
        stopping: Returns whether the gateway is shutting down.
        reload: Reads the file again, and returns its mistakes or None.
        metrics: Metrics that ``/metrics`` returns.
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
        """Respond to one request."""
        method, path = scope["method"], scope["path"]
        peer = scope["client"][0] if scope.get("client") else ""
        if not is_own_name(scope):
            response = _json(
                403, {"error": "use this machine's IP address or localhost as the host name"}
            )
        elif path == "/reload" and method == "POST" and not is_loopback(peer):
            response = _json(403, {"error": "only this machine may reload"})
        elif path == "/reload" and method == "POST" and _is_from_web_page(scope):
            response = _json(403, {"error": "web pages may not reload"})
        elif path == "/reload" and method == "POST":
            problem = await self._reload()
            response = _json(200 if problem is None else 400, {"error": problem} if problem else {})
        elif method not in {"GET", "HEAD"}:
            response = _json(405, {"error": "use GET, or POST for /reload"})
        elif path == "/healthz":
            response = _json(
                200, {"status": "ok", "up_seconds": round(time.time() - self._began, 1)}
            )
        elif path == "/readyz":
            response = await self.ready()
        elif path == "/metrics":
            accept = dict(scope["headers"]).get(b"accept", b"").decode("latin-1")
            body, kind = self._metrics.render(accept)
            response = WireResponse(200, ((b"content-type", kind.encode()), _NO_STORE), body)
        else:
            response = _json(
                404, {"error": "the paths are /healthz, /readyz, /metrics and /reload"}
            )
        await send_response(send, response)

    async def ready(self) -> WireResponse:
        """Return whether the gateway is ready, with the health of the store and each provider."""
        runtime = self._current()
        store = await _store_health(runtime)
        providers = {name: _provider_health(each) for name, each in runtime.providers.items()}
        bad = [name for name, each in providers.items() if each["status"] == "failing"]
        enough = not bad or (
            runtime.config.gateway["ready"] == "any" and len(bad) < len(runtime.providers)
        )
        if store["status"] == "failing" or (
            store["status"] == "degraded" and runtime.config.gateway["ready"] == "all"
        ):
            enough = False
        members: dict[str, Any] = {"providers": providers, "store": store}
        degraded = bad or store["status"] != "ok"
        if runtime.certificate is not None:
            members["certificate"] = _certificate_health(runtime.certificate)
            degraded = degraded or members["certificate"]["status"] != "ok"
        status = "stopping" if self._stopping() else "degraded" if degraded else "ok"
        ready = enough and not self._stopping()
        members = {"ready": ready, "status": status, **members}
        return _json(200 if ready else 503, members)


def _is_from_web_page(scope: Scope) -> bool:
    """Return whether a web page sent the request; browsers then send ``Origin``."""
    return any(name == b"origin" for name, _ in scope["headers"])


async def _store_health(runtime: Runtime) -> dict[str, Any]:
    """Return the health of the store; ``degraded`` if only tokens in memory are available."""
    watch = runtime.store_watch
    health = None if watch is None else await watch.health()
    if health is None or not health.error:
        return {"status": "ok"}
    served = await asyncio.to_thread(runtime.serves_from_memory)
    return {
        "status": "degraded" if served else "failing",
        "error": health.error,
        "error_description": health.message,
        "since": math.floor(health.since),
    }


def _certificate_health(certificate: ServerCertificate) -> dict[str, Any]:
    """Return the health of the certificate; ``degraded`` if it expired or was not replaced."""
    expired = certificate.not_after <= time.time()
    members: dict[str, Any] = {
        "status": "degraded" if expired or certificate.problem else "ok",
        "expires": math.floor(certificate.not_after),
    }
    if certificate.problem:
        members["error_description"] = certificate.problem
    return members


def _provider_health(provider: GatewayProvider) -> dict[str, Any]:
    """Return the health of a provider, without any text received from it."""
    health, protection = provider.health.health, provider.protection.state()
    failing = provider.found is None or health.failing or protection.breaker == "open"
    members: dict[str, Any] = {
        "status": "failing" if failing else "ok",
        "discovered": provider.found is not None,
        "error": health.code or None,
        "since": math.floor(health.since),
        "breaker": protection.breaker,
        "breaker_why": protection.why or None,
        "in_flight": protection.in_flight,
        "waiting": protection.waiting,
    }
    if protection.until is not None:
        members["asked_again_in"] = round(max(0.0, protection.until - time.time()), 1)
    return members


def _json(status: int, members: dict[str, Any]) -> WireResponse:
    body = json.dumps(members, indent=1).encode() + b"\n"
    return WireResponse(status, ((b"content-type", b"application/json"), _NO_STORE), body)
