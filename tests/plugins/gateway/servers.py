"""Real servers on loopback: uvicorn for ASGI, werkzeug's and wsgiref's for WSGI."""

from __future__ import annotations

import asyncio
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer
from wsgiref.validate import validator

import uvicorn
from werkzeug.serving import WSGIRequestHandler as WerkzeugHandler, make_server

#: Interval at which a server checks whether to stop, in seconds.
_PAUSE = 0.01


class _Uvicorn(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    async def main_loop(self) -> None:
        # uvicorn checks ten times a second whether to stop, and each test would wait for that.
        while not await self.on_tick(0):  # noqa: ASYNC110 - set by another thread
            await asyncio.sleep(_PAUSE)

    async def shutdown(self, sockets: Any = None) -> None:
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        while self.server_state.connections or self.server_state.tasks:  # noqa: ASYNC110
            await asyncio.sleep(_PAUSE)
        await self.lifespan.shutdown()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextmanager
def asgi_server(app: Any, port: int = 0, **options: Any) -> Iterator[str]:
    """Serve an ASGI application and yield its URL; options are those of uvicorn."""
    options = {"loop": "asyncio", "ws": "none", "lifespan": "off", **options}
    config = uvicorn.Config(app, port=port, log_config=None, access_log=False, **options)
    server = _Uvicorn(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()))
    thread.start()
    try:
        assert server.ready.wait(60)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(30)
    assert not thread.is_alive()


class _QuietHandler(WerkzeugHandler):
    def log(self, *_said: Any) -> None:
        pass


@contextmanager
def werkzeug_server(app: Any) -> Iterator[str]:
    """Serve a WSGI application with werkzeug, with a thread for each request."""
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_QuietHandler)
    with _serving(server):
        yield f"http://127.0.0.1:{server.server_port}"


class _Threaded(socketserver.ThreadingMixIn, WSGIServer):
    request_queue_size = 128  # many connections are opened at once


class _Handler(WSGIRequestHandler):
    protocol_version = "HTTP/1.0"

    def log_message(self, *_said: Any) -> None:
        pass


@contextmanager
def wsgiref_server(app: Any) -> Iterator[str]:
    """Serve a WSGI application with the standard library, with validation of PEP 3333."""
    server = _Threaded(("127.0.0.1", 0), _Handler)
    server.set_app(validator(app))
    with _serving(server):
        yield f"http://127.0.0.1:{server.server_port}"


@contextmanager
def _serving(server: Any) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join(30)
        server.server_close()
