"""1,000 tasks of one event loop that need a token at the moment when it has expired.

A library that refreshes once makes the tasks wait for one request. HTTP clients keep no tokens, so
they get the program that one would write by hand: an ``asyncio.Lock`` and a comparison of clocks.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

from tests.benchmarks.measuring import OURS, AsyncCall, Row, interleaved, prepared
from tests.benchmarks.peers import ACCESS_TOKEN, CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN
from tests.benchmarks.peers.http_clients import ASYNC
from tests.benchmarks.peers.oauth_clients import grantway_client

NAME = "1,000 tasks"
BASELINE = "aiohttp"
TASKS = 1000
#: Expiries in a round. Its result is the quickest.
REPEATS = 5
#: Lets the token expire, and what each task then awaits to get a valid one.
Program = tuple[Callable[[], object], AsyncCall]


def _locked(make: Callable[[str], AsyncCall], base: str) -> Program:
    refresh, lock = make(base), asyncio.Lock()
    held: dict[str, Any] = {}

    async def token() -> str:
        async with lock:
            if held["until"] < time.monotonic():
                held.update(token=await refresh(), until=time.monotonic() + 3600)
        return held["token"]

    return partial(held.update, until=0.0), token


def _grantway(base: str) -> Program:
    from grantway import Token

    credential = grantway_client(base).credential(grant_type="refresh_token")

    async def token() -> str:
        return (await credential.token_async()).access_token

    def expire() -> None:
        end = time.time() - 1
        credential.accept(Token("expired", refresh_token=REFRESH_TOKEN, expires_at=end))

    return expire, token


def _authlib(base: str) -> Program:
    import os

    from authlib.integrations.httpx_client import AsyncOAuth2Client

    os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"
    client = AsyncOAuth2Client(CLIENT_ID, CLIENT_SECRET, token_endpoint=f"{base}/token")

    async def token() -> str:
        await client.ensure_active_token(client.token)
        return client.token["access_token"]

    def expire() -> None:
        client.token = {
            "access_token": "expired",
            "refresh_token": REFRESH_TOKEN,
            "expires_at": time.time() - 1,
        }

    return expire, token


PEERS = {
    OURS: _grantway,
    "Authlib on httpx2": _authlib,
    **{peer: partial(_locked, make) for peer, make in ASYNC.items()},
}


def _posts(base: str) -> int:
    """Return how many tokens the server has issued."""
    with urllib.request.urlopen(base) as response:
        return json.load(response)["posts"]


class _Threads:
    """Counts the threads that start while it is entered."""

    def __enter__(self) -> Counter[str]:
        self._start, counts = threading.Thread.start, Counter[str]()

        def start(thread: threading.Thread) -> None:
            counts["threads"] += 1
            self._start(thread)

        threading.Thread.start = start  # type: ignore[method-assign]
        return counts

    def __exit__(self, *_: object) -> None:
        threading.Thread.start = self._start  # type: ignore[method-assign]


async def _run(program: Program) -> float:
    """Return the time until every task has the token, in milliseconds."""
    expire, token = program
    expire()
    began = time.perf_counter()
    tokens = await asyncio.gather(*(token() for _ in range(TASKS)))
    taken = time.perf_counter() - began
    assert set(tokens) == {ACCESS_TOKEN}
    return taken * 1000


async def _quickest(program: Program) -> float:
    return min([await _run(program) for _ in range(REPEATS)])


def measure(base: str, *, short: bool) -> list[Row]:
    """Return the row, with the number of requests and new threads for each expiry.

    Args:
        base: Address of the token server.
        short: Whether to measure only grantway.
    """
    notes: dict[str, str] = {}
    with asyncio.Runner() as runner:
        runner.get_loop().set_exception_handler(lambda _loop, _context: None)

        async def start(make: Callable[[str], Program]) -> Program:
            return make(base)

        starts = {peer: lambda make=make: runner.run(start(make)) for peer, make in PEERS.items()}
        programs = prepared(starts, *((OURS, BASELINE) if short else ()))
        for peer, program in programs.items():
            runner.run(_run(program))  # opens the connection
            before = _posts(base)
            with _Threads() as counts:
                runner.run(_run(program))
            notes[peer] = f"requests: {_posts(base) - before}, threads: {counts['threads']}"
        work: dict[str, Callable[[], float]] = {
            peer: lambda program=program: runner.run(_quickest(program))
            for peer, program in programs.items()
        }
        samples = interleaved(10, work)
    return [Row.of(NAME, "ms", BASELINE, samples, notes=notes)]
