"""CPU time and throughput of a gateway with one process and with several workers.

Run from the repository's root: ``python -m tests.benchmarks.gateway.workers [--workers 1 2 4]``

The rounds alternate between the numbers of workers. One more process is the provider, the upstream
and the load: a fixed number of connections, each of which sends its next request when it has the
response to the last one. Throughput depends on the cores that are free. The least CPU time per
request of all rounds hardly depends on other programs.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.benchmarks.gateway.cores import busy, machine
from tests.faults import free_port

_TOKEN = b'{"access_token": "t", "token_type": "Bearer", "expires_in": 3600}'
_RESPONSE = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (
    len(_TOKEN),
    _TOKEN,
)
_REQUEST = b"GET /orders/1 HTTP/1.1\r\nhost: localhost\r\nuser-agent: load\r\n%b\r\n"
_CONFIG = """\
[gateway]
listen = "127.0.0.1:{front}"
admin = "127.0.0.1:{admin}"
[providers.idp]
token_endpoint = "http://127.0.0.1:{upstream}/token"
client_id = "x"
auth = "none"
[routes.orders]
upstream = "http://127.0.0.1:{upstream}"
provider = "idp"
tenant = "single"
on_failure = "closed"
"""


class Upstream(asyncio.Protocol):
    """Sends one response to each request without a body, and to the request for a token."""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if b"\r\n\r\n" in data:
            self._transport.write(_RESPONSE)


class Client(asyncio.Protocol):
    """A connection that always has one request in progress."""

    def __init__(self, load: Load) -> None:
        self._load = load

    def connection_made(self, transport: Any) -> None:
        self._transport, self._received = transport, b""
        transport.write(self._load.request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self._received.endswith(_TOKEN):
            return
        assert self._received.startswith(b"HTTP/1.1 200"), self._received
        self._received = b""
        self._load.count += 1
        if self._load.kept:
            self._transport.write(self._load.request)

    def connection_lost(self, _error: Exception | None) -> None:
        if not self._load.ended and not self._load.kept:
            self._load.connect()


class Load:
    """The requests of several connections.

    Args:
        port: Port of the gateway.
        kept: Whether connections are kept open between requests.
    """

    def __init__(self, port: int, *, kept: bool) -> None:
        self._port, self.kept = port, kept
        self.request = _REQUEST % (b"" if kept else b"connection: close\r\n")
        self.count, self.ended = 0, False
        self._tasks: set[asyncio.Task[Any]] = set()

    def connect(self) -> None:
        loop = asyncio.get_running_loop()
        connecting = loop.create_connection(lambda: Client(self), "127.0.0.1", self._port)
        task = loop.create_task(connecting)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


@contextmanager
def gateway(folder: Path, upstream: int, workers: int) -> Iterator[tuple[int, int]]:
    """Run a gateway, and yield the port and its process ID."""
    front = free_port()
    config = folder / f"gateway-{workers}.toml"
    config.write_text(_CONFIG.format(front=front, admin=free_port(), upstream=upstream))
    command = [sys.executable, "-m", "grantway_plugins.cli", "gateway", "--config", config]
    with subprocess.Popen(
        [*command, "--workers", str(workers)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().startswith(b"grantway gateway listening")
            yield front, process.pid
        finally:
            process.terminate()


def processes(pid: int) -> tuple[int, list[int]]:
    """Return the supervisor and the workers; without workers, both are the same process."""
    listed = Path(f"/proc/{pid}/task").glob("*/children")
    return pid, [int(each) for tasks in listed for each in tasks.read_text().split()] or [pid]


async def measure(
    front: int, pid: int, *, connections: int, seconds: float, kept: bool
) -> dict[str, float]:
    """Return requests per second, and CPU time per request in microseconds."""
    supervisor, workers = processes(pid)
    load = Load(front, kept=kept)
    for _ in range(connections):
        load.connect()
    await asyncio.sleep(1.0)
    began, count = time.monotonic(), load.count
    before, above = [busy(each) for each in workers], busy(supervisor)
    await asyncio.sleep(seconds)
    requests, lasted = load.count - count, time.monotonic() - began
    used = [busy(each) - earlier for each, earlier in zip(workers, before, strict=True)]
    own = 0.0 if workers == [supervisor] else busy(supervisor) - above
    load.ended = True
    return {
        "requests per second": requests / lasted,
        "worker CPU per request": sum(used) / requests * 1e6,
        "first process CPU per request": own / requests * 1e6,
        "requests per worker CPU second": requests / sum(used),
        "share of the busiest worker": max(used) / sum(used),
    }


async def main(options: argparse.Namespace) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Upstream, "127.0.0.1", 0)
    upstream = server.sockets[0].getsockname()[1]
    print(machine())
    found: dict[tuple[bool, int], list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(options.rounds):
            for workers in options.workers:
                starting = gateway(Path(folder), upstream, workers)
                front, pid = await asyncio.to_thread(starting.__enter__)
                try:
                    for kept in (True, False):
                        measured = await measure(
                            front,
                            pid,
                            connections=options.connections,
                            seconds=options.seconds,
                            kept=kept,
                        )
                        found.setdefault((kept, workers), []).append(measured)
                finally:
                    await asyncio.to_thread(starting.__exit__, None, None, None)
    for (kept, workers), rounds in sorted(found.items(), reverse=True):
        best = min(rounds, key=lambda each: each["worker CPU per request"])
        values = ", ".join(f"{name} {value:,.2f}" for name, value in best.items())
        most = max(each["requests per second"] for each in rounds)
        kind = "kept" if kept else "new "
        print(f"{kind} connections, {workers} workers: {values}; at most {most:,.0f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rounds", type=int, default=3)
    asyncio.run(main(parser.parse_args()))
