"""Tokens of routes as secrets for Envoy (SDS), with streams as Envoy opens them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import grpc
import pytest

from grantway_plugins.issuer import IssuerServer, IssuerSettings, Lifetimes
from tests.plugins.gateway.running.conftest import Backends, make_backends
from tests.plugins.gateway.running.envoys import Subscription
from tests.plugins.gateway.running.programs import (
    CountingProvider,
    EchoUpstream,
    GatewayProcess,
    gateway,
    write,
)
from tests.plugins.gateway.servers import asgi_server

AUTHORIZE = '[authorize]\nlisten = "127.0.0.1:0"\ngrpc_listen = "127.0.0.1:0"\n'
SINGLE = 'tenant = "single"'


def route(name: str, *lines: str, tenant: str = SINGLE, provider: str = "idp") -> str:
    """Return the table of a route."""
    more = "".join(f"{line}\n" for line in lines)
    return (
        f'[routes.{name}]\npath = "/{name}"\nprovider = "{provider}"\n{tenant}\n'
        f'on_failure = "closed"\nextra = {{tenant = "{name}"}}\n{more}'
    )


@pytest.fixture
def provider() -> CountingProvider:
    return CountingProvider("secret")


@pytest.fixture
def start(tmp_path: Path, provider: CountingProvider) -> Iterator[Callable[..., GatewayProcess]]:
    """Return a function that writes a gateway file and runs the gateway."""
    (tmp_path / "secret.txt").write_text("secret")
    with asgi_server(provider) as url, ExitStack() as running:

        def run(*tables: str, rewrite: bool = False) -> GatewayProcess | None:
            text = provider.table(url) + "".join(tables)
            file = write(tmp_path, text if AUTHORIZE[:11] in text else text + AUTHORIZE)
            return None if rewrite else running.enter_context(gateway(file))

        yield run


@contextmanager
def subscribed(run: GatewayProcess, *names: str) -> Iterator[Subscription]:
    with grpc.insecure_channel(run.grpc) as channel:
        stream = Subscription(channel, *names)
        try:
            yield stream
        finally:
            stream.close()


def test_a_route_with_one_token_is_a_secret(
    start: Callable[..., GatewayProcess], provider: CountingProvider
) -> None:
    run = start(route("one"), route("key", 'header = "X-Api-Key"', 'scheme = ""'))
    with subscribed(run, "one") as stream:
        assert stream.values() == {"one": "Bearer one-1"}
        stream.subscribe("one", "key")
        assert stream.values() == {"key": "key-1"}
    with ExitStack() as streams:
        opened = [streams.enter_context(subscribed(run, "one")) for _ in range(20)]
        assert [each.values() for each in opened] == [{"one": "Bearer one-1"}] * 20
    assert provider.issued == {"one": 1, "key": 1}
    assert "one-1" not in run.log


def test_a_new_stream_gets_the_current_token_whatever_version_it_names(
    start: Callable[..., GatewayProcess],
) -> None:
    """After a restart of the gateway, Envoy names a version of the earlier process."""
    run = start(route("one"))
    with subscribed(run) as stream:
        stream.subscribe("one", version_info="1")
        assert stream.values() == {"one": "Bearer one-1"}


@pytest.mark.parametrize(
    "lines",
    [
        ("tenant = 'header:X-Tenant'",),
        (SINGLE, 'incoming = "keep"'),
        (SINGLE, "forward_preflight = true"),
        (SINGLE, 'encoded_paths = "forward"'),
        (SINGLE, "scopes = ['read']"),
    ],
    ids=["tenants", "keep", "preflight", "encoded", "verified"],
)
def test_other_routes_are_empty_secrets(
    start: Callable[..., GatewayProcess], provider: CountingProvider, lines: tuple[str, ...]
) -> None:
    """Above all, the token of a route whose callers the gateway verifies is not served."""
    table = route("other", *lines[1:], "upstream = 'http://127.0.0.1:1'", tenant=lines[0])
    inbound = ""
    if "scopes" in table:
        inbound = (
            '[inbound]\nresource = "https://api.test"\n'
            '[[inbound.issuer]]\nissuer = "http://127.0.0.1:1"\n[gateway]\nstart = "degraded"\n'
            'listen = "127.0.0.1:0"\nadmin = "127.0.0.1:0"\n'
        )
    run = start(table, inbound)
    with subscribed(run, "other", "missing") as stream:
        seen: dict[str, str] = {}
        while len(seen) < 2:
            seen |= stream.values()
    assert seen == {"other": "", "missing": ""}
    assert provider.issued == {}
    run.wait_for("Envoy gets no token of the route other: it is not a route")


def test_a_reload_takes_effect_on_open_streams(
    start: Callable[..., GatewayProcess], provider: CountingProvider
) -> None:
    run = start(route("one"), route("two"))
    with subscribed(run, "one") as one, subscribed(run, "two") as two:
        assert (one.values(), two.values()) == ({"one": "Bearer one-1"}, {"two": "Bearer two-1"})
        start(route("one", tenant="tenant = 'header:X-Tenant'"), route("two"), rewrite=True)
        run.reload()
        assert one.values() == {"one": ""}
        start(route("one"), route("two", 'scope = "read"'), rewrite=True)
        run.reload()
        assert one.values() == {"one": "Bearer one-1"}
        assert two.values() == {"two": "Bearer two-2"}
    assert provider.issued == {"one": 1, "two": 2}


def test_a_failing_provider_leaves_the_secret_empty_until_it_works(
    start: Callable[..., GatewayProcess], provider: CountingProvider
) -> None:
    provider.secrets.clear()
    run = start(route("one"))
    with subscribed(run, "one") as stream:
        assert stream.values() == {"one": ""}
        provider.secrets.add("secret")
        assert stream.values() == {"one": "Bearer one-1"}
    run.wait_for("Envoy gets no token of the route one: invalid_client")


def test_rejections_are_logged_without_the_secret(start: Callable[..., GatewayProcess]) -> None:
    run = start(route("one"), route("two"))
    with subscribed(run, "one") as stream:
        response = stream.receive()
        stream.reject(response, "no: 'Bearer one-1' or one-1 " + "x" * 10_000)
        stream.subscribe("one", "two")
        assert stream.values() == {"two": "Bearer two-1"}  # not the rejected one again
    run.wait_for("Envoy 'test-envoy' rejected the secrets one: no: '*** ***' or ***")
    assert "one-1" not in run.log
    assert len(run.log) < 3000


def test_other_resources_are_not_served(start: Callable[..., GatewayProcess]) -> None:
    run = start(route("one"))
    with subscribed(run) as stream:
        stream.subscribe(*map(str, range(1001)))
        with pytest.raises(grpc.RpcError) as failed:
            stream.receive()
    assert failed.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_only_allowed_proxies_get_secrets(
    start: Callable[..., GatewayProcess], provider: CountingProvider
) -> None:
    run = start(route("one"), AUTHORIZE + 'allow = ["10.0.0.0/8"]\n')
    with subscribed(run, "one") as stream, pytest.raises(grpc.RpcError) as denied:
        stream.receive()
    assert denied.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert provider.issued == {}


def test_a_proxy_that_is_no_longer_allowed_gets_no_new_token(
    start: Callable[..., GatewayProcess],
) -> None:
    run = start(route("one"))
    with subscribed(run, "one") as stream:
        assert stream.values() == {"one": "Bearer one-1"}
        denied = AUTHORIZE + 'allow = ["10.0.0.0/8"]\n'
        start(route("one", 'scope = "read"'), denied, rewrite=True)
        run.reload()
        with pytest.raises(grpc.RpcError) as ended:
            stream.receive()
    assert ended.value.code() is grpc.StatusCode.PERMISSION_DENIED


def test_open_streams_do_not_delay_a_shutdown(start: Callable[..., GatewayProcess]) -> None:
    run = start(route("one"))
    with subscribed(run, "one") as stream:
        stream.values()
        began = time.monotonic()
        assert run.stop() == 0
        assert time.monotonic() - began < 10  # less than the grace period
        with pytest.raises((StopIteration, grpc.RpcError)):
            stream.receive()


@pytest.mark.slow
def test_frequent_pings_do_not_end_an_idle_stream(
    start: Callable[..., GatewayProcess], provider: CountingProvider
) -> None:
    """As those of Envoy's ``connection_keepalive``."""
    provider.lifetime = 12
    run = start(route("one"))
    pings = [("grpc.keepalive_time_ms", 1000), ("grpc.http2.max_pings_without_data", 0)]
    with grpc.insecure_channel(run.grpc, options=pings) as channel:
        stream = Subscription(channel, "one")
        assert [stream.values()["one"] for _ in range(2)] == ["Bearer one-1", "Bearer one-2"]
        stream.close()


@pytest.mark.slow
def test_tokens_are_replaced_before_they_expire(tmp_path: Path) -> None:
    lifetimes = Lifetimes(access_token=5)
    settings = IssuerSettings(lifetimes=lifetimes, registration="unrestricted")
    echo = EchoUpstream()
    with IssuerServer(settings) as issuer, asgi_server(echo) as url:
        backends: Backends = make_backends(issuer, (echo, url), tmp_path)
        config = backends.write(backends.provider() + backends.route(tenant='"single"') + AUTHORIZE)
        with gateway(config) as run, subscribed(run, "orders") as stream:
            values = [stream.values()["orders"] for _ in range(2)]
    # The gateway would send an empty secret when the first token expires.
    assert len(set(values)) == 2
    assert all(value.startswith("Bearer gwa_") for value in values)
