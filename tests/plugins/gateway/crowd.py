"""Many threads at once, a provider that holds its answers back, and a clock that obeys."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

import grantway
from tests.faults import FaultServer, Stage, message

#: Longest that a test waits for what must happen.
PATIENCE = 60.0


@dataclass
class Clock:
    """Seconds that pass when a test says so."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Held:
    """An act that answers when the gate opens; knows how many it held at once."""

    status: int = 200
    body: bytes = b'{"access_token": "at-1", "token_type": "Bearer", "expires_in": 3600}'
    gate: threading.Event = field(default_factory=threading.Event)
    most: int = 0
    now: int = 0
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def __call__(self, stage: Stage) -> bool:
        if stage.read_request() is None:
            return False
        with self._changed:
            self.now += 1
            self.most = max(self.most, self.now)
            self._changed.notify_all()
        opened = self.gate.wait(PATIENCE)
        with self._changed:
            self.now -= 1
        if opened:
            stage.send(message(self.status, self.body, {"Content-Type": "application/json"}))
        return opened

    def wait_for(self, count: int) -> None:
        """Wait until so many requests are held."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.now >= count, PATIENCE)


class Crowd:
    """Threads that begin together; their results, or what they raised, as they come."""

    def __init__(self, size: int, work: Callable[[], Any]) -> None:
        self._work = work
        self._together = threading.Barrier(size)
        self._changed = threading.Condition()
        self.results: list[Any] = []
        self._threads = [threading.Thread(target=self._run) for _ in range(size)]
        for thread in self._threads:
            thread.start()

    def _run(self) -> None:
        self._together.wait(PATIENCE)
        try:
            result = self._work()
        except Exception as error:  # noqa: BLE001 - the test looks at it
            result = error
        with self._changed:
            self.results.append(result)
            self._changed.notify_all()

    def wait_for(self, count: int) -> list[Any]:
        """The results, once there are so many."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.results) >= count, PATIENCE)
            return list(self.results)

    def join(self) -> list[Any]:
        """All results."""
        for thread in self._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()
        return self.results


def until(true: Callable[[], bool]) -> None:
    """Wait until something holds; what it looks at must come by itself."""
    pause = threading.Event()
    for _ in range(int(PATIENCE / 0.002)):
        if true():
            return
        pause.wait(0.002)
    raise AssertionError("it never came")


@contextmanager
def asking(server: FaultServer, *middleware: Any, **options: Any) -> Iterator[grantway.Client]:
    """A client of the server behind middleware."""
    with grantway.Client(
        grantway.Provider(token_endpoint=server.token_endpoint),
        client_id="gateway",
        client_secret="secret",
        middleware=middleware,
        **{"retry": grantway.RetryPolicy(attempts=1), "timeout": PATIENCE, **options},
    ) as client:
        yield client


def ask(client: grantway.Client, **options: Any) -> grantway.Token:
    """One token by client credentials."""
    return client.create_token(grant_type="client_credentials", **options)


def fail(client: grantway.Client, times: int) -> None:
    """Ask so often, and be given no token each time."""
    for _ in range(times):
        with pytest.raises((grantway.TransportError, grantway.TokenError)):
            ask(client)
