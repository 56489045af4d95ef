"""Throughput of refreshes at the issuer, compared with npm's oidc-provider.

Run from the repository's root:
``python -m tests.benchmarks.issuer [--rounds N] [--seconds S] [--directory PATH] [--only TEXT]``

The server and the load generator each have a core; PostgreSQL shares the core of the generator.
Eight clients (32 for PostgreSQL) with persistent connections each refresh a separate chain of
tokens: every request uses the refresh token of the previous response. The servers alternate, and
each ratio is the median of the ratios within a round, so that other load on the machine affects
both servers alike. Throughputs of different runs are not comparable. The server's processor time
for a response is steadier, because it does not depend on the load generator and the disk.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import math
import os
import re
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus, urlencode, urlsplit

import requests
from joserfc.jwk import ECKey

from grantway_plugins.client_auth import SigningKey
from tests.interop.grantway_serve import serving
from tests.interop.oidc_provider import OidcProvider
from tests.postgres import postgres_server

DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
CLIENTS = 8
#: Number of clients on PostgreSQL, whose commits wait for the disk.
MANY_CLIENTS = 32
#: Maximum number of responses in a run.
MOST_ANSWERS = 100_000
#: Seconds beyond the duration of a run until it times out.
GRACE = 30.0
TIMEOUT = 30.0

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_REFRESH_TOKEN = re.compile(rb'"refresh_token": *"([^"]+)"')


@dataclass
class Target:
    """A kind of request to one server.

    Attributes:
        name: Name of the server and the grant.
        durability: Events that an issued token survives.
        url: URL of the token endpoint.
        pid: Process ID of the server.
        auth: Authorization header.
        chains: A refresh token for each client; empty for client_credentials.
        proof: Returns a DPoP proof (RFC 9449) for a request, or None.
        rates: Responses per second of each round.
        seconds: Latency of each response.
        load: The load generator's share of its core in each round.
        server: The server's CPU time per response in each round, in seconds.
    """

    name: str
    durability: str
    url: str
    pid: int
    auth: str
    chains: list[bytes] = field(default_factory=list)
    proof: Callable[[], bytes] | None = None
    rates: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    load: list[float] = field(default_factory=list)
    server: list[float] = field(default_factory=list)


class _Client(asyncio.Protocol):
    """A persistent connection that sends the next request after each response."""

    def __init__(self, target: Target, place: int, may_ask: Callable[[], bool]) -> None:
        self._place = place
        self._chains = target.chains
        self._proof = target.proof
        self._is_allowed_page = may_ask
        parts = urlsplit(target.url)
        self._head = (
            f"POST {parts.path} HTTP/1.1\r\nhost: {parts.netloc}\r\n"
            f"authorization: {target.auth}\r\naccept: application/json\r\n"
            "content-type: application/x-www-form-urlencoded\r\ncontent-length: "
        ).encode()
        self._answer = b""
        self.seconds: list[float] = []
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._ask()

    def _ask(self) -> None:
        if self._chains:
            token = self._chains[self._place]
            body = b"grant_type=refresh_token&refresh_token=" + token
        else:
            body = b"grant_type=client_credentials"
        self._began = time.perf_counter()
        proof = b"" if self._proof is None else b"\r\ndpop: " + self._proof()
        self._transport.write(b"%b%d%b\r\n\r\n%b" % (self._head, len(body), proof, body))

    def data_received(self, data: bytes) -> None:
        self._answer += data
        end = self._answer.find(b"\r\n\r\n")
        length = _LENGTH.search(self._answer, 0, end) if end >= 0 else None
        if length is None or len(self._answer) < end + 4 + int(length[1]):
            return
        self.seconds.append(time.perf_counter() - self._began)
        response, self._answer = self._answer, b""
        if not response.startswith(b"HTTP/1.1 200"):
            self._end(RuntimeError(response.decode(errors="replace")))
            return
        if self._chains:
            token = _REFRESH_TOKEN.search(response, end)
            assert token is not None, response
            self._chains[self._place] = token[1]
        if self._is_allowed_page():
            self._ask()
        else:
            self._end(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(exc or ConnectionError("the server closed the connection"))

    def _end(self, error: Exception | None) -> None:
        if not self.done.done():
            if error is None:
                self.done.set_result(None)
            else:
                self.done.set_exception(error)
        self._transport.close()


async def _run(target: Target, seconds: float) -> tuple[list[float], float]:
    """Send requests for `seconds`; return the latencies and the total duration."""
    loop = asyncio.get_running_loop()
    left = MOST_ANSWERS
    until = time.perf_counter() + seconds

    def may_ask() -> bool:
        nonlocal left
        left -= 1
        return left > 0 and time.perf_counter() < until

    parts = urlsplit(target.url)
    began = time.perf_counter()
    made = [
        await loop.create_connection(
            lambda place=place: _Client(target, place, may_ask), parts.hostname, parts.port
        )
        for place in range(len(target.chains) or CLIENTS)
    ]
    clients = [client for _, client in made]
    try:
        async with asyncio.timeout(seconds + GRACE):
            await asyncio.gather(*(client.done for client in clients))
    finally:
        for transport, _ in made:
            transport.close()
    took = time.perf_counter() - began
    return [each for client in clients for each in client.seconds], took


def measure(targets: list[Target], rounds: int, seconds: float) -> None:
    """Measure the targets alternately; the first, longer round is a warm-up."""
    for number in range(rounds + 1):
        for target in targets:
            busy, server = time.process_time(), _processor_seconds(target.pid)
            answers, took = asyncio.run(_run(target, seconds if number else 2 * seconds))
            busy, server = time.process_time() - busy, _processor_seconds(target.pid) - server
            if number:
                target.rates.append(len(answers) / took)
                target.seconds += answers
                target.load.append(busy / took)
                target.server.append(server / len(answers))


def _processor_seconds(pid: int) -> float:
    """Return the CPU time of a process's threads in seconds; nan on unsupported systems."""
    try:
        threads = Path(f"/proc/{pid}/task").iterdir()
        return sum(int((each / "schedstat").read_text().split()[0]) for each in threads) / 1e9
    except OSError:
        return math.nan


