"""A real Envoy that adds the tokens of routes by itself, with the printed configuration."""

from __future__ import annotations

import asyncio
import socket
import time
from collections import Counter
from collections.abc import Coroutine, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
import requests

from grantway_plugins.issuer import IssuerServer, IssuerSettings, Lifetimes
from tests.faults import free_port
from tests.interop.proxies import envoy_file, printed
from tests.plugins.gateway.running.conftest import Backends, make_backends
from tests.plugins.gateway.running.programs import (
    PATIENCE,
    CountingProvider,
    EchoUpstream,
    gateway,
    write,
)
from tests.plugins.gateway.servers import asgi_server
from tests.raw_http import read_all
from tests.waiting import until

pytestmark = pytest.mark.slow

#: Lifetime of tokens in seconds. A busy machine must not delay a refresh until the expiry.
LIFETIME = 6
#: Seconds that an empty secret may take to reach Envoy on a busy machine.
_PUSHED = 2.0
DOWN = '[providers.down]\ntoken_endpoint = "http://127.0.0.1:{port}/token"\nclient_id = "x"\n'


class Running:
    """A gateway and an Envoy, with the servers that they use.

    Args:
        backends: The provider and the upstream.
        folder: Folder for files.
        down: TCP port of a provider that does not run.
    """

    def __init__(self, backends: Backends, folder: Path, down: int) -> None:
        self.backends, self.folder, self.down = backends, folder, down
        single = {"tenant": '"single"'}
        self.config = backends.write(
            backends.provider()
            + DOWN.format(port=down)
            + backends.route("orders")
            + backends.route("one", scope='"read"', **single)
            + backends.route("two", scope='"write"', host='"own.test"', path='"/"', **single)
            + backends.route("key", header='"X-Api-Key"', scheme='""', **single)
            + backends.route("closed", provider='"down"', **single)
            + backends.route("open", provider='"down"', on_failure='"open"', **single)
            + f'[authorize]\nlisten = "127.0.0.1:{free_port()}"\n'
            + f'grpc_listen = "127.0.0.1:{free_port()}"\n'
        )
        self._gateway = ExitStack()
        self.run = self._gateway.enter_context(gateway(self.config))

    def restart(self, pause: float = 0.0) -> None:
        """Stop the gateway, and start it again after some seconds."""
        self.run.stop()
        self.run.process.wait(PATIENCE)
        time.sleep(pause)
        self.run = self._gateway.enter_context(gateway(self.config))

    def close(self) -> None:
        """Stop the gateway."""
        self._gateway.close()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    lifetimes = Lifetimes(access_token=LIFETIME)
    settings = IssuerSettings(lifetimes=lifetimes, registration="unrestricted")
    echo, folder = EchoUpstream(), tmp_path_factory.mktemp("gateway")
    with IssuerServer(settings) as issuer, asgi_server(echo) as url:
        found = Running(make_backends(issuer, (echo, url), folder), folder, free_port())
        yield found
        found.close()


