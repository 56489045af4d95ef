"""Tokens of the ASGI middleware are fetched on its event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, MutableMapping
from typing import Any

import pytest

from grantway_plugins.gateway.upstream import AsgiUpstreamAuth, UpstreamAuth


def test_requests_of_an_event_loop_start_no_thread(
    upstream: Callable[..., UpstreamAuth], monkeypatch: pytest.MonkeyPatch
) -> None:
    forwarded: list[bytes] = []
    started: list[str] = []
    start = threading.Thread.start

    async def application(scope: Any, receive: Any, send: Any) -> None:
        forwarded.append(dict(scope["headers"])[b"authorization"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        pass

    def record(thread: threading.Thread) -> None:
        started.append(thread.name)
        start(thread)

    middleware = AsgiUpstreamAuth(application, upstream())

    async def main() -> None:
        scope = {
            "type": "http",
            "method": "GET",
            "scheme": "http",
            "path": "/orders",
            "raw_path": b"/orders",
            "query_string": b"",
            "headers": [(b"host", b"127.0.0.1"), (b"x-tenant", b"acme")],
            "server": ("127.0.0.1", 80),
            "client": ("127.0.0.1", 1),
        }
        await asyncio.gather(*(middleware({**scope}, receive, send) for _ in range(100)))

    monkeypatch.setattr(threading.Thread, "start", record)
    asyncio.run(main())
    assert len(forwarded) == 100
    assert len(set(forwarded)) == 1
    assert not [name for name in started if name.startswith("grantway")]
