"""Behaviour of clients that refresh a token on a faulty network.

Run: ``python tests/benchmarks/faults/run.py [--client NAME] [--fault WORDS] [--workers N]``

Each client and fault runs in a separate process, which is limited to 1 GiB of memory and killed
after 20 seconds. All servers are on loopback. Every fault is tested twice: permanent, and followed
by healthy responses. The second test shows which faults a client recovers from. Its server accepts
a refresh token twice, so it does not show the effect of a retry on a provider that rotates tokens.
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

#: Seconds until a client is considered hung, and its memory limit in bytes.
LIMIT = 20
MEMORY = 1024 * 1024 * 1024
#: Megabytes above which a client is considered to read an endless response without a limit.
LARGE = 400
KEPT = "kept connection closed between two calls"


@dataclass(frozen=True)
class Seen:
    """The result of one client with one fault.

    Attributes:
        outcome: ``token``, the name of an exception, or a description.
        arrived: Number of requests that the server received.
        tries: Number of connections, if the server received no request.
        leaked: Whether the redirect's target received the refresh token.
        seconds: Duration of the call.
        megabytes: Peak memory of the process.
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
    """Refresh, and print the outcome.

    Args:
        peer: Name of the client.
        base: Base URL of the provider.
        calls: Number of refreshes. The last one waits for a line on standard input.
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
    except Exception as error:  # noqa: BLE001 - the name of any error is the outcome
        name = type(error).__name__
        outcome = f"{name}: {error}" if name == "ReturnedError" else name
    else:
        outcome = {"at-1": "token", "at-foreign": "took the other host's token"}.get(
            str(token), "success without a token"
        )
    print(json.dumps({"outcome": outcome, "seconds": time.monotonic() - began}), flush=True)
    os._exit(0)


# --- In the process of the servers --------------------------------------------------------------


def observe(peer: str, name: str, times: int | None) -> Seen:
    """Run one client with one fault."""
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
        lines = process.stdout.read().strip().splitlines()
        process.stdin.close()
        process.stdout.close()
        if not lines and elapsed < LIMIT and megabytes < LARGE:
            raise RuntimeError(f"{peer} did not start, or exited without output, in: {name}")
        return _judge(there, json.loads(lines[-1]) if lines else None, elapsed, megabytes)


def _end(process: subprocess.Popen[str]) -> float:
    """Wait for a process or kill it, and return its peak memory in megabytes."""
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


def _judge(there: Scene, result: dict[str, Any] | None, elapsed: float, megabytes: float) -> Seen:
    outcome = result["outcome"] if result else "hung"
    if megabytes >= LARGE:
        outcome = "no limit"
    leaked = any(REFRESH_TOKEN.encode() in request.body for request in there.elsewhere.requests)
    seconds = result["seconds"] if result else elapsed
    tries = there.server.connections if there.server and not there.arrived else 0
    return Seen(outcome, len(there.arrived), tries, leaked, seconds, megabytes)


def main() -> None:
    """Run all clients with all faults, and print tables."""
    if sys.argv[1:2] == ["--work"]:
        work(sys.argv[2], sys.argv[3], int(sys.argv[4]))
        return
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--client", choices=PEERS, action="append")
    options.add_argument("--fault", default="", help="only faults whose name contains this text")
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
            ("Permanent faults", names, always),
            ("Temporary faults", passing, once),
        ):
            print(f"\n{title}\n\n| fault | {' | '.join(clients)} |")
            print("|---|" + "---|" * len(clients))
            for name in rows:
                seen = [results[name, peer].result() for peer in clients]
                # Faults from which no client recovers are in the first table already.
                if results is always or any(one.outcome == "token" for one in seen):
                    print(f"| {name} | {' | '.join(map(str, seen))} |", flush=True)


if __name__ == "__main__":
    main()
