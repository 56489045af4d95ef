"""Fixtures: adjustable clocks, and scripted providers with a client."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any

import pytest

from grantway import Client
from grantway._credentials import credential, recheck, token_state
from grantway._requests import attempt
from grantway._types import freshness, token
from tests.core.credential.scenes import Clock, client_of, wait_for_refreshes
from tests.faults import Act, FaultServer

#: Starts a scripted provider and returns it with a client.
Start = Callable[..., tuple[Client, FaultServer]]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Adjustable clocks that measure the lifetime of tokens."""
    moved = Clock()
    wall, monotonic = time.time, time.monotonic
    stand_in = SimpleNamespace(time=lambda: wall() + moved.wall, monotonic=monotonic)
    for module in (freshness, token, attempt):
        monkeypatch.setattr(module, "time", stand_in)
    for module in (credential, recheck, token_state):
        monkeypatch.setattr(module, "_time", stand_in.time)
        monkeypatch.setattr(module, "_monotonic", lambda: monotonic() + moved.monotonic)
    return moved


@pytest.fixture
def start() -> Iterator[Start]:
    """Return a function that starts a scripted provider and its client."""
    with ExitStack() as running:

        def begin(*script: Act, **options: Any) -> tuple[Client, FaultServer]:
            server = running.enter_context(FaultServer(*script))
            return running.enter_context(client_of(server, **options)), server

        yield begin
        wait_for_refreshes()
