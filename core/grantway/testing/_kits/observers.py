"""Test class for observers."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from grantway._exceptions import ConnectionFailedError, GrantwayError
from grantway._types.event import Event
from grantway.hookspecs import hookimpl

from .scripted import ScriptedClient, Step, busy, issued, rejected

Observer = Callable[[Event], object]


class ObserverTests:
    """Tests for observers: every event of every call, in threads and in an event loop.

    A client only counts and logs the exceptions of an observer. These tests raise them.

    Inherit it, and define the fixture ``observer``: a function of the event, such as the method
    ``grantway_observe`` of a plugin.

    ::

        class TestMetrics(ObserverTests):
            @pytest.fixture
            def observer(self):
                return Metrics().grantway_observe
    """

    def test_returns_nothing(self, observer: Observer) -> None:
        returned = observer(Event("start", 1, "token", "as.example", "urn:example:grant"))
        if inspect.iscoroutine(returned):
            returned.close()
        assert returned is None

    @pytest.mark.parametrize(
        ("script", "kinds"),
        [
            pytest.param([issued()], "start attempt end", id="success"),
            pytest.param([rejected()], "start attempt end", id="error"),
            pytest.param([busy(), issued()], "start attempt retry attempt end", id="retry"),
            pytest.param(
                [ConnectionFailedError("Nothing was sent."), issued()],
                "start attempt retry attempt end",
                id="no connection",
            ),
            pytest.param([KeyboardInterrupt()], "start end", id="interrupt"),
        ],
    )
    def test_accepts_every_event_of_a_call(
        self, observer: Observer, script: list[Step], kinds: str
    ) -> None:
        watch = _Watch(observer)
        with (
            ScriptedClient(*script, plugin=watch) as client,
            contextlib.suppress(GrantwayError, KeyboardInterrupt),
        ):
            client.token()
        assert watch.raised == []
        assert [event.kind for event in watch.events] == kinds.split()

    def test_accepts_a_call_without_a_grant(self, observer: Observer) -> None:
        watch = _Watch(observer)
        with ScriptedClient(issued(), plugin=watch) as client:
            client.call("revocation", token="at")
        assert watch.raised == []
        assert {event.grant_type for event in watch.events} == {None}

    def test_calls_overlap_in_an_event_loop(self, observer: Observer) -> None:
        watch = _Watch(observer)

        async def main(client: ScriptedClient) -> None:
            await asyncio.gather(*(client.token_async() for _ in range(4)))

        with ScriptedClient(issued(), plugin=watch) as client:
            asyncio.run(main(client))
        assert watch.raised == []
        assert [event.kind for event in watch.events[:2]] == ["start", "start"]

    def test_threads_call_it_at_once(self, observer: Observer) -> None:
        watch = _Watch(observer)
        with ScriptedClient(issued(), plugin=watch) as client, ThreadPoolExecutor(4) as pool:
            for done in [pool.submit(client.token) for _ in range(40)]:
                done.result()
        assert watch.raised == []
        assert len({event.call_id for event in watch.events}) == 40


class _Watch:
    """A plugin that passes events to an observer and collects its exceptions."""

    def __init__(self, observer: Observer) -> None:
        # In a list, because an attribute that is marked as a hook would be one of this plugin.
        self._observers = [observer]
        self.events: list[Event] = []
        self.raised: list[BaseException] = []

    @hookimpl
    def grantway_observe(self, event: Event) -> None:
        """Pass on an event."""
        self.events.append(event)
        try:
            self._observers[0](event)
        except BaseException as error:  # noqa: BLE001 - the test reports it
            self.raised.append(error)
