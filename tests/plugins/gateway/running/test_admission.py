"""Limits on the number of requests in progress."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from grantway_plugins.gateway._running.admission import Admission
from tests.plugins.gateway.running.conftest import Backends
from tests.plugins.gateway.running.programs import GatewayProcess, gateway
from tests.raw_http import read_all, read_response
from tests.waiting import PATIENCE, until

ACME = {"X-Tenant": "acme", "Host": "x"}
SLOW = b"GET /slow HTTP/1.1\r\nHost: x\r\nX-Tenant: acme\r\n\r\n"
LENGTHS = {
    "small": (b"Content-Length: 1000", b"a"),
    "large": (b"Content-Length: 100000", b"a"),
    "chunked": (b"Transfer-Encoding: chunked", b"1\r\na\r\n"),
}


@contextmanager
def limited(backends: Backends, limits: str) -> Iterator[GatewayProcess]:
    """Run a gateway with the given ``gateway.limits``."""
    ports = '[gateway]\nlisten = "127.0.0.1:0"\nadmin = "127.0.0.1:0"\nhosts = ["x"]\n'
    route = backends.route(path='"/"')
    endpoint = (
        '[token_endpoint]\nprovider = "idp"\nallow = ["refresh_token"]\n'
        f'clients = {{shop = "sha256:{"0" * 64}"}}\n'
    )
    text = f"{ports}[gateway.limits]\n{limits}\n{backends.provider()}{route}{endpoint}"
    with gateway(backends.write(text)) as run:
        yield run


def connect(run: GatewayProcess) -> socket.socket:
    parts = urlsplit(run.url)
    return socket.create_connection((parts.hostname, parts.port), timeout=PATIENCE)


def begin(path: str, shape: str, *lines: bytes) -> bytes:
    """Return a request with the first byte of its body."""
    length, byte = LENGTHS[shape]
    head = [f"POST {path} HTTP/1.1".encode(), b"Host: x", b"X-Tenant: acme", length, *lines]
    return b"\r\n".join([*head, b"", byte])


def get(run: GatewayProcess, tenant: str = "acme") -> requests.Response:
    headers = {"X-Tenant": tenant, "Host": "x"}
    return requests.get(f"{run.url}/", headers=headers, timeout=PATIENCE)


@pytest.mark.parametrize("path", ["/", "/token"])
@pytest.mark.parametrize("shape", LENGTHS)
def test_slow_bodies_do_not_occupy_every_slot(backends: Backends, path: str, shape: str) -> None:
    form = b"Content-Type: application/x-www-form-urlencoded"
    with limited(backends, "requests = 4") as run, ExitStack() as slow:
        oldest = slow.enter_context(connect(run))
        oldest.sendall(begin(path, shape, form))
        for _ in range(12):
            slow.enter_context(connect(run)).sendall(begin(path, shape, form))
            assert get(run).status_code == 200
        assert read_all(oldest).startswith(b"HTTP/1.1 408 ")


def test_requests_waiting_for_the_upstream_keep_their_slots(backends: Backends) -> None:
    with limited(backends, "requests = 2") as run, ExitStack() as busy:
        for _ in range(2):
            busy.enter_context(connect(run)).sendall(SLOW)
        response = until(lambda: get(run), lambda found: found.status_code != 200)
        assert (response.status_code, response.headers["Retry-After"]) == (503, "1")
        assert response.json()["error"] == "temporarily_unavailable"
        assert requests.get(f"{run.admin}/healthz", timeout=PATIENCE).status_code == 200
        busy.close()
        until(lambda: get(run).status_code == 200)


def test_one_tenant_does_not_occupy_every_slot(backends: Backends) -> None:
    with limited(backends, "requests_per_tenant = 1") as run, connect(run) as busy:
        busy.sendall(SLOW)
        # Otherwise, the next request could be admitted before the slow one.
        assert backends.echo.request_started.wait(PATIENCE)
        response = get(run)
        assert response.status_code == 503
        assert "of this tenant" in response.json()["error_description"]
        assert get(run, "other").status_code == 200
        busy.close()
        until(lambda: get(run).status_code == 200)


@pytest.mark.parametrize(
    "limits",
    [
        "body_seconds = 0.5\nbody_rate = 1000",
        "body_seconds = 20\nbody_rate = 0\nbody_total_seconds = 0.5",
    ],
    ids=["rate", "total"],
)
@pytest.mark.parametrize("shape", LENGTHS)
def test_rejects_a_body_that_arrives_too_slowly(
    backends: Backends, limits: str, shape: str
) -> None:
    _, byte = LENGTHS[shape]
    with limited(backends, limits) as run, connect(run) as trickling:
        trickling.sendall(begin("/", shape))
        ended = threading.Event()
        with ThreadPoolExecutor(1) as reading:
            response = reading.submit(read_all, trickling)
            response.add_done_callback(lambda _: ended.set())
            with contextlib.suppress(ConnectionError):
                for _ in range(400):
                    if ended.wait(0.05):
                        break
                    trickling.sendall(byte)
        head, _, body = response.result().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 ")
    assert json.loads(body)["error_description"] == "The body arrives too slowly"


def test_accepts_a_fast_body_that_exceeds_body_seconds(backends: Backends) -> None:
    with limited(backends, "body_seconds = 1\nbody_rate = 1000") as run, connect(run) as steady:
        pause = threading.Event()
        head = b"POST / HTTP/1.1\r\nHost: x\r\nX-Tenant: acme\r\nContent-Length: 70000\r\n\r\n"
        steady.sendall(head)
        for _ in range(7):
            steady.sendall(b"a" * 10_000)
            pause.wait(0.25)
        assert read_response(steady).startswith(b"HTTP/1.1 200 ")


def test_one_peer_does_not_occupy_every_slot() -> None:
    async def wait_forever() -> Any:
        await asyncio.Event().wait()

    admission = Admission(10, 2, ["10.0.0.0/8"])

    def admit(host: str) -> Any:
        return admission.admit({"client": (host, 1234)}, wait_forever)

    first, second = admit("192.0.2.1"), admit("192.0.2.1")
    assert first is not None
    assert second is not None
    assert admit("192.0.2.1") is None
    assert admit("192.0.2.2") is not None
    assert all(admit(host) for host in ("127.0.0.1", "10.9.9.9") for _ in range(3))
    admission.leave(first)
    admission.leave(first)
    assert admit("192.0.2.1") is not None
    assert admit("192.0.2.1") is None


def test_peer_at_its_limit_does_not_displace_requests_of_other_peers() -> None:
    async def check() -> None:
        never = asyncio.Event()

        async def receive() -> Any:
            await never.wait()

        admission = Admission(3, 2, [])

        def admit(host: str) -> Any:
            return admission.admit({"client": (host, 1234)}, receive)

        steady = admit("192.0.2.1")
        waiting = asyncio.create_task(steady.receive())
        await asyncio.sleep(0)  # let the task start to wait for its body
        held = [admit("192.0.2.2") for _ in range(2)]
        assert all(held)
        assert [admit("192.0.2.2") for _ in range(5)] == [None] * 5
        assert steady.counted
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        # Rejected requests are not counted
        assert admit("192.0.2.3") is None
        for each in held:
            admission.leave(each)
        assert all(admit("192.0.2.3") for _ in range(2))

    asyncio.run(check())
