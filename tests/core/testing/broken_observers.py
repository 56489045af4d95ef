"""Observers with one mistake each; see ``test_kits``."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any, ClassVar

import pytest

from grantway import Event
from grantway.testing import ObserverTests


class Metrics:
    """A correct observer. The broken ones change one method."""

    def __init__(self) -> None:
        self.calls: Counter[tuple[str, str]] = Counter()

    def observe(self, event: Event) -> Any:
        self.calls[event.kind, event.outcome] += 1


class Case(ObserverTests):
    """The tests of one observer. ``fails`` are the tests that find its mistake."""

    fails: ClassVar[set[str]] = set()
    Kind: ClassVar[type[Metrics]] = Metrics

    @pytest.fixture
    def observer(self) -> Any:
        return self.Kind().observe


class Correct(Case):
    """A correct observer, to show that the tests pass."""


class BrokenAsync(Case):
    class Kind(Metrics):
        async def observe(self, event: Event) -> None:
            """Do nothing."""

    fails: ClassVar = {"test_returns_nothing"}


class BrokenKind(Case):
    """It does not know a retry."""

    class Kind(Metrics):
        def observe(self, event: Event) -> None:
            {"start": print, "attempt": print, "end": print}[event.kind]

    fails: ClassVar = {"test_accepts_every_event_of_a_call"}


class BrokenStatus(Case):
    """It expects a status of each call."""

    class Kind(Metrics):
        def observe(self, event: Event) -> None:
            if event.kind == "end":
                assert event.status is not None
                self.calls[f"{event.status // 100}xx", ""] += 1

    fails: ClassVar = {"test_accepts_every_event_of_a_call"}


class BrokenGrant(Case):
    """It expects a grant in each call."""

    class Kind(Metrics):
        def observe(self, event: Event) -> None:
            assert event.grant_type is not None
            self.calls[event.kind, event.grant_type.upper()] += 1

    fails: ClassVar = {"test_accepts_a_call_without_a_grant"}


class BrokenOneCall(Case):
    """It expects that one call ends before the next starts."""

    class Kind(Metrics):
        began: int | None = None

        def observe(self, event: Event) -> None:
            if event.kind == "start":
                self.began = event.call_id
            if event.kind == "end":
                assert self.began == event.call_id

    fails: ClassVar = {"test_calls_overlap_in_an_event_loop"}


class BrokenThread(Case):
    """It works only in the thread that created it."""

    class Kind(Metrics):
        def __init__(self) -> None:
            self.here = threading.local()
            self.here.calls = Counter()

        def observe(self, event: Event) -> None:
            self.here.calls[event.kind] += 1

    fails: ClassVar = {"test_threads_call_it_at_once"}
