"""Requests per second of nginx with tokens of the gateway, and the age of revoked tokens.

Run: ``python tests/benchmarks/gateway/front.py [--rounds N] [--seconds S]`` (about two minutes)

nginx and the gateway share one core; the upstream (another nginx) and the caller use the other. The
caller has one request in progress on each connection, for a few tenants in turns, and checks that
each response carries the tenant's token. The candidates alternate in each round; the table shows
the medians of the rounds, and of the CPU time of nginx and the gateway for a request.
"""

from __future__ import annotations

import argparse
import os
import random
import socket
import statistics
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from grantway_plugins.gateway._config import ConfigFile
from grantway_plugins.gateway._front.nginx import nginx as nginx_configuration
from grantway_plugins.gateway._front.plan import plan
from tests.benchmarks.gateway.cores import busy, machine
from tests.benchmarks.gateway.machines import GATEWAY_CORE, GatewayProcess, gateway, here
from tests.faults import free_port
from tests.interop.proxies import nginx_http
from tests.plugins.gateway.running.programs import CountingProvider
from tests.plugins.gateway.servers import asgi_server
from tests.waiting import until

CONNECTIONS, TENANTS = 32, 10
_HOST = "127.0.0.1"
_WARM = 0.3


class Candidate(NamedTuple):
    """A way to add tokens.

    Attributes:
        port: TCP port for requests.
        pids: Processes whose CPU time counts.
        tokens: Whether the upstream gets tokens.
    """

    port: int
    pids: tuple[int, ...]
    tokens: bool = True


class Connection:
    """A connection that is opened again when the server closes it after many requests.

    Args:
        port: TCP port of the server.
        number: Number of the connection, which selects the tenant.
        tokens: Whether the upstream gets tokens.
    """

    def __init__(self, port: int, number: int, *, tokens: bool) -> None:
        self._port = port
        self._request = (
            f"GET /orders/{number}?x=1 HTTP/1.1\r\nHost: gateway.test\r\n"
            f"X-Tenant: t{number % TENANTS}\r\nUser-Agent: benchmark\r\nAccept: */*\r\n\r\n"
        ).encode()
        self._expected = f"\r\n\r\nt{number % TENANTS}-".encode() if tokens else b"\r\n\r\n-"
        self._open()

    def _open(self) -> None:
        self._socket = socket.create_connection((_HOST, self._port))
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
        while response and not response.endswith(b"."):
            more = self._socket.recv(65_536)
            response = response + more if more else b""
        if self._expected not in response or not response.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"unexpected response: {response[:1000]!r}")
        self._last = b"Connection: close" in response

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()


def ask(port: int, seconds: float, *, tokens: bool) -> int:
    """Send requests for some seconds, and return their number."""
    connections = [Connection(port, number, tokens=tokens) for number in range(CONNECTIONS)]
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


def write_config(folder: Path, provider: str, upstream: int, authorize: int) -> Path:
    """Write the gateway's file, with listed tenants."""
    (folder / "secret.txt").write_text("secret")
    file = folder / "gateway.toml"
    file.write_text(
        f'[gateway]\nhosts = ["*"]\nlisten = "{_HOST}:0"\nadmin = "{_HOST}:0"\n'
        f"{CountingProvider.table(provider)}"
        f'[routes.orders]\nprovider = "idp"\ntenant = "header:X-Tenant"\ntenants = "listed"\n'
        f'on_failure = "closed"\nupstream = "http://{_HOST}:{upstream}"\n'
        f'extra = {{tenant = "{{tenant}}"}}\n'
        f'[authorize]\nlisten = "{_HOST}:{authorize}"\n'
        + "".join(f"[tenants.t{number}.idp]\n" for number in range(TENANTS))
    )
    return file


@contextmanager
def on_core(folder: Path, blocks: str, port: int, core: int) -> Iterator[int]:
    """Run nginx on a core, and yield its process ID."""
    folder.mkdir()
    with nginx_http(folder, blocks, port):
        file = folder / "nginx.pid"  # which nginx writes after it listens
        pid = int(until(lambda: file.exists() and file.read_text()))
        os.sched_setaffinity(pid, {core})
        yield pid


def forwarding(port: int, upstream: int) -> str:
    """Return the configuration of nginx without tokens."""
    return (
        f"upstream behind {{ server {_HOST}:{upstream}; keepalive 32; }}\n"
        f"server {{ listen {_HOST}:{port}; location / {{ proxy_pass http://behind;\n"
        'proxy_http_version 1.1; proxy_set_header Connection ""; } }\n'
    )