def _basic(client_id: str, client_secret: str | None) -> str:
    pair = f"{quote_plus(client_id)}:{quote_plus(client_secret or '')}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


def _device_login(
    http: requests.Session, auth: str, start: str, token: str, approve: Callable[[str], None]
) -> bytes:
    """Return the refresh token of a new login."""
    headers = {"authorization": auth}
    started = http.post(start, data={"scope": "read"}, headers=headers, timeout=TIMEOUT).json()
    approve(started["verification_uri_complete"])
    form = {"grant_type": DEVICE_CODE, "device_code": started["device_code"]}
    response = http.post(token, data=form, headers=headers, timeout=TIMEOUT)
    response.raise_for_status()
    return urlencode({"": response.json()["refresh_token"]})[1:].encode()


@contextmanager
def _grantway(
    name: str, survives: str, http: requests.Session, *options: str, clients: int = CLIENTS
) -> Iterator[Target]:
    with serving("--approve", "auto", *options) as server:
        url = server.url
        response = http.post(
            f"{url}/register",
            json={"grant_types": [DEVICE_CODE, "refresh_token"], "scope": "read"},
            timeout=TIMEOUT,
        )
        response.raise_for_status()
        registered = response.json()
        auth = _basic(registered["client_id"], registered["client_secret"])
        start, token = f"{url}/device_authorization", f"{url}/token"
        yield Target(
            name=name,
            durability=survives,
            url=token,
            pid=server.pid,
            auth=auth,
            chains=[
                _device_login(http, auth, start, token, lambda _uri: None) for _ in range(clients)
            ],
        )


def _sqlite(directory: Path, name: str) -> tuple[str, str]:
    return "--database", str(directory / f"{name}.sqlite3")


def _es256_proof(url: str) -> Callable[[], bytes]:
    """Return a function that returns a new DPoP proof for a token endpoint."""
    key = SigningKey(ECKey.generate_key("P-256"), alg="ES256")
    header = {"typ": "dpop+jwt", "jwk": key.public_jwk()}
    base = {"htm": "POST", "htu": url}

    def proof() -> bytes:
        claims = {**base, "jti": secrets.token_urlsafe(16), "iat": int(time.time())}
        return key.sign(header, claims).encode()

    return proof


@contextmanager
def _oidc_provider(http: requests.Session) -> Iterator[list[Target]]:
    with OidcProvider() as provider:
        client = provider.clients["basic"]
        auth = _basic(client.client_id, client.client_secret)
        start, token = f"{provider.issuer}/device/auth", f"{provider.issuer}/token"
        memory = "none: a Map in memory that never evicts"
        yield [
            Target(
                name="oidc-provider, refresh",
                durability=memory,
                url=token,
                pid=provider.pid,
                auth=auth,
                chains=[
                    _device_login(http, auth, start, token, provider.approve_device)
                    for _ in range(CLIENTS)
                ],
            ),
            Target("oidc-provider, client_credentials", memory, token, provider.pid, auth),
        ]


