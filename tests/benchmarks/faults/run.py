"""What clients do with a refresh token on a bad network.

Run: ``python tests/benchmarks/faults/run.py [--client NAME] [--fault WORDS] [--workers N]``

Each client meets each fault in a process of its own, which may use 1 GiB of memory and is ended
after 20 seconds. All servers are on loopback. Every fault is played twice: for always, and once
with a healthy server behind it. The second says what a client saves; its server does not mind a
second send, so it says nothing of what the second send would cost with a provider that rotates.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve()
sys.path[:0] = [str(HERE.parents[3]), str(HERE.parent)]

from peers import PEERS, REFRESH_TOKEN, versions  # type: ignore[import-not-found]  # noqa: E402

from tests.bad_networks import FAULTS, Scene, scene  # noqa: E402

#: Seconds until a client is taken to hang, and bytes that it may use.
LIMIT = 20
MEMORY = 1024 * 1024 * 1024
#: Where an answer has no end, this many megabytes mean that the client has none either.
LARGE = 400
KEPT = "kept connection closed between two calls"


@dataclass(frozen=True)
class Seen:
    """What one client did with one fault.

    Attributes:
        outcome: ``token``, the name of an exception, or what else became of it.
        arrived: Requests that came to the server.
        tries: Connections, where no request came through them.
        leaked: Whether the refresh token came to the host of the redirect.
        seconds: From the call to its end.
        megabytes: Peak of the process.
    """

    outcome: str
    arrived: int
    tries: int
    leaked: bool
    seconds: float
    megabytes: float

    def __str__(self) -> str:
        parts = [f"{self.arrived}" + (f" of {self.tries}" if self.tries else ""), self.outcome]
        if self.leaked:
            parts.append("**secret sent there**")
        if self.seconds >= 1:
            parts.append(f"{self.seconds:.0f} s")
        if self.megabytes >= LARGE:
            parts.append(f"{self.megabytes:.0f} MB")
        return ", ".join(parts)


# --- In the process of the client ---------------------------------------------------------------


def work(peer: str, base: str, calls: int) -> None:
    """Refresh, and print what came of it.

    Args:
        peer: Which client.
        base: Where the provider is.
        calls: How many refreshes; before the last one, a line on standard input is awaited.
    """
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    refresh = PEERS[peer](base)
    for _ in range(calls - 1):
        refresh()
        print("ready", flush=True)
        sys.stdin.readline()
    began = time.monotonic()
    try:
        token = refresh()
    except Exception as error:  # noqa: BLE001 - its name is what is looked for
        name = type(error).__name__
        said = f"{name}: {error}" if name == "ReturnedError" else name
    else:
        said = {"at-1": "token", "at-foreign": "took the other host's token"}.get(
            str(token), "success without a token"
        )
    print(json.dumps({"outcome": said, "seconds": time.monotonic() - began}), flush=True)
    os._exit(0)


# --- In the process of the servers --------------------------------------------------------------


def observe(peer: str, name: str, times: int | None) -> Seen:
    """Let one client meet one fault."""
    with scene(name, times) as there:
        calls = 2 if name == KEPT else 1
        process = subprocess.Popen(
            [sys.executable, str(HERE), "--work", peer, there.base, str(calls)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "NO_PROXY": "*"},
            text=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        if calls > 1:
            process.stdout.readline()
            assert there.server is not None
            there.server.closed.wait(LIMIT)
            there.arrived.clear()
            process.stdin.write("\n")
            process.stdin.flush()
        began = time.monotonic()
        megabytes = _end(process)
        elapsed = time.monotonic() - began
        said = process.stdout.read().strip().splitlines()
        process.stdin.close()
        process.stdout.close()
        if not said and elapsed < LIMIT and megabytes < LARGE:
            raise RuntimeError(f"{peer} did not begin, or ended without a word, in: {name}")
        return _judge(there, json.loads(said[-1]) if said else None, elapsed, megabytes)


def _end(process: subprocess.Popen[str]) -> float:
    """Wait for a process, or end it; gives its peak of memory in megabytes."""
    until = time.monotonic() + LIMIT
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            break
        if time.monotonic() > until:
            process.kill()
            _, status, usage = os.wait4(process.pid, 0)
            break
        time.sleep(0.02)
    process.returncode = os.waitstatus_to_exitcode(status)
    scale = 1024 * 1024 if sys.platform == "darwin" else 1024
    return usage.ru_maxrss / scale


def _judge(there: Scene, said: dict[str, Any] | None, elapsed: float, megabytes: float) -> Seen:
    outcome = said["outcome"] if said else "hung"
    if megabytes >= LARGE:
        outcome = "no limit"
    leaked = any(REFRESH_TOKEN.encode() in request.body for request in there.elsewhere.requests)
    seconds = said["seconds"] if said else elapsed
    tries = there.server.connections if there.server and not there.arrived else 0
    return Seen(outcome, len(there.arrived), tries, leaked, seconds, megabytes)


def main() -> None:
    """Play all faults to all clients, and print tables."""
    if sys.argv[1:2] == ["--work"]:
        work(sys.argv[2], sys.argv[3], int(sys.argv[4]))
        return
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--client", choices=PEERS, action="append")
    options.add_argument("--fault", default="", help="only faults whose name holds this")
    options.add_argument("--workers", type=int, default=3)
    chosen = options.parse_args()
    clients = chosen.client or list(PEERS)
    names = [name for name in FAULTS if chosen.fault in name]
    passing = [name for name in names if FAULTS[name].arrives and name != KEPT]
    with ThreadPoolExecutor(chosen.workers) as pool:
        always = {
            (name, peer): pool.submit(observe, peer, name, 1 if name == KEPT else None)
            for name in names
            for peer in clients
        }
        once = {
            (name, peer): pool.submit(observe, peer, name, 1)
            for name in passing
            for peer in clients
        }
        have = versions()
        print(
            f"Python {platform.python_version()}; "
            + ", ".join(f"{peer} {have[peer]}" for peer in clients)
        )
        for title, rows, results in (
            ("The fault stays", names, always),
            ("The fault happens once", passing, once),
        ):
            print(f"\n{title}\n\n| fault | {' | '.join(clients)} |")
            print("|---|" + "---|" * len(clients))
            for name in rows:
                seen = [results[name, peer].result() for peer in clients]
                # What passes and saves nobody is in the first table already.
                if results is always or any(one.outcome == "token" for one in seen):
                    print(f"| {name} | {' | '.join(map(str, seen))} |", flush=True)


if __name__ == "__main__":
    main()
