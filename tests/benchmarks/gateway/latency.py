"""Latency that the gateway adds to a forwarded request, compared with its bare proxy.

Run: ``python tests/benchmarks/gateway/latency.py [--rounds N] [--requests N]`` (about a minute)

One process serves the whole gateway (rules, tokens, metrics) at one address, and its bare proxy at
another, with the same event loop and the same connections to the same echo. The gateway has one
core; the echo and the caller share the other. One caller sends the requests alternately, one at a
time over persistent connections, so other load on the machine affects all alike. Each round
measures the median and the 99th percentile, and subtracts those of the bare proxy. The table shows
the median, minimum and maximum of the rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import socket
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from tests.benchmarks.gateway.cores import machine, pin
from tests.benchmarks.gateway.machines import (
    GATEWAY_CORE,
    backend,
    here,
    write_config,
)
from tests.interop.program import Program

#: Number of tenants in the row with many tenants.
MANY = 1000
_HOUR = 3600.0
_PATIENCE = 60.0
_WARM = 500

#: Row -> the address, the path, and additional headers.
ROWS = {
    "bare proxy": ("bare", 1, ""),
    "the request's own token is kept": ("kept", 1, "authorization: Bearer own\r\n"),
    "injected, one tenant": ("front", 1, ""),
    "injected, 1,000 tenants in turns": ("front", MANY, ""),
}


# --- In the process of the gateway ----------------------------------------------------------------


async def _serve(path: str) -> None:
    from grantway_plugins.gateway._config import ConfigFile
    from grantway_plugins.gateway._forwarding.client_protocol import ForwardingProtocol
    from grantway_plugins.gateway._running.gateway import Gateway
    from grantway_plugins.gateway.upstream._upstream_token import UpstreamToken
    from grantway_plugins.server._listening.address import listen
    from grantway_plugins.server._listening.listener import Listener

    config = ConfigFile(path)
    limits = config.gateway["limits"]
    gateway = Gateway(config)
    await gateway.start()
    front = gateway.forwarder(b"/")
    assert front is not None
    route, *_ = front.upstream.routes

    class Bare:
        """Takes the place of ``UpstreamAuth`` and ``BrowserRule``, and decides nothing."""

        verifies = False

        def open(self, request: Any) -> UpstreamToken:
            return UpstreamToken(route, request.path, "", None, None, bare=True)

        def check(self, *_headers: Any, **_options: Any) -> None:
            pass

    nothing: Any = Bare()
    bare = replace(front, upstream=nothing, browsers=nothing)
    sockets = [listen("127.0.0.1", 0) for _ in range(2)]
    listeners = [
        Listener(
            gateway.front, each, limits, files_each=2, protocol=ForwardingProtocol.using(found)
        )
        for found, each in zip((gateway.forwarder, lambda _path: bare), sockets, strict=True)
    ]
    ready = asyncio.Semaphore(0)
    tasks = [asyncio.create_task(each.listen(ready.release)) for each in listeners]
    for _ in listeners:
        await ready.acquire()
    print(json.dumps([each.getsockname()[1] for each in sockets]), flush=True)
    await asyncio.gather(*tasks)


# --- In the process of the caller -----------------------------------------------------------------


class Caller:
    """One persistent connection.

    Args:
        port: TCP port of the server.
        path: Path to request.
        tenants: Number of tenants to request in turn.
        headers: Additional header lines.
    """

    def __init__(self, port: int, path: str, tenants: int, headers: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._requests = [
            f"GET {path} HTTP/1.1\r\nhost: gateway.test\r\nx-tenant: t{number}\r\n"
            f"{headers}\r\n".encode()
            for number in range(tenants)
        ]
        self._injected = path == "/" and not headers
        self._turn = 0

    def ask(self, *, check: bool = False) -> float:
        """Send a request and return the seconds until the response is complete."""
        number = self._turn % len(self._requests)
        request = self._requests[number]
        self._turn += 1
        began = time.perf_counter()
        self._socket.sendall(request)
        response = self._socket.recv(65_536)
        while not response.endswith(b"}"):
            more = self._socket.recv(65_536)
            if not more:
                raise SystemExit(f"the connection was closed: {response!r}")
            response += more
        taken = time.perf_counter() - began
        tenant = f'"tenant":"t{number}"'.encode()
        if not response.startswith(b"HTTP/1.1 200 ") or (check and tenant not in response):
            raise SystemExit(response.decode())
        return taken

    def warm(self) -> None:
        """Request every tenant once, so that every token is cached."""
        for _ in range(max(_WARM, len(self._requests))):
            self.ask()

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()


def play(callers: dict[str, Caller], requests: int) -> dict[str, tuple[float, float]]:
    """Run one round, and return the median and 99th percentile of each row in seconds."""
    taken: dict[str, list[float]] = {name: [] for name in callers}
    gc.disable()
    for _ in range(requests):
        for name, caller in callers.items():
            taken[name].append(caller.ask(check=name.startswith("injected")))
    gc.enable()
    return {
        name: (statistics.median(found), statistics.quantiles(found, n=100)[98])
        for name, found in taken.items()
    }


def _span(numbers: list[float]) -> str:
    middle = statistics.median(numbers)
    return f"{middle * 1e6:.0f} ({min(numbers) * 1e6:.0f} to {max(numbers) * 1e6:.0f})"


def measure(rounds: int, requests: int) -> None:
    """Run the rounds, and print the table."""
    print(f"{machine()} {rounds} rounds of {requests} requests a row, in turns.\n")
    here()
    with ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory()))
        behind = running.enter_context(backend(folder, lifetime=_HOUR))
        config = write_config(folder, behind)
        kept = config.read_text().partition("[routes.echo]")[2]
        with config.open("a") as more:
            more.write(f'[routes.kept]\npath = "/kept"\nincoming = "keep"{kept}')
        program = running.enter_context(Program([sys.executable, __file__, "--serve", str(config)]))
        front, bare = program.read_json(_PATIENCE)
        callers: dict[str, Caller] = {}
        for name, (where, tenants, headers) in ROWS.items():
            path = "/kept" if where == "kept" else "/"
            caller = Caller(bare if where == "bare" else front, path, tenants, headers)
            running.callback(caller.close)
            caller.warm()
            callers[name] = caller
        seen = [play(callers, requests) for _ in range(rounds)]
    base = [each["bare proxy"] for each in seen]
    print("| request, microseconds | median | more than bare | 99th percentile | more than bare |")
    print("|---|--:|--:|--:|--:|")
    for name in ROWS:
        columns: list[Any] = []
        for at in (0, 1):
            columns.append(_span([each[name][at] for each in seen]))
            above = [each[name][at] - least[at] for each, least in zip(seen, base, strict=True)]
            columns.append("" if name == "bare proxy" else _span(above))
        print(f"| {name} | {' | '.join(columns)} |")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        pin(GATEWAY_CORE)
        asyncio.run(_serve(options.serve))
        return
    measure(options.rounds, options.requests)


if __name__ == "__main__":
    main()
