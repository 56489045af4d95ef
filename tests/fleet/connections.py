"""Kill gateways and restart the store while users use their connections; count lost ones.

Run ``python -m tests.fleet.connections`` for the table in ``docs/explanation/connections.md``.

Each connection has a refresh token that the issuer rotates and accepts once; its reuse detection
revokes a login. Three gateways serve requests of random users, half of which come from a small
group. Two gateways are killed with SIGKILL and the store is killed and restarted at random times.
Callers repeat a failed request. At last, each connection is refreshed once more
through a gateway (or fewer, with ``--last``).
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sqlite3
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from grantway_plugins.gateway._connections.user import User
from grantway_plugins.stores import generate_key
from tests.benchmarks.gateway.machines import Backend, GatewayProcess, backend
from tests.fleet.connection_load import AUDIENCE, Callers, new_key
from tests.fleet.connection_seed import ISSUER, PROVIDER, seed, users
from tests.interop.program import Program
from tests.postgres import postgres_server
from tests.valkey import valkey_server

STORES: dict[str, tuple[str, Callable[[], AbstractContextManager[Any]]]] = {
    "PostgreSQL": ("sql", postgres_server),
    "Valkey": ("redis", valkey_server),
}
GATEWAYS, KILLED = 3, 2
#: Number of users who send half of the requests.
_FREQUENT = 200
#: Seconds for which access tokens are valid, at least as long as a refresh window.
_LIFETIME = 20.0
#: Seconds to wait for the webhooks: a killed gateway's claim ends after 300.
_WEBHOOKS = 400.0


@dataclass
class Outcome:
    """What happened.

    Attributes:
        connections: Number of connections.
        during: Outcomes of requests while gateways and the store failed.
        after: Outcomes of requests for the last refresh of all connections.
        refreshes: Number of tokens that the issuer issued for refresh tokens.
        unused: Number of refresh tokens that a gateway never used, besides the last of each login.
        revoked: Number of logins that the issuer's reuse detection revoked.
        refreshed: Number of connections that were refreshed at the end.
        lost: Connections that ended, and the error.
        broken: Number of connections that the issuer had ended before.
        webhooks: Number of messages about these by their identifier.
    """

    connections: int
    during: Counter[str] = field(default_factory=Counter)
    after: Counter[str] = field(default_factory=Counter)
    refreshes: int = 0
    unused: int = 0
    revoked: int = 0
    refreshed: int = 0
    lost: dict[str, str] = field(default_factory=dict)
    broken: int = 0
    webhooks: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    @property
    def row(self) -> list[str]:
        """The columns of the table."""
        # The ended connections are rejected as they should be.
        failed = {
            name: number
            for name, number in self.during.most_common()
            if name != "200" and not name.startswith("403")
        }
        kinds = ", ".join(f"{number:,} {name}" for name, number in failed.items())
        return [
            f"{self.connections:,}",
            f"{self.refreshes:,}",
            f"{self.during['200']:,}",
            f"{sum(failed.values()):,}: {kinds}" if failed else "0",
            f"{self.unused:,}",
            f"{self.refreshed:,}",
            f"**{len(self.lost):,}**",
            f"{len(self.webhooks)} of {self.broken}",
        ]


def play(
    kind: str,
    folder: Path,
    *,
    number: int,
    broken: int,
    seconds: float,
    at_once: int = 32,
    last: int | None = None,
    seed_of_chance: int = 0,
) -> Outcome:
    """Connect users, let everything fail for a time, and count what is left.

    Args:
        kind: A name in ``STORES``.
        folder: Folder for all files.
        number: Number of connections.
        broken: Number of further connections that the issuer has ended.
        seconds: Time of the failures.
        at_once: Number of concurrent requests.
        last: Number of connections to refresh at the end: all that were used, and random others.
            None refreshes all.
        seed_of_chance: Determines what fails when.
    """
    name, serve = STORES[kind]
    chance, outcome = random.Random(seed_of_chance), Outcome(number, broken=broken)
    began = time.monotonic()
    with (
        serve() as server,
        backend(folder, lifetime=_LIFETIME, reuse_window=30.0, core=None) as behind,
        _receiver() as (webhook, received),
    ):
        database = folder / "issuer.sqlite3"
        key = new_key(folder)
        config = _write_config(folder, behind, name, server.url, webhook)
        people = users(0, number + broken)
        seed(config, database, behind.facts["client_id"], people)
        _end_logins(database, people[number:])
        _note(kind, f"connected {len(people):,} users", began)
        with ExitStack() as running:
            group = [running.enter_context(_gateway(config)) for _ in range(GATEWAYS)]
            ports = [each.port for each in group]
            callers = Callers(lambda: ports, key)

            async def under_load(callers: Callers = callers, group: Any = group) -> None:
                until = time.monotonic() + seconds
                requested = _chosen(people, number, chance)
                await asyncio.gather(
                    callers.run(requested, at_once, until), _fail(group, server, chance, seconds)
                )

            asyncio.run(under_load())
            outcome.during = callers.outcomes
            _note(kind, f"{callers.outcomes}", began)
            for each in group:
                each.stop()
            del group, ports
        with ExitStack() as running:
            ports = [running.enter_context(_gateway(config)).port for _ in range(GATEWAYS)]
            counts = _refresh_counts(database)
            final = Callers(lambda: ports, key)
            chosen = people if last is None else _some(people, callers, last, chance)
            asyncio.run(_all_once(final, chosen, callers.finished, at_once))
            outcome.after = final.outcomes
            ended = {each.subject for each in people[number:]}
            outcome.lost = {who: why for who, why in final.denied.items() if who not in ended}
            _note(kind, f"{final.outcomes}", began)
            deadline = time.monotonic() + _WEBHOOKS
            while len(received) < broken and time.monotonic() < deadline:
                time.sleep(0.2)
        now = _refresh_counts(database)
        outcome.refreshed = sum(now[each] > counts[each] for each in now if each not in ended)
        outcome.refreshes = sum(now.values())
        outcome.unused, outcome.revoked = _unused_and_revoked(database)
        outcome.revoked -= broken
        outcome.webhooks = Counter(received)
    outcome.seconds = time.monotonic() - began
    return outcome


def _some(people: list[User], callers: Callers, number: int, chance: random.Random) -> list[User]:
    """Return all users who sent requests, and random others up to a number."""
    used = callers.finished.keys() | callers.denied.keys()
    rest = [each for each in people if each.subject not in used]
    chance.shuffle(rest)
    return [each for each in people if each.subject in used] + rest[: max(0, number - len(used))]


def _chosen(people: list[User], number: int, chance: random.Random) -> Iterator[User]:
    """Yield the users whose login has ended, and then random ones."""
    yield from people[number:]
    while True:
        frequent = chance.random() < 0.5
        yield people[chance.randrange(min(number, _FREQUENT) if frequent else number)]


async def _fail(group: list[_Gateway], server: Any, chance: random.Random, seconds: float) -> None:
    """Kill two gateways and restart the store, each at a random time."""
    victims = chance.sample(group, KILLED)
    work = [*(each.kill for each in victims), server.restart]
    chance.shuffle(work)
    times = sorted(chance.uniform(0.1, 0.7) * seconds for _ in work)
    start = time.monotonic()
    for at, each in zip(times, work, strict=True):
        await asyncio.sleep(start + at - time.monotonic())
        await asyncio.to_thread(each)


async def _all_once(
    callers: Callers, people: list[User], finished: dict[str, float], at_once: int
) -> None:
    """Request each user once, after the tokens of ``finished`` have expired."""

    async def send(some: list[User]) -> None:
        await callers.run(some, at_once)

    fresh = [each for each in people if each.subject in finished]
    await send([each for each in people if each.subject not in finished])
    wait = max(finished.values(), default=0.0) + _LIFETIME + 1.0 - time.monotonic()
    await asyncio.sleep(max(0.0, wait))
    await send(fresh)


class _Gateway(GatewayProcess):
    def stop(self) -> None:
        self._program.stop()


@contextmanager
def _gateway(config: Path) -> Iterator[_Gateway]:
    command = [sys.executable, "-m", "grantway_plugins.cli", "gateway", "--config", config]
    with Program(command, cwd=config.parent) as program:
        yield _Gateway(program)


def _write_config(folder: Path, behind: Backend, kind: str, url: str, webhook: str) -> Path:
    path, issuer = folder / "gateway.toml", behind.facts["issuer"]
    secret = "whsec_" + "A" * 32
    path.write_text(f"""\
