"""A gateway in a separate process, an echo server as upstream, and a provider."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import requests

from tests import forked
from tests.processes import children, is_running
from tests.waiting import until

GRANTWAY = [sys.executable, "-m", "grantway_plugins.cli"]
READY = re.compile(
    r"grantway gateway listening on (https?://127\.0\.0\.1:\d+), admin (http://127\.0\.0\.1:\d+)"
    r"(?:, authorize (http://127\.0\.0\.1:\d+))?(?:, grpc (127\.0\.0\.1:\d+))?\n"
)
PATIENCE = 30.0


class EchoUpstream:
    """An ASGI application that records each request and returns it as JSON.

    ``/status/NNN`` returns that status, ``/slow`` waits until the client disconnects, ``/endless``
    sends its body until then, ``/chunked`` omits ``Content-Length``, and ``/cut`` sends fewer bytes
    than its ``Content-Length``.

    Attributes:
        requests: Recorded requests.
        rejected_tokens: ``Authorization`` values that get a 401 response.
        request_started: Set when ``/slow`` or ``/endless`` receives a request.
        disconnected: Set when the client of such a request disconnects.
    """

    def __init__(self) -> None:
        self.disconnected = threading.Event()
        self.request_started = threading.Event()
        self.reset()

    def reset(self) -> None:
        """Discard recorded requests, rejected tokens and events."""
        self.requests: list[dict[str, Any]] = []
        self.rejected_tokens: set[str] = set()
        self.disconnected.clear()
        self.request_started.clear()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        path = scope["path"]
        if path == "/slow":
            await self._wait_for_disconnect(receive)
        if path == "/endless":
            await self._endless(receive, send)
            return
        body = await _read_body(receive)
        payload = {
            "method": scope["method"],
            "path": scope["raw_path"].decode(),
            "query": scope["query_string"].decode(),
            "headers": [[n.decode("latin-1"), v.decode("latin-1")] for n, v in scope["headers"]],
            "body": body.decode("latin-1"),
        }
        self.requests.append(payload)
        authorization = dict(payload["headers"]).get("authorization", "")
        status = int(path.split("/")[2]) if path.startswith("/status/") else 200
        extra = []
        if authorization in self.rejected_tokens:
            status = 401
            extra = [(b"www-authenticate", b'Bearer error="invalid_token"')]
        text = b"" if status in {204, 304} else json.dumps(payload).encode()
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
        disconnect = asyncio.create_task(self._wait_for_disconnect(receive))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while not disconnect.done():
            await send({"type": "http.response.body", "body": b"x" * 65_536, "more_body": True})
        await disconnect

    async def _wait_for_disconnect(self, receive: Any) -> None:
        self.request_started.set()
        while (await receive())["type"] != "http.disconnect":
            pass
        self.disconnected.set()

    @property
    def tokens(self) -> list[str]:
        """``Authorization`` header of each request."""
        return [dict(request["headers"]).get("authorization", "") for request in self.requests]


async def _read_body(receive: Any) -> bytes:
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
        grpc: Host and port of the gRPC listener, or empty.
    """

    def __init__(self, process: subprocess.Popen[bytes], shown: Path, log: Path) -> None:
        self.process, self._log = process, log
        line = until(shown.read_text, lambda text: "\n" in text or process.poll() is not None)
        ready = READY.fullmatch(line)
        assert ready is not None, (line, self.log)
        self.url, self.admin = ready[1], ready[2]
        self.authorize, self.grpc = ready[3] or "", ready[4] or ""

    @property
    def log(self) -> str:
        """Output on stderr."""
        return self._log.read_text()

    def wait_for(self, text: str) -> None:
        """Wait until the log contains a text."""
        until(lambda: self.log, lambda log: text in log or self.process.poll() is not None)
        assert text in self.log

    @property
    def workers(self) -> list[int]:
        """Process IDs of the workers."""
        return children(self.process.pid)

    def metric(self, start: str) -> float:
        """Return the value of the only sample whose line starts like this."""
        text = requests.get(f"{self.admin}/metrics", timeout=PATIENCE).text
        (value,) = re.findall(rf"^{re.escape(start)}.* (\S+)$", text, re.MULTILINE)
        return float(value)

    def reload(self) -> None:
        """Send SIGHUP."""
        self.process.send_signal(signal.SIGHUP)

    def ready(self) -> tuple[int, dict[str, Any]]:
        """Return the status and body of ``/readyz``."""
        response = requests.get(f"{self.admin}/readyz", timeout=PATIENCE)
        return response.status_code, response.json()

    def stop(self) -> int:
        """Send SIGTERM, and return the exit status."""
        self.process.terminate()
        return self.process.wait(PATIENCE)


