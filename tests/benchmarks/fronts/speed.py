"""Throughput, CPU time, latency and memory of the proxies.

The proxies and the gateway share one core; the upstream (nginx) and the caller use the other. The
candidates take turns in each round, so that other load affects all alike. The caller checks the
token in each response.
"""

from __future__ import annotations

import socket
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.benchmarks.fronts.candidates import (
    HOST,
    TENANTS,
    Front,
    Setup,
    candidates,
    children,
    gateway_ports,
    on_core,
    write_file,
)
from tests.benchmarks.fronts.servers import Provider
from tests.benchmarks.gateway import latency
from tests.benchmarks.gateway.cores import resident
from tests.benchmarks.gateway.machines import GATEWAY_CORE, OTHER_CORE, gateway, here
from tests.faults import free_port
from tests.interop.program import Program
from tests.interop.proxies import nginx_http

CONNECTIONS = 32
#: Requests per second for the measurement of latencies.
RATE = 200
OWN, OWN_PLAIN = "grantway's proxy", "grantway's proxy without tokens"
_HOUR = 3600
_PATIENCE = 60.0
WARM = 0.2
_KILOBYTE = "x" * 1000
#: Paths of small responses, and of responses with 16 kB.
SIZES = {"small": "", "16 kB": "/large"}


@dataclass
class Measured:
    """A proxy that is measured, and its results in each round."""

    front: Front
    port: int
    pids: tuple[int, ...]
    tokens: bool
    rates: dict[str, list[float]] = field(default_factory=lambda: {size: [] for size in SIZES})
    costs: dict[str, list[float]] = field(default_factory=lambda: {size: [] for size in SIZES})
    latencies: list[float] = field(default_factory=list)


class _Connection:
    """A connection that is opened again when the server closes it after many requests."""

    def __init__(self, measured: Measured, number: int, size: str) -> None:
        tenant, front = f"t{number % TENANTS}", measured.front
        self._port = measured.port
        self._request = (
            f"GET {front.path}{SIZES[size]}/{number}?x=1 HTTP/1.1\r\nHost: gateway.test\r\n"
            f"X-Tenant: {tenant}\r\nUser-Agent: benchmark\r\nAccept: */*\r\n\r\n"
        ).encode()
        expected = f"{tenant if front.tenants else 'single'}-" if measured.tokens else "-"
        self._expected = f"\r\n\r\n{expected}".encode()
        self._open()

    def _open(self) -> None:
        self._socket = socket.create_connection((HOST, self._port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._last = False

    def send(self) -> None:
        """Send the request."""
        if self._last:
            self.close()
            self._open()
        self._socket.sendall(self._request)

    def receive(self) -> None:
        """Receive a response, and check its token."""
        response = self._socket.recv(65_536)
        while response and not response.endswith((b".", b".\r\n0\r\n\r\n")):
            more = self._socket.recv(65_536)
            response = response + more if more else b""
        if self._expected not in response or not response.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"unexpected response: {response[:1000]!r}")
        self._last = b"connection: close" in response[:1000].lower()

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()


def saturate(measured: Measured, size: str, seconds: float) -> int:
    """Send requests on all connections for some seconds, and return their number."""
    connections = [_Connection(measured, number, size) for number in range(CONNECTIONS)]
    for each in connections:
        each.send()
    count, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        for each in connections:
            each.receive()
            each.send()
        count += CONNECTIONS
    for each in connections:
        each.close()
    return count


def _paced(measured: Measured, seconds: float) -> list[float]:
    """Send requests at a fixed rate, and return the seconds since each was due."""
    connections = [_Connection(measured, number, "small") for number in range(TENANTS)]
    found = []
    began = time.perf_counter()
    for number in range(int(seconds * RATE)):
        due = began + number / RATE
        while (early := due - time.perf_counter()) > 0:
            time.sleep(early)
        connection = connections[number % TENANTS]
        connection.send()
        connection.receive()
        found.append(time.perf_counter() - due)
    for each in connections:
        each.close()
    return found


def _busy(pid: int) -> float:
    """Return the CPU time of a process's threads in seconds, to the nanosecond."""
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(each.read_text("ascii").split()[0]) for each in threads) / 1e9