[gateway]
hosts = ["gateway.test"]
listen = "127.0.0.1:0"
admin = "127.0.0.1:0"
store = {{ kind = "{kind}", url = "{url}" }}
[inbound]
resource = "{AUDIENCE}"
cache_entries = 1000
[[inbound.issuer]]
issuer = "{ISSUER}"
jwks_file = "{folder}/keys.json"
[connections]
url = "https://gateway.test"
key = "{generate_key()}"
webhook = {{ url = "{webhook}", secret = "{secret}" }}
[connections.providers.{PROVIDER}]
scope = ["read"]
[providers.{PROVIDER}]
token_endpoint = "{issuer}/token"
authorization_endpoint = "{issuer}/authorize"
client_id = "{behind.facts["client_id"]}"
client_secret = "{behind.facts["client_secret"]}"
[routes.echo]
upstream = "{behind.facts["echo"]}"
provider = "{PROVIDER}"
grant = "connection"
tenant = "user"
on_failure = "closed"
""")
    return path


@contextmanager
def _receiver() -> Iterator[tuple[str, list[str]]]:
    """Receive webhooks; yield the URL and the identifiers of received messages."""
    received: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            received.append(self.headers["webhook-id"])
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_arguments: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/", received
        finally:
            server.shutdown()
            thread.join()


def _end_logins(database: Path, people: list[User]) -> None:
    with closing(sqlite3.connect(database, timeout=30)) as connection, connection:
        connection.executemany(
            "UPDATE families SET revoked_at = ? WHERE subject = ?",
            [(time.time(), each.subject) for each in people],
        )


def _refresh_counts(database: Path) -> dict[str, int]:
    """Return the number of refreshes by user."""
    with closing(sqlite3.connect(database, timeout=30)) as connection:
        return dict(
            connection.execute(
                "SELECT subject, count(*) - 1 FROM refresh_tokens JOIN families USING (family_id)"
                " GROUP BY family_id"
            ).fetchall()
        )


def _unused_and_revoked(database: Path) -> tuple[int, int]:
    with closing(sqlite3.connect(database, timeout=30)) as connection:
        unused = connection.execute(
            "SELECT count(*) - count(DISTINCT family_id) FROM refresh_tokens WHERE used_at IS NULL"
        ).fetchone()[0]
        revoked = connection.execute(
            "SELECT count(*) FROM families WHERE revoked_at IS NOT NULL"
        ).fetchone()[0]
    return unused, revoked


def _note(kind: str, text: str, began: float) -> None:
    print(f"{kind}, {time.monotonic() - began:.0f} s: {text}", file=sys.stderr, flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=100_000)
    parser.add_argument("--broken", type=int, default=100, help="further connections that ended")
    parser.add_argument("--seconds", type=float, default=60.0, help="of failures")
    parser.add_argument("--last", type=int, help="connections to refresh at the end, else all")
    parser.add_argument("--store", choices=STORES, action="append")
    options = parser.parse_args()
    print(
        "| store | connections | refreshes | requests during failures | failed and repeated | "
        "refresh tokens lost | refreshed at the end | connections lost | "
        "webhooks of ended connections |\n|---|--:|--:|--:|---|--:|--:|--:|--:|",
        flush=True,
    )
    for kind in options.store or STORES:
        with tempfile.TemporaryDirectory() as folder:
            outcome = play(
                kind,
                Path(folder),
                number=options.connections,
                broken=options.broken,
                seconds=options.seconds,
                last=options.last,
            )
        print(f"| {kind} | {' | '.join(outcome.row)} |", flush=True)
        assert not outcome.lost, outcome.lost


if __name__ == "__main__":
    main()
