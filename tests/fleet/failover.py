"""Kill or suspend the primary of a shared store while machines refresh a token, repeatedly.

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
#: Longest time between the requests and the failure in seconds; a refresh takes about that long.
_LATEST_FAILURE = 0.05
#: Longest suspension in seconds. Another server takes over after about two.
_LONGEST_SUSPENSION = 6.0
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


def play(
    kind: str,
    rounds: int,
    folder: Path,
    *,
    suspend: bool = False,
    seed: int = 0,
    **options: Any,
) -> Outcome:
    """Expire the token and let the primary fail in each round, and return what happened.

    Args:
        kind: A name in ``GROUPS``.
        rounds: Number of rounds.
        folder: Folder for the issuer and the home folders of the machines.
        suspend: Whether the primary is suspended, and comes back with its memory and connections,
            before another server takes over or after. Otherwise it is killed.
        seed: Determines when the primary fails, and how long it is suspended.
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
            pause = chance.uniform(0.0, _LATEST_FAILURE)
            suspension = chance.uniform(0.0, _LONGEST_SUSPENSION) if suspend else None
            _play_round(group, valkey, pause, suspension, outcome)
            valkey.wait_for_replicas(replicas)
    return outcome


def _play_round(
    group: Fleet, valkey: ValkeyGroup, pause: float, suspension: float | None, outcome: Outcome
) -> None:
    issuer, name = group.issuer, f"grantway:{group.credential.key}".encode()
    issuer.statuses.clear()
    group.advance(HOUR)
    failing = valkey.primary(name)
    for machine in group.machines:
        machine.send("request", timeout=PATIENCE)
    time.sleep(pause)
    if suspension is None:
        failing.stop()
        valkey.wait_for_another_primary(failing, name)
        failing.restart()
    else:
        failing.pause()
        time.sleep(suspension)
        failing.resume()
    result = combined([machine.receive() for machine in group.machines])
    valkey.rejoin(failing, name)
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
        "| servers | primary | rounds | with one request | requests rejected | logins lost "
        "| errors | longest wait: median, maximum |\n|---|---|---|---|---|---|---|---|"
    )
    cases: list[tuple[str, str, dict[str, Any]]] = [
        (kind, failure, {}) for failure in ("killed", "suspended") for kind in GROUPS
    ]
    cases += [("Sentinels", "suspended", {"replicas": 2}), ("Sentinels", "killed", {"replicas": 0})]
    for kind, failure, options in cases:
        suspend = failure == "suspended"
        with tempfile.TemporaryDirectory() as folder:
            row = play(kind, rounds, Path(folder), suspend=suspend, **options).row
        named = "".join(f", `{name}={value}`" for name, value in options.items())
        print(f"| {kind}{named} | {failure} | {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