@contextmanager
def gateway(config: Path, *options: str, **environment: str) -> Iterator[GatewayProcess]:
    """Run a gateway within a ``with`` block."""
    log = config.with_name(f"{config.name}.{time.monotonic_ns()}.log")
    shown = log.with_suffix(".out")
    with (
        shown.open("wb") as stdout,
        log.open("wb") as stderr,
        forked.Popen(
            [*GRANTWAY, "gateway", "--config", config, *options],
            env={**os.environ, **environment},
            stdout=stdout,
            stderr=stderr,
        ) as process,
    ):
        try:
            yield GatewayProcess(process, shown, log)
        finally:
            workers = children(process.pid)
            process.kill()
            until(lambda: not any(map(is_running, workers)))


def write(folder: Path, text: str, name: str = "gateway.toml") -> Path:
    """Write a gateway file, which by default listens on free ports."""
    path = folder / name
    ports = '[gateway]\nlisten = "127.0.0.1:0"\nadmin = "127.0.0.1:0"\nhosts = ["x"]\n'
    path.write_text(text if "[gateway]" in text else ports + text)
    return path


class CountingProvider:
    """An ASGI token endpoint that counts issued tokens by tenant.

    Attributes:
        secrets: Valid client secrets.
        issued: Number of tokens by tenant.
        rejected: Number of requests with an invalid secret.
        on_rejection: Called before the response to an invalid secret.
        lifetime: Lifetime of the tokens in seconds.
    """

    lifetime = 3600

    def __init__(self, *secrets: str) -> None:
        self.secrets = set(secrets)
        self.issued: Counter[str] = Counter()
        self.rejected = 0
        self.on_rejection: Callable[[], object] = bool

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        form = dict(parse_qsl((await _read_body(receive)).decode()))
        if form["client_secret"] in self.secrets:
            tenant = form["tenant"]
            self.issued[tenant] += 1
            status = 200
            payload = {
                "access_token": f"{tenant}-{self.issued[tenant]}",
                "token_type": "Bearer",
                "expires_in": self.lifetime,
            }
        else:
            self.rejected += 1
            self.on_rejection()
            status, payload = 401, {"error": "invalid_client"}
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(payload).encode()})

    @staticmethod
    def table(url: str) -> str:
        """Return the table of this provider for a gateway file."""
        return (
            f'[providers.idp]\ntoken_endpoint = "{url}/token"\nclient_id = "gateway"\n'
            'client_secret = {source = "file", path = "secret.txt"}\nauth = "client_secret_post"\n'
        )


class Traffic:
    """Threads that send requests continuously.

    Attributes:
        statuses: Number of responses by status.
    """

    def __init__(self, send_request: Callable[[requests.Session, int], requests.Response]) -> None:
        self.statuses: Counter[int | str] = Counter()
        self._send_request = send_request
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(4)]

    def _run(self) -> None:
        number = 0
        with requests.Session() as session:
            session.trust_env = False
            while not self._ended.is_set():
                number += 1
                try:
                    self.statuses[self._send_request(session, number).status_code] += 1
                except requests.RequestException as error:
                    self.statuses[type(error).__name__] += 1

    def wait_for_responses(self, count: int) -> None:
        """Wait for ``count`` further responses."""
        total = self.statuses.total() + count
        until(lambda: self.statuses.total() >= total)

    @contextmanager
    def running(self) -> Iterator[None]:
        for each in self._threads:
            each.start()
        try:
            yield
        finally:
            self._ended.set()
            for each in self._threads:
                each.join(PATIENCE)


def replace_file(path: Path, text: str) -> None:
    """Replace a file atomically, which gives it a new inode."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.write_text(text)
    fresh.replace(path)
