"""Providers to order, and a clock that moves, for the tests of credentials."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from grantway import Client, Provider, RetryPolicy, Token
from tests import faults
from tests.faults import Act, FaultServer, Stage

#: Seconds that anything may take on a busy machine; nothing waits so long that works.
PATIENCE = 60.0
SECRET: dict[str, Any] = {"grant_type": "client_credentials"}


def issue(**fields: Any) -> Act:
    """A token that no request brought before, with a refresh token."""

    def act(stage: Stage) -> bool:
        number = len(stage.server.requests) + 1
        body = {
            "access_token": f"at-{number}",
            "refresh_token": f"rt-{number}",
            "token_type": "Bearer",
            "expires_in": 3600,
        }
        body.update(fields)
        return faults.answer(200, {k: v for k, v in body.items() if v is not None})(stage)

    return act


def refuse(code: str = "invalid_grant", status: int = 400, words: str = "it was revoked") -> Act:
    """An OAuth error."""
    return faults.answer(status, {"error": code, "error_description": words})


@dataclass
class Gate:
    """An act that begins when the test lets it."""

    act: Act = field(default_factory=issue)
    arrived: threading.Event = field(default_factory=threading.Event)
    opened: threading.Event = field(default_factory=threading.Event)

    def __call__(self, stage: Stage) -> bool:
        stage.wait_until_sent()
        self.arrived.set()
        assert self.opened.wait(PATIENCE)
        return self.act(stage)

    def wait(self) -> None:
        """Until a request is there."""
        assert self.arrived.wait(PATIENCE)


def client_of(server: FaultServer, **options: Any) -> Client:
    """A client that sends once."""
    given: dict[str, Any] = {
        "client_id": "client",
        "client_secret": "cs-very-secret-0123456789",
        "retry": RetryPolicy(attempts=1),
        **options,
    }
    return Client(Provider(token_endpoint=server.token_endpoint), **given)


def token(number: int, lives: float = 3600, **fields: Any) -> Token:
    """A token that was given ``3600 - lives`` seconds ago."""
    given: dict[str, Any] = {
        "access_token": f"at-{number}",
        "expires_in": 3600,
        "expires_at": time.time() + lives,
        "refresh_token": f"rt-{number}",
        **fields,
    }
    return Token(**given)


def settle_down() -> None:
    """Until no renewal is under way."""
    for thread in threading.enumerate():
        if thread.name == "grantway-refresh":
            thread.join(PATIENCE)
            assert not thread.is_alive()


def at_once(calls: Iterable[Callable[[], Any]]) -> list[Any]:
    """What each brought, or raised, all begun together in threads of their own."""
    work = list(calls)
    results: list[Any] = [None] * len(work)
    barrier = threading.Barrier(len(work))

    def run(place: int, call: Callable[[], Any]) -> None:
        barrier.wait(PATIENCE)
        try:
            results[place] = call()
        except Exception as error:  # noqa: BLE001 - it is what is looked at
            results[place] = error

    threads = [threading.Thread(target=run, args=(place, call)) for place, call in enumerate(work)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    return results


class Clock:
    """The two clocks of this process, each with an offset."""

    def __init__(self) -> None:
        self.wall = self.monotonic = 0.0

    def step(self, seconds: float) -> None:
        """Time passes."""
        self.wall += seconds
        self.monotonic += seconds

    def set(self, seconds: float) -> None:
        """Somebody sets the clock, or the machine sleeps."""
        self.wall += seconds
