"""Refresh requests and failed callers when a shared token expires.

Run: ``python tests/benchmarks/fleet/run.py [--rounds N]``

64 threads of one process, and then 8 processes that share a file, request a token at once. The
issuer runs in another process on loopback. It rotates each refresh token, and revokes the login if
one is reused (RFC 9700 section 4.14.2). Each round uses a new login.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT))

from tests.benchmarks.fleet.peers import BY_BODY, PROCESSES, SCOPE, THREADS, Login  # noqa: E402
from tests.fleet.issuer import StrictIssuer  # noqa: E402

#: Seconds until a client is considered hung.
LIMIT = 120


@dataclass(frozen=True)
class Seen:
    """The result of one round.

    Attributes:
        sent: Number of refresh requests that the issuer received.
        failed: Number of callers that got an error.
        useless: Number of callers that got a revoked token.
    """

    sent: int
    failed: int
    useless: int


# --- In the process of the client -----------------------------------------------------------------


def work(kind: str, peer: str, callers: int) -> None:
    """Request a token in a number of threads at once, and print the results."""
    login = Login(**json.loads(sys.stdin.readline()))
    ask = THREADS[peer](login) if kind == "threads" else PROCESSES[peer][1](login)
    barrier = threading.Barrier(callers)

    def one(_number: int) -> str | None:
        barrier.wait()
        try:
            return ask()
        except Exception:  # noqa: BLE001 - any error means that the caller has no token
            return None

    print("ready", flush=True)
    sys.stdin.readline()
    with ThreadPoolExecutor(callers) as pool:
        print(json.dumps(list(pool.map(one, range(callers)))), flush=True)


# --- In the process of the benchmark --------------------------------------------------------------


def play(kind: str, peer: str, *, processes: int, threads: int) -> Seen:
    """Run one round."""
    with (
        tempfile.TemporaryDirectory() as folder,
        StrictIssuer(
            Path(folder),
            scope=SCOPE,
            auth="client_secret_post" if peer in BY_BODY else "client_secret_basic",
        ) as issuer,
    ):
        token = issuer.login()
        login = Login(
            issuer.url,
            issuer.client_id,
            issuer.client_secret,
            token.access_token,
            token.refresh_token or "",
            folder,
        )
        if kind == "processes":
            PROCESSES[peer][0](login)
            issuer.statuses.clear()
        got = _answers(kind, peer, login, processes, threads)
        sent = len(issuer.statuses)
        return Seen(
            sent,
            got.count(None),
            sum(each is not None and not issuer.is_active(each) for each in got),
        )


def _answers(kind: str, peer: str, login: Login, processes: int, threads: int) -> list[str | None]:
    command = [sys.executable, __file__, "--work", kind, "--peer", peer, "--callers", str(threads)]
    running = [
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(processes)
    ]
    try:
        for each in running:
            assert each.stdin is not None
            each.stdin.write(json.dumps(asdict(login)) + "\n")
            each.stdin.flush()
        for each in running:
            assert each.stdout is not None
            if each.stdout.readline() != "ready\n":
                raise SystemExit(f"{peer}: {each.communicate()[1]}")
        for each in running:
            assert each.stdin is not None
            each.stdin.write("go\n")
            each.stdin.flush()
        found: list[str | None] = []
        for each in running:
            found += json.loads(each.communicate(timeout=LIMIT)[0])
        return found
    finally:
        for each in running:
            each.kill()
            each.communicate()


def table(kind: str, peers: list[str], rounds: int, *, processes: int, threads: int) -> None:
    """Run the rounds, and print a line for each client."""
    print(f"\n{processes * threads} callers: {processes} process(es) of {threads} thread(s)\n")
    print(
        f"| client | refreshes sent | callers with an error, of {processes * threads} | "
        "callers with a revoked token |"
    )
    print("|---|--:|--:|--:|")
    for peer in peers:
        alone = play(kind, peer, processes=1, threads=1)
        if alone != Seen(1, 0, 0):
            raise SystemExit(f"{peer} fails without concurrency: {alone}")
        seen = [play(kind, peer, processes=processes, threads=threads) for _ in range(rounds)]
        columns = (
            [each.sent for each in seen],
            [each.failed for each in seen],
            [each.useless for each in seen],
        )
        print(f"| {peer} | {' | '.join(map(_span, columns))} |", flush=True)


def _span(numbers: list[int]) -> str:
    low, high = min(numbers), max(numbers)
    return str(low) if low == high else f"{low} to {high}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--work", help=argparse.SUPPRESS)
    parser.add_argument("--peer", help=argparse.SUPPRESS)
    parser.add_argument("--callers", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options.work, options.peer, options.callers)
        return
    names = sorted({*THREADS, *PROCESSES}, key=str.lower)
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in names)
    print(f"Python {platform.python_version()}; {versions}; {options.rounds} rounds.")
    table("threads", list(THREADS), options.rounds, processes=1, threads=64)
    table("processes", list(PROCESSES), options.rounds, processes=8, threads=1)


if __name__ == "__main__":
    main()