@pytest.fixture(scope="module", params=["envoy", "envoy-grpc"])
def envoy(
    request: pytest.FixtureRequest, running: Running, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    port = free_port()
    text = printed(request.param, running.config, port)
    with envoy_file(tmp_path_factory.mktemp("envoy"), text, port) as url:
        yield url


@pytest.fixture
def echo(running: Running) -> EchoUpstream:
    running.backends.echo.reset()
    return running.backends.echo


async def load(url: str, during: Coroutine[Any, Any, object], *, tasks: int = 4) -> Counter[int]:
    """Send requests, alternately for two routes, and return the number of each status.

    Args:
        url: Address of Envoy.
        during: The work during which requests are sent.
        tasks: Number of requests in progress.
    """
    statuses: Counter[int] = Counter()
    work = asyncio.create_task(during)

    async def send(session: aiohttp.ClientSession) -> None:
        headers = ({"Host": "gateway.test"}, {"Host": "own.test"})
        while not work.done():
            for each in headers:
                async with session.get(f"{url}/one", headers=each) as response:
                    await response.read()
                    statuses[response.status] += 1
            await asyncio.sleep(0.005)

    async with aiohttp.ClientSession() as session:
        await asyncio.gather(work, *[send(session) for _ in range(tasks)])
    return statuses


def test_tokens_rotate_under_load_without_a_failed_request(
    envoy: str, running: Running, echo: EchoUpstream
) -> None:
    """Each request carries a valid token of the route that it matches."""

    def rotated() -> bool:
        tokens = tokens_by_host(echo)
        return len(tokens) == 2 and all(len(each) >= 3 for each in tokens.values())

    statuses = asyncio.run(load(envoy, asyncio.to_thread(until, rotated)))
    assert set(statuses) == {200}
    tokens = tokens_by_host(echo)
    assert not tokens["own.test"] & tokens["gateway.test"]


def tokens_by_host(echo: EchoUpstream) -> dict[str, set[str]]:
    tokens: dict[str, set[str]] = {}
    for seen in list(echo.requests):
        headers = dict(seen["headers"])
        tokens.setdefault(headers["x-envoy-original-host"], set()).add(headers["authorization"])
    return tokens


def test_requests_pass_while_the_gateway_restarts(
    envoy: str, running: Running, echo: EchoUpstream
) -> None:
    async def restart() -> None:
        await asyncio.sleep(0.5)
        await asyncio.to_thread(running.restart)
        # Those of both routes, before and after the restart.
        await asyncio.to_thread(until, lambda: len(set(echo.tokens)) >= 4)

    assert set(asyncio.run(load(envoy, restart()))) == {200}


def test_credentials_of_callers_are_replaced(
    envoy: str, running: Running, echo: EchoUpstream
) -> None:
    theirs = {
        "Authorization": "Bearer of-the-caller",
        "DPoP": "proof",
        "X-Grantway-Route": "two",
        "X-Real-IP": "6.6.6.6",
        "X_Real_IP": "6.6.6.6",
        "X-Forwarded-Prefix": "/admin",
    }
    for more in ({}, {"Connection": "close, Authorization"}):
        response = requests.get(f"{envoy}/one/1?x=1", headers=theirs | more, timeout=PATIENCE)
        assert response.status_code == 200
    for seen in echo.requests:
        names = [name for name, _ in seen["headers"]]
        headers = dict(seen["headers"])
        assert names.count("authorization") == 1
        assert headers["authorization"].startswith("Bearer gwa_")
        assert (seen["path"], seen["query"]) == ("/one/1", "x=1")
        assert "6.6.6.6" not in headers.values()
        assert not {"dpop", "x-grantway-route", "x-forwarded-prefix"} & set(names)


def test_no_spelling_of_the_tokens_header_gets_through(envoy: str, echo: EchoUpstream) -> None:
    spellings = ("X-Api-Key", "X_Api_Key", "X.Api.Key", "x-API_key", "X!Api-Key")
    theirs = {**dict.fromkeys(spellings, "of-the-caller"), "X-Api-Key-2": "other"}
    assert requests.get(f"{envoy}/key", headers=theirs, timeout=PATIENCE).status_code == 200
    [seen] = echo.requests
    headers = dict(seen["headers"])
    assert headers["x-api-key"].startswith("gwa_")
    assert "of-the-caller" not in headers.values()
    assert headers["x-api-key-2"] == "other"


@pytest.mark.parametrize(
    "target",
    [
        "/one//x",
        "/one/./x",
        "/one/../orders",
        "/one/%2e%2e/orders",
        "/one/..%2forders",
        "/one%2f..%2forders",
        "/one/..;/orders",
        "/one/%252e%252e/orders",
        "/one/\\..\\orders",
        "/one/%00",
        "//one",
        "/one;x=1/../../orders",
    ],
)
def test_the_gateway_decides_about_unusual_paths(
    envoy: str, echo: EchoUpstream, target: str
) -> None:
    parts = urlsplit(envoy)
    request = f"GET {target} HTTP/1.1\r\nHost: gateway.test\r\nConnection: close\r\n\r\n"
    with socket.create_connection((parts.hostname, parts.port), timeout=PATIENCE) as connection:
        connection.sendall(request.encode("latin-1"))
        status = int(read_all(connection).split(b" ")[1])
    assert status in {400, 403, 404}
    assert echo.requests == []


@pytest.mark.parametrize("target", ["/one/a%20b", "/one/x;v=1", "/one/%E2%82%AC"])
def test_encoded_paths_get_the_same_token(envoy: str, echo: EchoUpstream, target: str) -> None:
    def gets_the_same() -> bool:
        echo.reset()
        for each in ("/one", target):
            assert requests.get(f"{envoy}{each}", timeout=PATIENCE).status_code == 200
        assert [seen["path"] for seen in echo.requests] == ["/one", target]
        return len(set(echo.tokens)) == 1

    until(gets_the_same)  # unless the token is replaced between the requests


def test_the_method_that_shows_the_token_is_rejected(envoy: str, echo: EchoUpstream) -> None:
    response = requests.request("TRACE", f"{envoy}/one", timeout=PATIENCE)
    assert response.status_code in {501, 503}
    assert echo.requests == []


def test_without_a_token_the_route_decides(
    envoy: str, running: Running, echo: EchoUpstream
) -> None:
    theirs = {"Authorization": "Bearer of-the-caller"}
    closed = requests.get(f"{envoy}/closed", headers=theirs, timeout=PATIENCE)
    assert closed.status_code == 503
    assert closed.headers["cache-control"] == "no-store"
    assert closed.json()["error"] == "temporarily_unavailable"
    assert requests.get(f"{envoy}/open", headers=theirs, timeout=PATIENCE).status_code == 200
    assert echo.tokens == [""]


def test_a_removed_route_loses_its_token(envoy: str, running: Running, echo: EchoUpstream) -> None:
    text = running.config.read_text()
    try:
        running.config.write_text(text.replace('tenant = "single"\n', 'tenant = "header:X-T"\n', 1))
        running.run.reload()
        until(lambda: requests.get(f"{envoy}/one", timeout=PATIENCE).status_code == 503)
    finally:
        running.config.write_text(text)
        running.run.reload()
    until(lambda: requests.get(f"{envoy}/one", timeout=PATIENCE).status_code == 200)


class ShortLived(CountingProvider):
    """Issues tokens that live three seconds.

    Attributes:
        times: When each token was issued.
    """

    lifetime = 3

    def __init__(self) -> None:
        super().__init__("secret")
        self.times: dict[str, float] = {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await super().__call__(scope, receive, send)
        self.times.setdefault(f"one-{self.issued['one']}", time.monotonic())


class Upstream:
    """Records the token of each request, and its age.

    Args:
        provider: The provider of the tokens.
    """

    def __init__(self, provider: ShortLived) -> None:
        self._provider = provider
        self.ages: dict[str, float] = {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        token = dict(scope["headers"])[b"authorization"].decode().removeprefix("Bearer ")
        # A new token may arrive here before the provider has recorded it.
        now = time.monotonic()
        self.ages[token] = now - self._provider.times.get(token, now)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})


def test_no_expired_token_is_used_even_if_the_provider_fails(tmp_path: Path) -> None:
    provider, port = ShortLived(), free_port()
    upstream = Upstream(provider)
    (tmp_path / "secret.txt").write_text("secret")
    with asgi_server(provider) as issuer, asgi_server(upstream) as url:
        config = write(
            tmp_path,
            CountingProvider.table(issuer)
            + f'[routes.one]\nupstream = "{url}"\nprovider = "idp"\ntenant = "single"\n'
            + 'on_failure = "closed"\nextra = {tenant = "one"}\n'
            + f'[authorize]\nlisten = "127.0.0.1:{free_port()}"\n'
            + f'grpc_listen = "127.0.0.1:{free_port()}"\n',
        )
        proxy = envoy_file(tmp_path, printed("envoy", config, port), port)
        with gateway(config), proxy as envoy_url:

            def status() -> int:
                return requests.get(f"{envoy_url}/x", timeout=PATIENCE).status_code

            # 503 if a busy machine delays a refresh until the expiry.
            assert {200} <= set(asyncio.run(load(envoy_url, asyncio.sleep(7.0)))) <= {200, 503}
            provider.secrets.clear()
            until(lambda: status() == 503)
            provider.secrets.add("secret")
            until(lambda: status() == 200)
    assert len(upstream.ages) >= 3
    assert max(upstream.ages.values()) < provider.lifetime + _PUSHED