def _round(measured: Measured, serving: int, seconds: float, *, counts: bool) -> None:
    pids = {*measured.pids, *([serving] if measured.tokens and measured.front.asks else [])}
    for size in SIZES:
        saturate(measured, size, WARM)
        if not counts:
            continue
        before, began = sum(map(_busy, pids)), time.monotonic()
        count = saturate(measured, size, seconds)
        measured.rates[size].append(count / (time.monotonic() - began))
        measured.costs[size].append((sum(map(_busy, pids)) - before) / count)
    found = _paced(measured, seconds if counts else WARM)
    if counts:
        measured.latencies += found


def measure(rounds: int, seconds: float) -> dict[str, dict[str, Any]]:
    """Run the rounds, and return the results by name of the proxy."""
    here()
    running: dict[str, Measured] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        provider = Provider(_HOUR)
        provider.up()
        stack.callback(provider.down)
        ports = {"upstream": free_port(), **gateway_ports()}
        with on_core(OTHER_CORE):
            subfolder(folder, "upstream")
            stack.enter_context(
                nginx_http(
                    folder / "upstream", token_upstream(ports["upstream"]), ports["upstream"]
                )
            )
        file = write_file(folder, provider, ports)
        serving = stack.enter_context(gateway(file, core=GATEWAY_CORE))
        setup = Setup(file, provider, ports["upstream"])
        program = [sys.executable, latency.__file__, "--serve", str(file)]
        own = stack.enter_context(Program(program))
        own_front = Front(lambda *_: ExitStack(), OWN_PLAIN, asks=False)
        for name, port in zip((OWN, OWN_PLAIN), own.read_json(_PATIENCE), strict=True):
            base = OWN_PLAIN if name == OWN else ""
            running[name] = Measured(
                own_front._replace(base=base), port, (own.pid,), tokens=name == OWN
            )
        for number, (name, front) in enumerate(candidates().items()):
            port, before = free_port(), children()
            with on_core(GATEWAY_CORE):
                stack.enter_context(front.run(setup, subfolder(folder, str(number)), port))
            pids = tuple(children() - before)
            running[name] = Measured(front, port, pids, tokens=bool(front.base))
        for number in range(-1, rounds):  # the first one fills caches
            for each in running.values():
                _round(each, serving.pid, seconds, counts=number >= 0)
        memory = {name: sum(map(resident, each.pids)) for name, each in running.items()}
        memory["the gateway"] = resident(serving.pid)
    return {
        **{name: _summary(each, running, memory[name]) for name, each in running.items()},
        "the gateway": {"memory_mib": memory["the gateway"]},
    }


def _summary(measured: Measured, running: dict[str, Measured], memory: float) -> dict[str, Any]:
    base = running.get(measured.front.base)
    found: dict[str, Any] = {
        "base": measured.front.base,
        "memory_mib": memory,
        "p50_ms": statistics.median(measured.latencies) * 1e3,
        "p99_ms": statistics.quantiles(measured.latencies, n=100)[98] * 1e3,
        "sizes": {},
    }
    for size in SIZES:
        rates, costs = measured.rates[size], measured.costs[size]
        figures = {"rate": statistics.median(rates), "cpu_us": statistics.median(costs) * 1e6}
        if base is not None:
            pairs = zip(rates, base.rates[size], strict=True)
            figures["rate_share"] = statistics.median(mine / other for mine, other in pairs)
            pairs = zip(base.costs[size], costs, strict=True)
            figures["cpu_share"] = statistics.median(other / mine for other, mine in pairs)
        found["sizes"][size] = figures
    return found


def token_upstream(port: int) -> str:
    """Return the configuration of an nginx that responds with the token that it got."""
    head = 'map $http_authorization $token { "~^Bearer (.*)" $1; default "-"; }\n'
    large = f'location ~ /large/ {{ set $more "{_KILOBYTE}"; return 200 "$token{"$more" * 16}."; }}'
    return (
        f"{head}server {{ listen {HOST}:{port}; keepalive_requests 1000000;\n"
        f'default_type text/plain; {large}\nlocation / {{ return 200 "$token."; }} }}\n'
    )


def subfolder(parent: Path, name: str) -> Path:
    (parent / name).mkdir()
    return parent / name
