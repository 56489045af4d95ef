"""Event loops: a thousand tasks, and none of them stops the loop."""

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
    refuse,
    settle_down,
)


class Heart:
    """Beats in an event loop; stops when something blocks it."""

    def __init__(self) -> None:
        self.beats = 0

    async def beat(self) -> None:
        while True:
            self.beats += 1
            await asyncio.sleep(0.005)

    async def more(self, beats: int) -> None:
        """So many more, as long as nothing blocks the loop."""
        ends = self.beats + beats
        while self.beats < ends:  # noqa: ASYNC110 - it is the loop's turns that are counted
            await asyncio.sleep(0.005)


@contextmanager
def beating() -> Iterator[Heart]:
    heart = Heart()
    task = asyncio.get_running_loop().create_task(heart.beat())
    try:
        yield heart
    finally:
        task.cancel()


async def until(gate: Gate) -> None:
    """A request is there; the loop goes on meanwhile."""
    ends = time.monotonic() + PATIENCE
    while not gate.arrived.is_set():
        assert time.monotonic() < ends
        await asyncio.sleep(0.005)


def test_a_thousand_tasks_at_expiry_send_one_request_and_the_loop_goes_on(
    start: Start, clock: Clock
) -> None:
    gate = Gate()
    client, server = start(issue(), gate)
    credential = client.credential(**SECRET)

    async def main() -> list[Token]:
        await credential.token_async()
        clock.step(3600)
        with beating() as heart:
            tasks = [asyncio.create_task(credential.token_async()) for _ in range(1000)]
            await until(gate)
            await heart.more(20)  # the provider has not answered yet
            assert not any(task.done() for task in tasks)
            gate.opened.set()
            return await asyncio.gather(*tasks)

    assert {each.access_token for each in asyncio.run(main())} == {"at-2"}
    assert len(server.requests) == 2


def test_a_hit_does_not_yield_to_the_loop(start: Start) -> None:
    client, _ = start(issue())
    credential = client.credential(**SECRET)
    token = credential.token()
    coroutine = credential.token_async()
    with pytest.raises(StopIteration) as returned:
        coroutine.send(None)
    assert returned.value.value is token


def test_a_cancelled_task_cancels_nobody_else(start: Start) -> None:
    gate = Gate()
    client, server = start(gate)
    credential = client.credential(**SECRET)

    async def main() -> str:
        first, second = (asyncio.create_task(credential.token_async()) for _ in range(2))
        await until(gate)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert not second.done()
        gate.opened.set()
        return (await second).access_token

    assert asyncio.run(main()) == "at-1"
    assert len(server.requests) == 1


def test_a_loop_that_is_closed_meanwhile_leaves_no_warning(start: Start) -> None:
    gate = Gate()
    client, _ = start(gate)
    credential = client.credential(**SECRET)

    async def main() -> None:
        waiting = asyncio.create_task(credential.token_async())
        await until(gate)
        assert not waiting.done()

    asyncio.run(main())  # cancels what is left, and closes the loop
    gate.opened.set()
    settle_down()
    assert credential.token().access_token == "at-1"


def test_a_task_waits_no_longer_than_it_would(start: Start) -> None:
    gate = Gate()
    client, _ = start(gate)
    credential = client.credential(**SECRET)
    with pytest.raises(WaitTimeoutError, match=r"0\.02 s"):
        asyncio.run(credential.token_async(0.02))
    gate.opened.set()
    assert asyncio.run(credential.token_async()).access_token == "at-1"


def test_in_the_advisory_window_no_task_waits(start: Start, clock: Clock) -> None:
    gate = Gate()
    client, _ = start(issue(), gate)
    credential = client.credential(**SECRET, freshness=Freshness(jitter=0))
    credential.token()
    clock.step(3400)

    async def main() -> None:
        for _ in range(100):
            assert (await credential.token_async()).access_token == "at-1"
        await until(gate)
        gate.opened.set()

    asyncio.run(main())
    settle_down()
    assert credential.token().access_token == "at-2"


def test_a_pause_is_waited_out_without_blocking(start: Start) -> None:
    client, server = start(refuse("invalid_client", 401), issue())
    credential = client.credential(**SECRET)

    async def main() -> str:
        with pytest.raises(InvalidClientException):
            await credential.token_async()
        with beating() as heart:
            token = await credential.token_async()
            assert heart.beats > 5
        return token.access_token

    assert asyncio.run(main()) == "at-2"
    assert len(server.requests) == 2


def test_errors_are_those_of_token(start: Start) -> None:
    client, _ = start(faults.answer(429, b"", {"Retry-After": "60"}))
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


def test_threads_and_tasks_share_a_request(start: Start) -> None:
    gate = Gate()
    client, server = start(gate)
    credential = client.credential(**SECRET)

    async def main() -> None:
        thread = asyncio.create_task(asyncio.to_thread(credential.token))
        task = asyncio.create_task(credential.token_async())
        await until(gate)
        gate.opened.set()
        assert await thread is await task

    asyncio.run(main())
    assert len(server.requests) == 1
