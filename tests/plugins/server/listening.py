"""A listener in a thread, for any ASGI application."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from grantway_plugins.server._listening.address import listen
from grantway_plugins.server._listening.direct import DirectApp
from grantway_plugins.server._listening.limits import Limits
from grantway_plugins.server._listening.listener import Listener
from grantway_plugins.server._tls.certificate import ServerCertificate
from tests.waiting import PATIENCE


@contextmanager
def listening(
    app: Any,
    *,
    trusted: tuple[str, ...] = (),
    certificate: ServerCertificate | None = None,
    forwarded: bool = False,
    direct: DirectApp | None = None,
    **limits: Any,
) -> Iterator[int]:
    """Serve an application with these limits; yields the port."""
    opened = listen("127.0.0.1", 0)
    port = opened.getsockname()[1]
    listener = Listener(
        app,
        opened,
        Limits(**limits),
        trusted=trusted,
        forwarded=forwarded,
        certificate=certificate,
        direct=direct,
    )
    ready = threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(listener.listen(ready.set)))
    thread.start()
    try:
        assert ready.wait(PATIENCE)
        yield port
    finally:
        listener.stop()
        thread.join(PATIENCE)
    assert not thread.is_alive()


def connect(port: int, source: str = "127.0.0.1") -> socket.socket:
    """Return a connection from a loopback address."""
    return socket.create_connection(
        ("127.0.0.1", port), timeout=PATIENCE, source_address=(source, 0)
    )


async def whole_body(receive: Any) -> bytes:
    """Read a request body to its end."""
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return body
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Respond with the method, the body and the names of the headers."""
    body = await whole_body(receive)
    names = b",".join(sorted({name for name, _ in scope["headers"]}))
    content = b"%b %b [%b]" % (scope["method"].encode(), body, names)
    headers = [(b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": content})


async def in_pieces(scope: Any, receive: Any, send: Any) -> None:
    """Respond with a body of unknown length; at ``/broken``, fail within the body."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for _ in range(3):
        await send({"type": "http.response.body", "body": b"piece ", "more_body": True})
    if scope["path"] != "/broken":
        await send({"type": "http.response.body", "body": b"end"})
