"""Kill the primary of a shared store while machines refresh a token, again and again.

Run ``python -m tests.fleet.failover`` for the table in ``docs/how-to/share-across-machines.md``.
"""

from __future__ import annotations

import argparse
import logging
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from tests.fleet.issuer import HOUR, StrictIssuer
from tests.fleet.machines import Fleet, combined, fleet
from tests.valkey_groups import ValkeyGroup, cluster_group, sentinel_group
from tests.waiting import PATIENCE

#: Kinds of groups, and the number of replicas that are connected before each round.
GROUPS: dict[str, tuple[Callable[[], AbstractContextManager[ValkeyGroup]], int]] = {
    "Sentinels": (sentinel_group, 2),
    "cluster": (cluster_group, 3),
}
#: Longest time between the requests and the kill in seconds; a refresh takes about that long.
_LATEST_KILL = 0.1
MACHINES, THREADS = 3, 8


@dataclass
class Outcome:
    """The outcome of all rounds.

    Attributes:
        rounds: Number of rounds.
        statuses: Number of token responses by HTTP status.
        single: Number of rounds with exactly one token response.
        lost: Number of rounds after which a user has to log in again.
        errors: Number of errors that callers got, by class.
        waits: Longest wait of a caller in each round, in seconds.
    """

    rounds: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    single: int = 0
    lost: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    waits: list[float] = field(default_factory=list)

    @property
    def row(self) -> list[str]:
        """The columns of the table."""
        return [
            f"{self.rounds}",
            f"{self.single}",
            f"{self.statuses.total() - self.statuses[200]}",
            f"{self.lost}",
            f"{self.errors.total()}",
            f"{median(self.waits):.1f} s, {max(self.waits):.1f} s",
        ]


def store_options(valkey: ValkeyGroup, **options: Any) -> tuple[str, dict[str, Any]]:
    """Return the name and options of a store for a group."""
    return "redis", {"url": valkey.url, "timeout": 2.0, "failover": PATIENCE / 2, **options}


def play(kind: str, rounds: int, folder: Path, *, seed: int = 0, **options: Any) -> Outcome:
    """Expire the token and kill the primary in each round, and return what happened.

    Args:
        kind: A name in ``GROUPS``.
        rounds: Number of rounds.
        folder: Folder for the issuer and the home folders of the machines.
        seed: Determines when the primary is killed.
        options: Further options of the store.
    """
    make, replicas = GROUPS[kind]
    chance, outcome = random.Random(seed), Outcome()
    with (
        make() as valkey,
        StrictIssuer(folder) as issuer,
        fleet(
            folder, issuer, store_options(valkey, **options), machines=MACHINES, threads=THREADS
        ) as group,
    ):
        for _ in range(rounds):
            _play_round(group, valkey, chance.uniform(0.0, _LATEST_KILL), outcome)
            valkey.wait_for_replicas(replicas)
    return outcome


def _play_round(group: Fleet, valkey: ValkeyGroup, pause: float, outcome: Outcome) -> None:
    issuer, name = group.issuer, f"grantway:{group.credential.key}".encode()
    issuer.statuses.clear()
    group.advance(HOUR)
    killed = valkey.primary(name)
    for machine in group.machines:
        machine.send("request", timeout=PATIENCE)
    time.sleep(pause)
    killed.stop()
    valkey.wait_for_another_primary(killed, name)
    killed.restart()
    result = combined([machine.receive() for machine in group.machines])
    valkey.rejoin(killed, name)
    outcome.rounds += 1
    outcome.statuses.update(issuer.statuses)
    outcome.single += issuer.statuses == [200]
    outcome.errors.update(result.errors)
    outcome.waits.append(result.seconds)
    stored = group.stored
    if stored is None or {stored.access_token} != result.tokens:
        outcome.lost += 1
        group.login_all()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    rounds = parser.parse_args().rounds
    logging.getLogger("grantway").setLevel(logging.ERROR)
    print(
        "| servers | rounds | with one request | requests rejected | logins lost | errors | "
        "longest wait: median, maximum |\n|---|---|---|---|---|---|---|"
    )
    for kind, options in (("Sentinels", {}), ("cluster", {}), ("Sentinels", {"replicas": 0})):
        with tempfile.TemporaryDirectory() as folder:
            row = play(kind, rounds, Path(folder), **options).row
        named = "".join(f", `{name}={value}`" for name, value in options.items())
        print(f"| {kind}{named} | {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
