"""Concurrent callers, a provider that delays its responses, and a controllable clock."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

import grantway
from tests.faults import FaultServer, Stage, message

#: Time limit of a test in seconds.
PATIENCE = 60.0


@dataclass
class Clock:
    """A clock that a test advances."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Held:
    """A fault that delays responses until the gate opens, and counts them."""

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
        """Wait until a number of requests are delayed."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.now >= count, PATIENCE)


class Crowd:
    """Threads that start together, and their results or exceptions."""

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
        """Return the results, once there are enough."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.results) >= count, PATIENCE)
            return list(self.results)

    def join(self) -> list[Any]:
        """Return all results."""
        for thread in self._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()
        return self.results


def until(true: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    pause = threading.Event()
    for _ in range(int(PATIENCE / 0.002)):
        if true():
            return
        pause.wait(0.002)
    raise AssertionError("it never came")


@contextmanager
def asking(server: FaultServer, *middleware: Any, **options: Any) -> Iterator[grantway.Client]:
    """Return a client of the server that uses a middleware."""
    with grantway.Client(
        grantway.Provider(token_endpoint=server.token_endpoint),
        client_id="gateway",
        client_secret="secret",
        middleware=middleware,
        **{"retry": grantway.RetryPolicy(attempts=1), "timeout": PATIENCE, **options},
    ) as client:
        yield client


def ask(client: grantway.Client, **options: Any) -> grantway.Token:
    """Request one token with client credentials."""
    return client.create_token(grant_type="client_credentials", **options)


def fail(client: grantway.Client, times: int) -> None:
    """Make failing requests."""
    for _ in range(times):
        with pytest.raises((grantway.TransportError, grantway.TokenError)):
            ask(client)
