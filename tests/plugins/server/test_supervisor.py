"""The supervisor starts workers, gives them connections in turn, and replaces those that end."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import pytest

from grantway._exceptions import ConfigurationError
from grantway_plugins.server._listening.address import listen
from grantway_plugins.server._workers import supervisor as module
from grantway_plugins.server._workers.channel import Request
from grantway_plugins.server._workers.supervisor import Supervisor
from tests.waiting import PATIENCE

pytestmark = pytest.mark.slow


def in_event_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run an asynchronous test."""

    @wraps(test)
    def run(**fixtures: Any) -> None:
        asyncio.run(test(**fixtures))

    return run


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    # Workers do not search the working directory for modules.
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
    monkeypatch.setattr(module, "_FIRST_DELAY", 0.05)
    monkeypatch.setattr(module, "_MARGIN", 0.5)


class Run:
    """A supervisor, its address and what it reported."""

    def __init__(self, count: int, **settings: Any) -> None:
        self.settings, self.ended = settings, list[int]()
        self.socket = listen("127.0.0.1", 0)
        self.port = self.socket.getsockname()[1]
        self.supervisor = Supervisor(
            "tests.plugins.server.worker_program",
            count,
            settings=lambda: self.settings,
            listening=[self.socket],
            grace_seconds=0.1,
            ended=self.ended.append,
        )

    async def pids(self) -> dict[int, int]:
        return await self.supervisor.ask("who", seconds=PATIENCE)

    async def connect(self) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            async with asyncio.timeout(PATIENCE):
                return await reader.read()
        finally:
            writer.close()


@asynccontextmanager
async def running(count: int = 2, **settings: Any) -> AsyncIterator[Run]:
    run = Run(count, **settings)
    try:
        await run.supervisor.start()
        yield run
    finally:
        await run.supervisor.stop()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not holds():  # noqa: ASYNC110 - other processes change it
            await asyncio.sleep(0.01)


@in_event_loop
async def test_connections_go_to_the_workers_in_turn() -> None:
    async with running(3) as run:
        served = Counter([await run.connect() for _ in range(30)])
        served += Counter(await asyncio.gather(*[run.connect() for _ in range(30)]))
        assert set(served.values()) == {20}
        assert {int(each) for each in served} == set((await run.pids()).values())


@in_event_loop
async def test_a_worker_that_ends_is_replaced_and_the_others_take_its_connections(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with running(2, takes_nothing=True) as run:
        first, second = (await run.pids()).values()
        waiting = [asyncio.create_task(run.connect()) for _ in range(6)]
        await asyncio.sleep(0.3)
        os.kill(first, signal.SIGKILL)
        await until(lambda: run.ended == [0])
        await run.supervisor.ask("take", seconds=PATIENCE)
        # None is lost: the second worker or the successor of the first one serves each.
        await until(lambda: run.supervisor.running == 2)
        await run.supervisor.ask("take", seconds=PATIENCE)
        served = {int(each) for each in await asyncio.gather(*waiting)}
        assert first not in served
        assert second in served
        pids = await run.pids()
        assert pids[1] == second
        assert pids[0] not in {first, second}
    assert "Worker 1 of 2 was ended by SIGKILL; starting another in 0.05 s" in caplog.messages


@in_event_loop
async def test_a_worker_that_keeps_crashing_is_started_less_and_less_often(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with running(2) as run:
        run.settings = {"crashes": True}
        first, second = (await run.pids()).values()
        os.kill(first, signal.SIGTERM)
        await until(lambda: len(run.ended) >= 3)
        assert set(run.ended) == {0}
        assert await run.pids() == {1: second}
        assert await run.connect() == str(second).encode()
        run.settings = {}
        await until(lambda: run.supervisor.running == 2)
    delays = [each.rpartition(" in ")[2] for each in caplog.messages[:3]]
    assert delays == ["0.05 s", "0.1 s", "0.2 s"]
    assert "Worker 1 of 2 cannot start: it ended with status 3" in caplog.text


@pytest.mark.parametrize(
    ("settings", "says"),
    [({"problem": "line 3 is wrong"}, "line 3 is wrong"), ({"crashes": True}, "with status 3")],
)
@in_event_loop
async def test_reports_why_no_worker_can_start(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        async with running(2, **settings):
            pass


@in_event_loop
async def test_a_worker_that_ignores_sigterm_is_killed(caplog: pytest.LogCaptureFixture) -> None:
    async with running(1, ignores_sigterm=True) as run:
        (pid,) = (await run.pids()).values()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert "Worker 1 did not end in time; killing it" in caplog.messages


@in_event_loop
async def test_a_worker_that_does_not_respond_is_missing() -> None:
    async with running(2) as run:
        assert await run.supervisor.ask("sleep", seconds=0.1) == {}
        assert set(await run.pids()) == {0, 1}


@in_event_loop
async def test_a_worker_that_hangs_gets_no_connections_until_it_responds() -> None:
    async with running(2) as run:
        first, second = (await run.pids()).values()
        os.kill(first, signal.SIGSTOP)
        try:
            waiting = [asyncio.create_task(run.connect()) for _ in range(4)]
            await asyncio.sleep(0.2)
            assert await run.supervisor.ask("who", seconds=1) == {1: second}
            # The second worker gets those that the first one had not taken.
            waiting += [asyncio.create_task(run.connect()) for _ in range(4)]
            assert {int(each) for each in await asyncio.gather(*waiting)} == {second}
        finally:
            os.kill(first, signal.SIGCONT)
        assert await run.pids() == {0: first, 1: second}
        served = {int(await run.connect()) for _ in range(4)}
        assert served == {first, second}


@in_event_loop
async def test_connections_are_refused_once_the_supervisor_stops() -> None:
    async with running(1) as run:
        pass
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", run.port), PATIENCE)


def test_the_repr_of_a_request_shows_no_secret() -> None:
    assert repr(Request(1, "start", {"content": "secret"})) == "Request(number=1, name='start')"
