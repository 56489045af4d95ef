"""Event streams through real proxies, with the configurations that the gateway prints for them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial

import aiohttp
import pytest
from aiohttp import web

from grantway_plugins.issuer import IssuerServer, IssuerSettings
from tests.faults import free_port
from tests.interop.proxies import NEEDS_HAPROXY, haproxy_file, printed
from tests.interop.test_gateway_behind_proxies import RUN
from tests.plugins.gateway.running.conftest import make_backends
from tests.plugins.gateway.running.programs import EchoUpstream, gateway
from tests.waiting import PATIENCE, until

pytestmark = pytest.mark.slow

#: ``answer_timeout`` of the route, and a longer silence, in seconds.
LIMIT, SILENCE = 3, 4
#: Size of a body that no proxy reads completely before it forwards it, in bytes.
LARGE = 1 << 20
ACME = {"X-Tenant": "acme"}
EVENTS = {**ACME, "Accept": "application/json, text/event-stream"}


class EventServer:
    """A server in a thread. It sends the next event of ``/events`` when the test asks for it.

    Streams begin before the body of the request has arrived.

    Attributes:
        url: URL of the server.
        requests: Path and token of each request.
    """

    def __init__(self) -> None:
        self.url = ""
        self.requests: list[tuple[str, str]] = []
        self._loop, self._ready = asyncio.new_event_loop(), threading.Event()
        self._next: asyncio.Queue[str] = asyncio.Queue()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))

    def reset(self) -> None:
        """Forget the requests, and the events for streams that have failed."""
        self.requests.clear()
        self._loop.call_soon_threadsafe(setattr, self, "_next", asyncio.Queue())

    def send(self, event: str) -> None:
        """Send an event to the only stream; an empty one ends it."""
        self._loop.call_soon_threadsafe(lambda: self._next.put_nowait(event))

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(PATIENCE)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(PATIENCE)
        self._loop.close()

    async def _serve(self) -> None:
        application = web.Application(client_max_size=2 * LARGE)
        application.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(application, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        self._ready.set()
        await self._stop.wait()
        await runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request.raw_path, request.headers.get("Authorization", "")))
        if request.path.endswith("/silent"):
            await self._stop.wait()
        if request.path.endswith("/length"):
            return web.Response(text=str(len(await request.read())))
        if not request.path.endswith("/events"):
            return web.Response(text="ok")
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        events = self._next
        await response.prepare(request)
        while event := await events.get():
            await response.write(f"data: {event}\n\n".encode())
        return response


@pytest.fixture(scope="module")
def server() -> Iterator[EventServer]:
    running = EventServer()
    running.start()
    yield running
    running.stop()


@pytest.fixture(
    scope="module",
    params=[*RUN, pytest.param("haproxy", marks=NEEDS_HAPROXY)],
)
def proxy(
    request: pytest.FixtureRequest, server: EventServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    folder, port = tmp_path_factory.mktemp(request.param), free_port()
    name = str(request.param)
    with IssuerServer(IssuerSettings(registration="unrestricted")) as issuer:
        backends = make_backends(issuer, (EchoUpstream(), server.url), folder)
        config = backends.write(
            backends.provider()
            + backends.route("orders", answer_timeout=str(LIMIT))
            + backends.route("reports", answer_timeout=str(LIMIT), tenant='"single"')
            + f'[authorize]\nlisten = "127.0.0.1:{free_port()}"\n'
            + f'grpc_listen = "127.0.0.1:{free_port()}"\n'
        )
        text = printed(name, config, port).replace("/run/grantway-nginx", f"{folder}/tokens")
        start = RUN.get(name) or partial(haproxy_file, script=printed("haproxy-lua", config, port))
        with gateway(config), start(folder, text, port) as url:
            until(lambda: asyncio.run(status(f"{url}/reports", ACME)) == 200)
            yield url


async def status(url: str, headers: dict[str, str]) -> int:
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as response:
        return response.status


@asynccontextmanager
async def stream(url: str, body: bytes = b"{}") -> AsyncIterator[aiohttp.ClientResponse]:
    timeout = aiohttp.ClientTimeout(total=PATIENCE)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.post(url, headers=EVENTS, data=body) as response,
    ):
        yield response


@pytest.mark.parametrize("route", ["orders", "reports"])
def test_events_pass_at_once_also_after_a_silence(
    proxy: str, server: EventServer, route: str
) -> None:
    async def main() -> None:
        server.send("0")
        async with stream(f"{proxy}/{route}/%41/events") as response:
            assert response.status == 200
            assert await response.content.readline() == b"data: 0\n"
            assert await response.content.readline() == b"\n"
            for number in range(1, 4):  # each event is sent after the former one has arrived
                if number == 3:
                    await asyncio.sleep(SILENCE)
                server.send(f"{number}")
                assert await response.content.readline() == f"data: {number}\n".encode()
                assert await response.content.readline() == b"\n"
            server.send("")
            assert await response.content.read() == b""

    server.reset()
    asyncio.run(main())
    [(path, token)] = server.requests
    assert path in {f"/{route}/%41/events", f"/{route}/A/events"}
    assert token.startswith("Bearer gwa_")


def test_streams_that_begin_before_the_body_arrives_are_complete(
    proxy: str, server: EventServer
) -> None:
    """Go's HTTP server closes the body of a request when the response begins.

    Traefik and Caddy cut off one of five such streams if they were still forwarding the body.
    """

    async def main() -> None:
        for _ in range(50):
            server.send("0")
            async with stream(f"{proxy}/orders/events") as response:
                for number in range(3):
                    if number:
                        server.send(f"{number}")
                    assert await response.content.readline() == f"data: {number}\n".encode()
                    assert await response.content.readline() == b"\n"
                server.send("")
                assert await response.content.read() == b""

    server.reset()
    asyncio.run(main())


def test_a_large_body_passes_unchanged(proxy: str) -> None:
    async def main() -> bytes:
        async with stream(f"{proxy}/orders/length", b"x" * LARGE) as response:
            return await response.read()

    assert asyncio.run(main()) == b"%d" % LARGE


def test_another_response_is_not_waited_for_as_long(proxy: str) -> None:
    assert asyncio.run(status(f"{proxy}/orders/silent", ACME)) == 504


def test_a_stream_without_a_token_is_rejected(proxy: str, server: EventServer) -> None:
    server.reset()
    assert asyncio.run(status(f"{proxy}/orders/events", {"Accept": EVENTS["Accept"]})) == 403
    assert server.requests == []
