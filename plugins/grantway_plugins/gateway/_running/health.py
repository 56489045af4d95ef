"""The admin listener of the gateway: health, metrics and reloads."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from grantway._transport.http import is_loopback
from grantway_plugins.server._http.asgi import Receive, Scope, Send, send_response
from grantway_plugins.server._http.own_name import is_own_name
from grantway_plugins.server._http.wire import WireResponse

_NO_STORE = (b"cache-control", b"no-store")


class Health:
    """The ASGI application of the admin listener. Its responses contain no secrets.

    Args:
        ready: Returns the members of ``/readyz``.
        reload: Reads the file again, and returns its mistakes or None.
        metrics: Returns the metrics and their content type for an ``Accept`` header.
    """

    def __init__(
        self,
        ready: Callable[[], Awaitable[Mapping[str, Any]]],
        reload: Callable[[], Awaitable[str | None]],
        metrics: Callable[[str], Awaitable[tuple[bytes, str]]],
    ) -> None:
        self._ready, self._reload, self._metrics = ready, reload, metrics
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
            members = await self._ready()
            response = _json(200 if members["ready"] else 503, members)
        elif path == "/metrics":
            accept = dict(scope["headers"]).get(b"accept", b"").decode("latin-1")
            body, kind = await self._metrics(accept)
            response = WireResponse(200, ((b"content-type", kind.encode()), _NO_STORE), body)
        else:
            response = _json(
                404, {"error": "the paths are /healthz, /readyz, /metrics and /reload"}
            )
        await send_response(send, response)


def _is_from_web_page(scope: Scope) -> bool:
    """Return whether a web page sent the request; browsers then send ``Origin``."""
    return any(name == b"origin" for name, _ in scope["headers"])


def _json(status: int, members: Mapping[str, Any]) -> WireResponse:
    body = json.dumps(members, indent=1).encode() + b"\n"
    return WireResponse(status, ((b"content-type", b"application/json"), _NO_STORE), body)
