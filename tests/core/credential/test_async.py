"""Credentials in event loops, with a client that only blocks: waiting never blocks the loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from grantway import Freshness, Token
from grantway._exceptions import (
    InvalidClientException,
    LoginNeededError,
    ProviderPausedError,
    WaitTimeoutError,
)
from tests import faults
from tests.core.credential.conftest import Start
from tests.core.credential.scenes import (
    PATIENCE,
    SECRET,
    Clock,
    Gate,
    issue,
    reject,
    wait_for_refreshes,
)


class Heartbeat:
    """Counts in an event loop; stops if something blocks it."""

    def __init__(self) -> None:
        self.beats = 0

    async def run(self) -> None:
        while True:
            self.beats += 1
            await asyncio.sleep(0.005)

    async def wait_for(self, beats: int) -> None:
        """Wait for more beats, which come only while nothing blocks the loop."""
        end = self.beats + beats
        while self.beats < end:  # noqa: ASYNC110 - counts the iterations of the loop
            await asyncio.sleep(0.005)


@contextmanager
def beating() -> Iterator[Heartbeat]:
    heartbeat = Heartbeat()
    task = asyncio.get_running_loop().create_task(heartbeat.run())
    try:
        yield heartbeat
    finally:
        task.cancel()


async def arrival(gate: Gate) -> None:
    """Wait for a request without blocking the loop."""
    ends = time.monotonic() + PATIENCE
    while not gate.arrived.is_set():
        assert time.monotonic() < ends
        await asyncio.sleep(0.005)


def test_a_thousand_tasks_share_one_request_without_blocking_the_loop(
    start: Start, clock: Clock
) -> None:
    gate = Gate()
    client, server = start(issue(), gate)
    credential = client.credential(**SECRET)

    async def main() -> list[Token]:
        await credential.token_async()
        clock.step(3600)
        with beating() as heartbeat:
            tasks = [asyncio.create_task(credential.token_async()) for _ in range(1000)]
            await arrival(gate)
            await heartbeat.wait_for(20)  # the provider has not responded yet
            assert not any(task.done() for task in tasks)
            gate.opened.set()
            return await asyncio.gather(*tasks)

    assert {each.access_token for each in asyncio.run(main())} == {"at-2"}
    assert len(server.requests) == 2


def test_returns_a_fresh_token_without_yielding_to_the_loop(start: Start) -> None:
    client, _ = start(issue())
    credential = client.credential(**SECRET)
    token = credential.token()
    coroutine = credential.token_async()
    with pytest.raises(StopIteration) as returned:
        coroutine.send(None)
    assert returned.value.value is token


def test_cancelling_one_task_does_not_cancel_others(start: Start) -> None:
    gate = Gate()
    client, server = start(gate)
    credential = client.credential(**SECRET)

    async def main() -> str:
        first, second = (asyncio.create_task(credential.token_async()) for _ in range(2))
        await arrival(gate)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert not second.done()
        gate.opened.set()
        return (await second).access_token

    assert asyncio.run(main()) == "at-1"
    assert len(server.requests) == 1


def test_a_task_waits_at_most_for_its_timeout(start: Start) -> None:
    gate = Gate()
    client, _ = start(gate)
    credential = client.credential(**SECRET)

    async def main() -> str:
        with pytest.raises(WaitTimeoutError, match=r"0\.02 s; the request .* continues"):
            await credential.token_async(0.02)
        gate.opened.set()
        return (await credential.token_async()).access_token

    assert asyncio.run(main()) == "at-1"


def test_tasks_do_not_wait_in_the_advisory_window(start: Start, clock: Clock) -> None:
    gate = Gate()
    client, _ = start(issue(), gate)
    credential = client.credential(**SECRET, freshness=Freshness(jitter=0))
    credential.token()
    clock.step(3400)

    async def main() -> None:
        for _ in range(100):
            assert (await credential.token_async()).access_token == "at-1"
        await arrival(gate)
        gate.opened.set()

    asyncio.run(main())
    wait_for_refreshes()
    assert credential.token().access_token == "at-2"


def test_waits_for_the_pause_to_end_without_blocking(start: Start) -> None:
    client, server = start(reject("invalid_client", 401), issue())
    credential = client.credential(**SECRET)

    async def main() -> str:
        with pytest.raises(InvalidClientException):
            await credential.token_async()
        with beating() as heartbeat:
            token = await credential.token_async()
            assert heartbeat.beats > 5
        return token.access_token

    assert asyncio.run(main()) == "at-2"
    assert len(server.requests) == 2


def test_raises_the_same_errors_as_token(start: Start) -> None:
    client, _ = start(faults.respond(429, b"", {"Retry-After": "60"}))
    credential = client.credential(**SECRET)

    async def main() -> None:
        results = await asyncio.gather(
            *(credential.token_async(1) for _ in range(50)), return_exceptions=True
        )
        assert len({id(each) for each in results}) == 50
        with pytest.raises(ProviderPausedError):
            await credential.token_async(1)
        with pytest.raises(LoginNeededError):
            await client.credential(grant_type="refresh_token").token_async()

    asyncio.run(main())


def test_threads_and_tasks_share_one_request(start: Start) -> None:
    gate = Gate()
    client, server = start(gate)
    credential = client.credential(**SECRET)

    async def main() -> None:
        thread = asyncio.create_task(asyncio.to_thread(credential.token))
        task = asyncio.create_task(credential.token_async())
        await arrival(gate)
        gate.opened.set()
        assert await thread is await task

    asyncio.run(main())
    assert len(server.requests) == 1