def stale_seconds(file: Path, running: GatewayProcess, port: int) -> float:
    """Remove a tenant from the file, and return the seconds until nginx rejects its requests.

    The seconds count from the response to ``POST /reload``, after which the gateway itself rejects
    the tenant.
    """
    text = file.read_text()
    address = f"http://{_HOST}:{running.admin}/reload"
    request = urllib.request.Request(f"http://{_HOST}:{port}/orders", headers={"X-Tenant": "t0"})

    def accepted() -> bool:
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                response.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code != 403
        return True

    end = time.monotonic() + random.uniform(0.5, 3.0)
    while time.monotonic() < end:
        accepted()  # in use, so the cached token is of any age
    file.write_text(text.replace("[tenants.t0.idp]\n", ""))
    urllib.request.urlopen(urllib.request.Request(address, method="POST"), timeout=30).close()
    began = time.monotonic()
    while accepted():
        time.sleep(0.002)
    passed = time.monotonic() - began
    file.write_text(text)
    urllib.request.urlopen(urllib.request.Request(address, method="POST"), timeout=30).close()
    return passed


def measure(rounds: int, seconds: float, kilobytes: int, revocations: int) -> None:
    """Run the rounds, and print the tables."""
    print(
        f"{machine()} {rounds} rounds of {seconds:g} s for each row, {kilobytes} kB more "
        "in each response.\n"
    )
    here()
    own = next(iter(os.sched_getaffinity(0)))
    proxies = min({*range(os.cpu_count() or 1)} - {own}, default=GATEWAY_CORE)
    with ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory()))
        provider = running.enter_context(asgi_server(CountingProvider("secret")))
        ports = {
            name: free_port() for name in ("upstream", "plain", "cached", "never", "authorize")
        }
        blocks = (
            'map $http_authorization $token { "~^Bearer (.*)" $1; default "-"; }\n'
            f"server {{ listen {_HOST}:{ports['upstream']}; keepalive_requests 1000000;\n"
            f'default_type text/plain; location / {{ set $more "{"x" * 1000}";\n'
            f'return 200 "$token{"$more" * kilobytes}."; }} }}\n'
        )
        running.enter_context(on_core(folder / "upstream", blocks, ports["upstream"], own))
        file = write_config(folder, provider, ports["upstream"], ports["authorize"])
        serving = running.enter_context(gateway(file, core=proxies))
        pids = {}
        for name in ("cached", "never"):
            made = plan(ConfigFile(file), (_HOST, ports[name]))
            made = made if name == "cached" else replace(made, cache_seconds=0)
            text = nginx_configuration(made).replace("/run/grantway-nginx", f"{folder}/tokens")
            pids[name] = running.enter_context(on_core(folder / name, text, ports[name], proxies))
        text = forwarding(ports["plain"], ports["upstream"])
        plain = running.enter_context(on_core(folder / "plain", text, ports["plain"], proxies))
        candidates = {
            "nginx without tokens": Candidate(ports["plain"], (plain,), tokens=False),
            "nginx, token cached (`grantway gateway config nginx`)": Candidate(
                ports["cached"], (pids["cached"], serving.pid)
            ),
            "nginx, `auth_request` without cache": Candidate(
                ports["never"], (pids["never"], serving.pid)
            ),
            "the gateway's own proxy": Candidate(serving.port, (serving.pid,)),
        }
        rates: dict[str, list[float]] = {name: [] for name in candidates}
        costs: dict[str, list[float]] = {name: [] for name in candidates}
        for number in range(-1, rounds):  # the first one fills caches
            for name, each in candidates.items():
                ask(each.port, _WARM, tokens=each.tokens)
                before, began = sum(map(busy, each.pids)), time.monotonic()
                count = ask(each.port, seconds, tokens=each.tokens)
                if number >= 0:
                    rates[name].append(count / (time.monotonic() - began))
                    costs[name].append((sum(map(busy, each.pids)) - before) / count)
        stale = [stale_seconds(file, serving, ports["cached"]) for _ in range(revocations)]
    first = next(iter(candidates))
    print("| | requests/s | of nginx without tokens | CPU time per request, µs |")
    print("|---|--:|--:|--:|")
    for name in candidates:
        share = statistics.median(
            each / base for each, base in zip(rates[name], rates[first], strict=True)
        )
        rate, cost = statistics.median(rates[name]), statistics.median(costs[name])
        print(f"| {name} | {rate:,.0f} | {share:.2f} | {cost * 1e6:.0f} |")
    print(f"\nLoad after the run: {os.getloadavg()[0]:.1f}.")
    if not stale:
        return
    print(
        f"Seconds for which nginx used a cached token after its tenant was removed, {revocations} "
        f"times: {min(stale):.1f} to {max(stale):.1f}, median {statistics.median(stale):.1f}."
    )


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--kilobytes", type=int, default=0, help="size to add to each response")
    parser.add_argument("--revocations", type=int, default=8)
    options = parser.parse_args()
    measure(options.rounds, options.seconds, options.kilobytes, options.revocations)


if __name__ == "__main__":
    main()
