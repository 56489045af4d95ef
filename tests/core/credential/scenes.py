"""Scripted providers and adjustable clocks for the tests of credentials."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from grantway import Client, Provider, RetryPolicy, Token
from tests import faults
from tests.faults import Act, FaultServer, Stage

#: Limit in seconds that is not reached, even on a busy machine.
PATIENCE = 60.0
SECRET: dict[str, Any] = {"grant_type": "client_credentials"}


def issue(**fields: Any) -> Act:
    """Return a script step that issues a new token, with a refresh token."""

    def act(stage: Stage) -> bool:
        number = len(stage.server.requests) + 1
        body = {
            "access_token": f"at-{number}",
            "refresh_token": f"rt-{number}",
            "token_type": "Bearer",
            "expires_in": 3600,
        }
        body.update(fields)
        return faults.respond(200, {k: v for k, v in body.items() if v is not None})(stage)

    return act


def reject(code: str = "invalid_grant", status: int = 400, words: str = "it was revoked") -> Act:
    """Return a script step that sends an OAuth error."""
    return faults.respond(status, {"error": code, "error_description": words})


@dataclass
class Gate:
    """A script step that waits until the test opens it.

    Attributes:
        act: The step that follows.
        arrived: Set when a request has arrived.
        opened: Set by the test to continue.
    """

    act: Act = field(default_factory=issue)
    arrived: threading.Event = field(default_factory=threading.Event)
    opened: threading.Event = field(default_factory=threading.Event)

    def __call__(self, stage: Stage) -> bool:
        stage.wait_until_sent()
        self.arrived.set()
        assert self.opened.wait(PATIENCE)
        return self.act(stage)

    def wait(self) -> None:
        """Wait until a request has arrived."""
        assert self.arrived.wait(PATIENCE)


def client_of(server: FaultServer, kind: type[Client] = Client, **options: Any) -> Client:
    """Return a client that does not retry."""
    given: dict[str, Any] = {
        "client_id": "client",
        "client_secret": "cs-very-secret-0123456789",
        "retry": RetryPolicy(attempts=1),
        **options,
    }
    return kind(Provider(token_endpoint=server.token_endpoint), **given)


def token(number: int, seconds_left: float = 3600, **fields: Any) -> Token:
    """Return a token that was issued for an hour and expires in ``seconds_left``."""
    given: dict[str, Any] = {
        "access_token": f"at-{number}",
        "expires_in": 3600,
        "expires_at": time.time() + seconds_left,
        "refresh_token": f"rt-{number}",
        **fields,
    }
    return Token(**given)


def wait_for_refreshes() -> None:
    """Wait until no refresh is running."""
    for thread in threading.enumerate():
        if thread.name == "grantway-refresh":
            thread.join(PATIENCE)
            assert not thread.is_alive()


def run_together(calls: Iterable[Callable[[], Any]]) -> list[Any]:
    """Run calls at the same time, each in a thread; return their results or exceptions."""
    functions = list(calls)
    results: list[Any] = [None] * len(functions)
    barrier = threading.Barrier(len(functions))

    def run(position: int, call: Callable[[], Any]) -> None:
        barrier.wait(PATIENCE)
        try:
            results[position] = call()
        except Exception as error:  # noqa: BLE001 - a result like any other
            results[position] = error

    threads = [threading.Thread(target=run, args=each) for each in enumerate(functions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    return results


class Clock:
    """Offsets of the two clocks of this process, in seconds."""

    def __init__(self) -> None:
        self.wall = self.monotonic = 0.0

    def step(self, seconds: float) -> None:
        """Advance both clocks."""
        self.wall += seconds
        self.monotonic += seconds

    def set(self, seconds: float) -> None:
        """Advance the wall clock alone, as by setting it or by a sleep of the machine."""
        self.wall += seconds
