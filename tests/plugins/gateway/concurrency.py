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

#: Maximum duration of one wait in a test, in seconds.
PATIENCE = 60.0


@dataclass
class Clock:
    """A clock that a test advances."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class HeldResponses:
    """A fault that delays responses until the gate opens.

    Attributes:
        gate: Releases all delayed responses when set.
        in_progress: Number of delayed requests.
        peak: Maximum of ``in_progress``.
    """

    status: int = 200
    body: bytes = b'{"access_token": "at-1", "token_type": "Bearer", "expires_in": 3600}'
    gate: threading.Event = field(default_factory=threading.Event)
    peak: int = 0
    in_progress: int = 0
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def __call__(self, stage: Stage) -> bool:
        if stage.read_request() is None:
            return False
        with self._changed:
            self.in_progress += 1
            self.peak = max(self.peak, self.in_progress)
            self._changed.notify_all()
        opened = self.gate.wait(PATIENCE)
        with self._changed:
            self.in_progress -= 1
        if opened:
            stage.send(message(self.status, self.body, {"Content-Type": "application/json"}))
        return opened

    def wait_for(self, count: int) -> None:
        """Wait until at least ``count`` requests are delayed."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.in_progress >= count, PATIENCE)


class CallerThreads:
    """Threads that call a function at the same time, and collect its results or exceptions."""

    def __init__(self, size: int, function: Callable[[], Any]) -> None:
        self._function = function
        self._barrier = threading.Barrier(size)
        self._changed = threading.Condition()
        self.results: list[Any] = []
        self._threads = [threading.Thread(target=self._run) for _ in range(size)]
        for thread in self._threads:
            thread.start()

    def _run(self) -> None:
        self._barrier.wait(PATIENCE)
        try:
            result = self._function()
        except Exception as error:  # noqa: BLE001 - the test examines it
            result = error
        with self._changed:
            self.results.append(result)
            self._changed.notify_all()

    def wait_for(self, count: int) -> list[Any]:
        """Wait for at least ``count`` results and return all results so far."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.results) >= count, PATIENCE)
            return list(self.results)

    def join(self) -> list[Any]:
        """Wait for all threads and return their results."""
        for thread in self._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()
        return self.results


def until(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    pause = threading.Event()
    for _ in range(int(PATIENCE / 0.002)):
        if condition():
            return
        pause.wait(0.002)
    raise AssertionError("the condition did not become true")


@contextmanager
def make_client(server: FaultServer, *middleware: Any, **options: Any) -> Iterator[grantway.Client]:
    """Yield a client of the server that uses the middleware."""
    with grantway.Client(
        grantway.Provider(token_endpoint=server.token_endpoint),
        client_id="gateway",
        client_secret="secret",
        middleware=middleware,
        **{"retry": grantway.RetryPolicy(attempts=1), "timeout": PATIENCE, **options},
    ) as client:
        yield client


def request_token(client: grantway.Client, **options: Any) -> grantway.Token:
    """Request a token with client credentials."""
    return client.create_token(grant_type="client_credentials", **options)


def fail_requests(client: grantway.Client, times: int) -> None:
    """Send ``times`` requests, all of which must fail."""
    for _ in range(times):
        with pytest.raises((grantway.TransportError, grantway.TokenError)):
            request_token(client)
