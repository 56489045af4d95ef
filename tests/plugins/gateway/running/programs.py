"""A gateway in a separate process, an echo server as upstream, and a provider."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import requests

from tests.forkserver import command_line
from tests.waiting import until

GRANTWAY = [sys.executable, "-m", "grantway_plugins.cli"]
READY = re.compile(
    r"grantway gateway listening on (http://127\.0\.0\.1:\d+), admin (http://127\.0\.0\.1:\d+)"
    r"(?:, authorize (http://127\.0\.0\.1:\d+))?\n"
)
PATIENCE = 30.0


class Echo:
    """An ASGI application that records each request and returns it as JSON.

    ``/status/NNN`` returns that status, ``/slow`` waits until the client disconnects, and ``/cut``
    sends less than its ``Content-Length``.
    """

    def __init__(self) -> None:
        self.gone = threading.Event()
        self.came = threading.Event()
        self.forget()

    def forget(self) -> None:
        """Discard all recorded requests."""
        self.requests: list[dict[str, Any]] = []
        self.refuse: set[str] = set()
        self.gone.clear()
        self.came.clear()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        path = scope["path"]
        if path == "/slow":
            await self._slow(receive)
        if path == "/endless":
            await self._endless(receive, send)
            return
        body = await _whole(receive)
        told = {
            "method": scope["method"],
            "path": scope["raw_path"].decode(),
            "query": scope["query_string"].decode(),
            "headers": [[n.decode("latin-1"), v.decode("latin-1")] for n, v in scope["headers"]],
            "body": body.decode("latin-1"),
        }
        self.requests.append(told)
        authorization = dict(told["headers"]).get("authorization", "")
        status = int(path.split("/")[2]) if path.startswith("/status/") else 200
        extra = []
        if authorization in self.refuse:
            status = 401
            extra = [(b"www-authenticate", b'Bearer error="invalid_token"')]
        text = b"" if status in {204, 304} else json.dumps(told).encode()
        length = len(text) + (100 if path == "/cut" else 0)
        headers = [
            (b"content-type", b"application/json"),
            (b"set-cookie", b"a=1"),
            (b"set-cookie", b"b=2"),
            (b"connection", b"x-hop"),
            (b"x-hop", b"1"),
            *extra,
        ]
        if path != "/chunked" and status != 204:
            headers.append((b"content-length", str(length).encode()))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": text})

    async def _endless(self, receive: Any, send: Any) -> None:
        gone = asyncio.create_task(self._slow(receive))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while not gone.done():
            await send({"type": "http.response.body", "body": b"x" * 65_536, "more_body": True})
        await gone

    async def _slow(self, receive: Any) -> None:
        self.came.set()
        while (await receive())["type"] != "http.disconnect":
            pass
        self.gone.set()

    @property
    def tokens(self) -> list[str]:
        """``Authorization`` header of each request."""
        return [dict(each["headers"]).get("authorization", "") for each in self.requests]


async def _whole(receive: Any) -> bytes:
    pieces = []
    while True:
        message = await receive()
        pieces.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(pieces)


class GatewayProcess:
    """A running gateway.

    Attributes:
        url: Address of the main listener.
        admin: Address of the admin listener.
        authorize: Address of the authorization listener, or empty.
    """

    def __init__(self, process: ForkServerProcess, shown: Path, log: Path) -> None:
        self.process, self._log = process, log
        line = until(shown.read_text, lambda text: "\n" in text or not process.is_alive())
        ready = READY.fullmatch(line)
        assert ready is not None, (line, self.log)
        self.url, self.admin, self.authorize = ready[1], ready[2], ready[3] or ""

    @property
    def log(self) -> str:
        """Output on stderr."""
        return self._log.read_text()

    def wait_for(self, text: str) -> None:
        """Wait until the log contains a text."""
        until(lambda: self.log, lambda log: text in log or not self.process.is_alive())
        assert text in self.log

    def reload(self) -> None:
        """Send SIGHUP."""
        assert self.process.pid is not None
        os.kill(self.process.pid, signal.SIGHUP)

    def ready(self) -> tuple[int, dict[str, Any]]:
        """Return the status and body of ``/readyz``."""
        answer = requests.get(f"{self.admin}/readyz", timeout=PATIENCE)
        return answer.status_code, answer.json()

    def stop(self) -> int:
        """Send SIGTERM, and return the exit status."""
        self.process.terminate()
        self.process.join(PATIENCE)
        assert self.process.exitcode is not None, "it did not end"
        return self.process.exitcode


@contextmanager
def gateway(config: Path, *options: str, **environment: str) -> Iterator[GatewayProcess]:
    """Run a gateway until the block ends.

    The tutorial's tests start one by its command line.
    """
    log = config.with_name(f"{config.name}.{time.monotonic_ns()}.log")
    shown = log.with_suffix(".out")
    shown.touch()
    log.touch()
    arguments = ["gateway", "--config", str(config), *options]
    process = command_line(arguments, {**os.environ, **environment}, shown, log)
    try:
        yield GatewayProcess(process, shown, log)
    finally:
        process.kill()
        process.join()
        process.close()


def write(folder: Path, text: str, name: str = "gateway.toml") -> Path:
    """Write the file of a gateway that listens on free ports."""
    path = folder / name
    ports = '[gateway]\nlisten = "127.0.0.1:0"\nadmin = "127.0.0.1:0"\nhosts = ["x"]\n'
    path.write_text(text if "[gateway]" in text else ports + text)
    return path


class CountingProvider:
    """An ASGI token endpoint that counts issued tokens by tenant.

    Attributes:
        secrets: Valid client secrets.
        issued: Number of tokens by tenant.
        refused: Number of requests with an invalid secret.
        refusing: Called before the response to an invalid secret.
    """

    def __init__(self, *secrets: str) -> None:
        self.secrets = set(secrets)
        self.issued: Counter[str] = Counter()
        self.refused = 0
        self.refusing: Callable[[], object] = bool

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        form = dict(parse_qsl((await _whole(receive)).decode()))
        if form["client_secret"] in self.secrets:
            tenant = form["tenant"]
            self.issued[tenant] += 1
            status = 200
            told = {
                "access_token": f"{tenant}-{self.issued[tenant]}",
                "token_type": "Bearer",
                "expires_in": 3600,
            }
        else:
            self.refused += 1
            self.refusing()
            status, told = 401, {"error": "invalid_client"}
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(told).encode()})

    @staticmethod
    def table(url: str) -> str:
        """Return the provider's table for a gateway's file."""
        return (
            f'[providers.idp]\ntoken_endpoint = "{url}/token"\nclient_id = "gateway"\n'
            'client_secret_file = "secret.txt"\nauth = "client_secret_post"\n'
        )
