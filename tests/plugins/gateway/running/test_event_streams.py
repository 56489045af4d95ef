"""Server-sent events and other long responses through the gateway."""

from __future__ import annotations

import asyncio
import queue
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.interop.chromium import chromium
from tests.plugins.gateway.running.conftest import Backends
from tests.plugins.gateway.running.programs import PATIENCE, GatewayProcess, gateway
from tests.plugins.gateway.servers import asgi_server
from tests.waiting import until

ACME = {"X-Tenant": "acme"}


class EventServer:
    """An ASGI application that sends the texts of a queue; None ends the response.

    ``/events`` is an event stream, ``/text`` is not, and ``/page`` is an empty page.

    Attributes:
        texts: What to send.
        headers: Headers of each request.
        disconnected: Set when a client disconnects.
    """

    def __init__(self) -> None:
        self.texts: queue.Queue[str | None] = queue.Queue()
        self.headers: list[dict[str, str]] = []
        self.disconnected = threading.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.headers.append({name.decode(): value.decode() for name, value in scope["headers"]})
        kind = {"/events": b"text/event-stream; charset=utf-8", "/page": b"text/html"}
        headers = [(b"content-type", kind.get(scope["path"], b"text/plain"))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        leaving = asyncio.create_task(self._wait_for_disconnect(receive))
        while scope["path"] != "/page" and not leaving.done():
            try:
                text = self.texts.get_nowait()
            except queue.Empty:
                await asyncio.sleep(0.01)
                continue
            if text is None:
                break
            await send({"type": "http.response.body", "body": text.encode(), "more_body": True})
        await send({"type": "http.response.body", "body": b""})
        leaving.cancel()

    async def _wait_for_disconnect(self, receive: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self.disconnected.set()


@pytest.fixture
def events() -> EventServer:
    return EventServer()


@contextmanager
def running(backends: Backends, events: EventServer, **route: str) -> Iterator[GatewayProcess]:
    with asgi_server(events) as url:
        config = backends.write(
            backends.provider() + backends.route(path='"/"', upstream=f'"{url}"', **route)
        )
        with gateway(config) as run:
            yield run
            assert "Traceback" not in run.log


@contextmanager
def stream(run: GatewayProcess, path: str = "/events") -> Iterator[Iterator[str]]:
    """Request a stream, and yield its lines."""
    with (
        httpx.Client(trust_env=False, timeout=PATIENCE) as client,
        client.stream("GET", f"{run.url}{path}", headers=ACME) as response,
    ):
        assert response.status_code == 200
        yield response.iter_lines()


def test_passes_on_each_event_at_once(backends: Backends, events: EventServer) -> None:
    with running(backends, events) as run, stream(run) as lines:
        for number in range(5):  # the next one is sent only after this one arrived
            events.texts.put(f"data: {number}\n\n")
            assert (next(lines), next(lines)) == (f"data: {number}", "")
        events.texts.put(None)
        assert list(lines) == []
    assert events.headers[0]["authorization"].startswith("Bearer gwa_")


def test_answer_timeout_does_not_end_an_idle_event_stream(
    backends: Backends, events: EventServer
) -> None:
    with running(backends, events, answer_timeout="1") as run, stream(run) as lines:
        threading.Event().wait(1.5)
        events.texts.put("data: 1\n\n")
        assert next(lines) == "data: 1"
        assert not events.disconnected.is_set()


def test_answer_timeout_does_not_end_a_stream_that_began_before_the_request_ended(
    backends: Backends, events: EventServer
) -> None:
    with running(backends, events, answer_timeout="1") as run:
        host, port = urlsplit(run.url).hostname, urlsplit(run.url).port
        with socket.create_connection((host, port), timeout=PATIENCE) as opened:
            opened.sendall(
                b"POST /events HTTP/1.1\r\nHost: localhost\r\nX-Tenant: acme\r\n"
                b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n"
            )
            events.texts.put("data: 1\n\n")
            assert "data: 1" in receive_until(opened, "data: 1")
            opened.sendall(b"0\r\n\r\n")
            threading.Event().wait(1.5)
            events.texts.put("data: 2\n\n")
            assert "data: 2" in receive_until(opened, "data: 2")


def receive_until(opened: socket.socket, text: str) -> str:
    received = ""
    while text not in received and (piece := opened.recv(4096)):
        received += piece.decode()
    return received


@pytest.mark.parametrize("path", ["/events", "/text"])
def test_ends_a_silent_response(backends: Backends, events: EventServer, path: str) -> None:
    times = {"answer_timeout": "30", "idle_timeout": "1"}
    if path == "/text":
        times = {"answer_timeout": "1", "idle_timeout": "30"}
    events.texts.put("first\n")
    with running(backends, events, **times) as run, stream(run, path) as lines:
        assert next(lines) == "first"
        with pytest.raises(httpx.RemoteProtocolError):
            next(lines)
        assert events.disconnected.wait(PATIENCE)
        run.wait_for("it did not respond in time")


def test_ends_the_upstream_request_if_the_client_disconnects(
    backends: Backends, events: EventServer
) -> None:
    with running(backends, events) as run:
        with stream(run) as lines:
            events.texts.put("data: 1\n\n")
            assert next(lines) == "data: 1"
        assert events.disconnected.wait(PATIENCE)


@pytest.mark.slow
def test_a_page_in_a_browser_receives_events(backends: Backends, events: EventServer) -> None:
    with running(backends, events, tenant='"single"') as run, chromium() as browser:
        page = browser.new_page()
        page.goto(f"{run.url}/page")
        page.evaluate(
            """() => {
                window.seen = []
                window.source = new EventSource("/events")
                source.onmessage = event => seen.push(event.lastEventId + event.data)
            }"""
        )
        for number in range(3):
            events.texts.put(f"retry: 10\nid: {number}-\ndata: hello\n\n")
            until(lambda n=number: page.evaluate("() => seen.length") == n + 1)
        events.texts.put(None)  # the browser connects again
        until(lambda: len(events.headers) == 3)
        assert events.headers[-1]["last-event-id"] == "2-"
        events.texts.put("id: 3-\ndata: again\n\n")
        until(lambda: page.evaluate("() => seen.length") == 4)
        assert page.evaluate("() => seen") == ["0-hello", "1-hello", "2-hello", "3-again"]
        page.evaluate("() => source.close()")
        assert events.disconnected.wait(PATIENCE)
