"""Cost of a call in an event loop, as a multiple of a blocking call.

Run: ``python tests/benchmarks/async_calls.py [--rounds N] [--calls N]``. It also measures uvloop,
if that is installed.

One client sends to a small server in another process; blocks of calls alternate within one run.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))
from grantway import Client, Provider
from tests.benchmarks.client import _pin, _serve

REFRESH: dict[str, Any] = {"grant_type": "refresh_token", "refresh_token": "r" * 43}


def blocking(client: Client, calls: int) -> list[float]:
    """Return the seconds of each call."""
    seconds = []
    for _ in range(calls):
        began = time.perf_counter()
        client.create_token(**REFRESH)
        seconds.append(time.perf_counter() - began)
    return seconds


async def in_a_loop(client: Client, calls: int) -> list[float]:
    """Return the seconds of each call."""
    seconds = []
    for _ in range(calls):
        began = time.perf_counter()
        await client.create_token_async(**REFRESH)
        seconds.append(time.perf_counter() - began)
    return seconds


def loops(stack: ExitStack) -> dict[str, asyncio.Runner]:
    """Return the available event loops."""
    runners = {"asyncio": stack.enter_context(asyncio.Runner())}
    try:
        import uvloop
    except ImportError:
        return runners
    runners["uvloop"] = stack.enter_context(asyncio.Runner(loop_factory=uvloop.new_event_loop))
    return runners


def main() -> None:
    """Print medians and ratios."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--calls", type=int, default=200)
    options = parser.parse_args()
    ready, ready_here = multiprocessing.Pipe()
    server = multiprocessing.get_context("fork").Process(target=_serve, args=(ready_here,))
    server.start()
    _pin(0)
    try:
        with ExitStack() as stack:
            provider = Provider(f"http://127.0.0.1:{ready.recv()}/token")
            client = stack.enter_context(Client(provider, client_id="client"))
            ways: dict[str, Callable[[], list[float]]] = {
                "blocking": lambda: blocking(client, options.calls)
            }
            for name, runner in loops(stack).items():
                ways[name] = lambda runner=runner: runner.run(in_a_loop(client, options.calls))  # type: ignore[misc]
            seconds: dict[str, list[float]] = {name: [] for name in ways}
            for number in range(options.rounds + 1):
                for name, way in ways.items():
                    measured = way()
                    seconds[name] += measured if number else []  # the first round warms up
    finally:
        server.terminate()
        server.join()
    base = statistics.median(seconds["blocking"])
    for name, each in seconds.items():
        median = statistics.median(each)
        print(f"{name:10} {median * 1e6:7.1f} us   {median / base:.2f}")


if __name__ == "__main__":
    main()
