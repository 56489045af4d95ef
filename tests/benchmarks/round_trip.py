"""A refresh over a connection that is kept open, blocking and on an event loop.

The result of a round is its quickest call: more than that is the work of other programs.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial

from tests.benchmarks.measuring import OURS, AsyncCall, Call, Row, interleaved, prepared
from tests.benchmarks.peers import ACCESS_TOKEN, http_clients, oauth_clients

SYNC, ASYNC = "round trip", "round trip, async"
BASELINE = "requests"
CALLS = 50


def _blocking(call: Call) -> float:
    """Return the time of the quickest call of a round, in microseconds."""
    taken = []
    for _ in range(CALLS):
        began = time.perf_counter()
        token = call()
        taken.append(time.perf_counter() - began)
    assert token == ACCESS_TOKEN
    return min(taken) * 1e6


async def _awaited(call: AsyncCall) -> float:
    taken = []
    for _ in range(CALLS):
        began = time.perf_counter()
        token = await call()
        taken.append(time.perf_counter() - began)
    assert token == ACCESS_TOKEN
    return min(taken) * 1e6


def measure(base: str, *, short: bool) -> list[Row]:
    """Return both rows. The baseline of both is a blocking call of requests.

    Args:
        base: Address of the token server.
        short: Whether to measure only grantway.
    """
    only = (OURS, BASELINE) if short else ()
    peers: dict[tuple[str, str], Callable[[], float]] = {}
    blocking = {**oauth_clients.SYNC, **http_clients.SYNC}
    calls = prepared({peer: partial(make, base) for peer, make in blocking.items()}, *only)
    for peer, call in calls.items():
        peers[SYNC, peer] = partial(_blocking, call)
    with asyncio.Runner() as runner:
        # aiohttp reports a session that is not closed.
        runner.get_loop().set_exception_handler(lambda _loop, _context: None)

        async def start(make: Callable[[str], AsyncCall]) -> AsyncCall:
            return make(base)

        awaited = {**oauth_clients.ASYNC, **http_clients.ASYNC}
        starts = {peer: lambda make=make: runner.run(start(make)) for peer, make in awaited.items()}
        for peer, call in prepared(starts, *only).items():
            peers[ASYNC, peer] = lambda call=call: runner.run(_awaited(call))
        samples = interleaved(10 if short else 20, peers)

    def own(row: str) -> dict[str, list[float]]:
        return {peer: values for (name, peer), values in samples.items() if name == row}

    blocking_requests = {f"blocking {BASELINE}": samples[SYNC, BASELINE]}
    return [
        Row.of(SYNC, "us", BASELINE, own(SYNC)),
        Row.of(ASYNC, "us", *blocking_requests, {**own(ASYNC), **blocking_requests}),
    ]