def _cores() -> tuple[int, int] | None:
    """Return a core for the server and one for the load, or None if pinning is unsupported."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    cores = sorted(os.sched_getaffinity(0))
    return (cores[-1], cores[0]) if len(cores) > 1 else None


@contextmanager
def _on_core(core: int | None) -> Iterator[None]:
    """Run the block on one core; processes started in it stay on that core."""
    if core is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _ratio(target: Target, other: Target) -> float:
    return statistics.median(
        mine / theirs for mine, theirs in zip(target.rates, other.rates, strict=True)
    )


def _cpu_ratio(target: Target, other: Target) -> float:
    return statistics.median(
        mine / theirs for mine, theirs in zip(target.server, other.server, strict=True)
    )


def _report(targets: list[Target], *, pinned: bool) -> None:
    refresh = next(each for each in targets if each.name == "oidc-provider, refresh")
    where = "server on one core, load on another" if pinned else "cores not pinned"
    print(f"\nkept connections, {where}, {len(targets[0].rates)} rounds\n")
    print(
        "| server, request | CPU time per response (rounds) | x oidc-provider's refresh"
        " | responses/s (rounds) | x oidc-provider's refresh | median, p99 ms | generator busy"
        " | issued tokens survive |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for target in targets:
        rate, cpu = statistics.median(target.rates), [each * 1e6 for each in target.server]
        centiles = statistics.quantiles(target.seconds, n=100)
        print(
            f"| {target.name} | {statistics.median(cpu):.0f} us ({min(cpu):.0f}-{max(cpu):.0f})"
            f" | {_cpu_ratio(target, refresh):.2f}"
            f" | {rate:,.0f} ({min(target.rates):,.0f}-{max(target.rates):,.0f})"
            f" | {_ratio(target, refresh):.2f}"
            f" | {centiles[49] * 1000:.1f}, {centiles[98] * 1000:.1f}"
            f" | {statistics.median(target.load):.0%} | {target.durability} |"
        )


@contextmanager
def _targets(
    http: requests.Session, directory: Path, load_core: int | None
) -> Iterator[list[Target]]:
    """Start the servers."""
    process = "SIGKILL at any moment: SQLite, WAL, synchronous=NORMAL"
    with ExitStack() as exits:

        def grantway(name: str, survives: str, *options: str, clients: int = CLIENTS) -> Target:
            return exits.enter_context(
                _grantway(f"issuer, {name}", survives, http, *options, clients=clients)
            )

        opaque = grantway("refresh", process, *_sqlite(directory, "process"))
        others = exits.enter_context(_oidc_provider(http))
        power = grantway(
            *("refresh, --durability power", "a power failure: SQLite, synchronous=FULL"),
            *(*_sqlite(directory, "power"), "--durability", "power"),
        )
        jwt = grantway(
            *("refresh, JWT (ES256)", process),
            *(*_sqlite(directory, "jwt"), "--access-token-format", "jwt"),
        )
        bound = grantway("refresh, DPoP (ES256)", process, *_sqlite(directory, "dpop"))
        bound.proof = _es256_proof(bound.url)
        with _on_core(load_core):
            postgres = exits.enter_context(postgres_server())
        shared = grantway(
            *(f"refresh, PostgreSQL, {MANY_CLIENTS} clients", "a power failure: PostgreSQL"),
            *("--database", postgres.url),
            clients=MANY_CLIENTS,
        )
        yield [opaque, *others, power, jwt, bound, shared]


def main() -> None:
    """Start the servers, measure them, and print the results."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=15)
    options.add_argument("--seconds", type=float, default=1.0, help="of one run of one server")
    options.add_argument("--directory", help="folder of the SQLite files; must be on a disk")
    options.add_argument("--only", default="", help="part of the names of the issuer's rows")
    chosen = options.parse_args()
    cores = _cores()
    server_core, load_core = cores or (None, None)
    with ExitStack() as exits:
        http = exits.enter_context(requests.Session())
        http.trust_env = False
        directory = Path(exits.enter_context(tempfile.TemporaryDirectory(dir=chosen.directory)))
        with _on_core(server_core):
            targets = exits.enter_context(_targets(http, directory, load_core))
        targets = [
            each for each in targets if chosen.only in each.name or each.name.startswith("oidc-")
        ]
        exits.enter_context(_on_core(load_core))
        measure(targets, chosen.rounds, chosen.seconds)
        _report(targets, pinned=cores is not None)
    sys.stdout.flush()


if __name__ == "__main__":
    main()
