"""Tokens that proxies cache with the printed configurations never reach another tenant."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests
from hypothesis import given, settings, strategies as st

from tests.faults import free_port
from tests.interop.proxies import NEEDS_HAPROXY, haproxy_file, nginx_http, printed
from tests.plugins.gateway.running.programs import (
    PATIENCE,
    EchoUpstream,
    GatewayProcess,
    gateway,
    write,
)
from tests.plugins.gateway.servers import asgi_server
from tests.raw_http import read_all

TENANTS = ("acme", "umbrella", "a")


class Provider:
    """An ASGI token endpoint whose tokens name the route and the tenant."""

    def __init__(self) -> None:
        self.requests = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        form = dict(parse_qsl((await receive())["body"].decode()))
        self.requests += 1
        token = {"access_token": form["scope"], "token_type": "Bearer", "expires_in": 3600}
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(token).encode()})


def route(name: str, tenant: str, upstream: str, more: str) -> str:
    """Return the table of a route whose tokens are ``NAME.TENANT``."""
    return (
        f'[routes.{name}]\nprovider = "login"\ntenant = "{tenant}"\non_failure = "closed"\n'
        f'upstream = "{upstream}"\nscope = "{name}.{{tenant}}"\n{more}\n'
    )


class Proxies:
    """A gateway, and a proxy in front of it with and without caching.

    Attributes:
        run: The gateway.
        echo: The upstream.
        name: Name of the proxy.
        cached, uncached: Its addresses.
        folder: Files of the one that caches.
    """

    def __init__(self, run: GatewayProcess, echo: EchoUpstream, name: str, folder: Path) -> None:
        self.run, self.echo, self.name, self.folder = run, echo, name, folder
        self.cached = self.uncached = ""

    def ask(self, address: str, request: bytes) -> tuple[int, str]:
        """Send a request, and return the status and the token that reached the upstream."""
        self.echo.reset()
        parts = urlsplit(address)
        with socket.create_connection((parts.hostname, parts.port), timeout=PATIENCE) as connection:
            connection.sendall(request)
            response = read_all(connection)
        status = int(response.split(b" ", 2)[1])
        return status, self.echo.tokens[0] if self.echo.requests else ""


@pytest.fixture(
    scope="module",
    params=[
        "nginx",
        pytest.param("haproxy", marks=[NEEDS_HAPROXY, pytest.mark.slow]),
    ],
)
def proxies(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxies]:
    echo, folder, authorize = EchoUpstream(), tmp_path_factory.mktemp("cache"), free_port()
    with ExitStack() as running:
        upstream = running.enter_context(asgi_server(echo))
        issuer = running.enter_context(asgi_server(Provider()))
        text = (
            f'[providers.login]\ntoken_endpoint = "{issuer}/token"\nclient_id = "x"\n'
            'auth = "none"\n'
            + route("rest", "header:X-Tenant", upstream, "")
            + route("orders", "header:X-Tenant", upstream, 'path = "/orders"')
            + route("deep", "single", upstream, 'path = "/orders/all"')
            + route("hosts", "host:example.com", upstream, 'path = "/hosts"')
            + route("paths", "path:2", upstream, 'path = "/t"\nforward_preflight = true')
            + route("own", "header:X-Tenant", upstream, 'host = "own.test"\npath = "/orders"')
            + route("slashes", "path:2", upstream, 'path = "/s"\nencoded_paths = "forward"')
            + f'[authorize]\nlisten = "127.0.0.1:{authorize}"\n'
        )
        file = write(folder, text)
        own = {name: tmp_path_factory.mktemp(name) for name in ("cached", "uncached")}
        run = running.enter_context(gateway(file))
        found = Proxies(run, echo, request.param, own["cached"])
        never = write(folder, f"{text}cache_seconds = 0\n", "never.toml")
        for name, config in (("cached", file), ("uncached", never)):
            port, where = free_port(), own[name]
            conf = printed(request.param, config, port)
            conf = conf.replace("/run/grantway-nginx", f"{where}/cache")
            if request.param == "nginx":
                url = running.enter_context(nginx_http(where, conf, port))
            else:
                script = printed("haproxy-lua", config, port)
                url = running.enter_context(haproxy_file(where, conf, port, script))
            setattr(found, name, url)
        yield found


HOSTS = st.sampled_from(
    ["acme.example.com", "umbrella.example.com", "ACME.example.com", "acme.example.com:80",
     "a.acme.example.com", "own.test", "OWN.test.", "own.test:1", "other.test", "x|acme"]
)  # fmt: skip
PREFIXES = st.sampled_from(["/orders", "/orders/all", "/hosts", "/t/acme", "/s/acme", "/x"])
SUFFIXES = st.lists(
    st.sampled_from(
        ["/orders", "/1", "/all", "/t", "/umbrella", "/", "//", "/.", "/..", "%2F", "%2f..", "a",
         "%2e%2e", "/%61ll", ";x", ";/../t", "%3B", "%23", "%00", "%5C", "\\", "%252F", "+", "|",
         "?", "?/../umbrella"]
    ),
    max_size=3,
).map("".join)  # fmt: skip
PATHS = st.sampled_from(["", "/%6frders", "/..", "/s/..%2ft/umbrella", "/t/%61cme", "//orders"])
NAMES = st.sampled_from(
    ["X-Tenant", "x-tenant", "X-TENANT", "X_Tenant", "X.Tenant", "X-Tenant ", "X-Original-URI",
     "X-Forwarded-Host", "X-Grantway-Route", "X-Original-Method", "Connection",
     "Cache-Control", "Vary", "Origin", "Access-Control-Request-Method"]
)  # fmt: skip
VALUES = st.sampled_from(
    [*TENANTS, "ACME", "acme,umbrella", "acme, umbrella", " acme\t", "ac me", "", "acme|umbrella",
     "plain acme", "/orders", "/t/umbrella", "own.test", "no-cache", "X-Tenant", "authorization"]
)  # fmt: skip
METHODS = st.sampled_from(["GET", "GET", "POST", "HEAD", "OPTIONS", "PURGE"])


@settings(max_examples=200, deadline=None)
@given(
    METHODS,
    st.tuples(PREFIXES, PATHS, SUFFIXES),
    st.tuples(HOSTS, st.sampled_from(TENANTS)),
    st.lists(st.tuples(NAMES, VALUES), max_size=3),
)
def test_a_cached_token_is_the_one_that_the_gateway_would_give(
    proxies: Proxies,
    method: str,
    target: tuple[str, str, str],
    sender: tuple[str, str],
    headers: list[tuple[str, str]],
) -> None:
    """Each example first stores the token of a usual request that differs in few details."""
    prefix, other, suffix = target
    host, tenant = sender
    proxies.ask(proxies.cached, request(tenant, prefix, host))
    sent = request(tenant, f"{other or prefix}{suffix}", host, method, headers)
    assert proxies.ask(proxies.cached, sent) == proxies.ask(proxies.uncached, sent)
    if len(headers) > 1:  # of the same name, perhaps, and now without the usual tenant
        sent = request("", f"{other or prefix}{suffix}", host, method, headers)
        assert proxies.ask(proxies.cached, sent) == proxies.ask(proxies.uncached, sent)


def request(
    tenant: str,
    path: str = "/orders",
    host: str = "other.test",
    method: str = "GET",
    headers: Iterable[tuple[str, str]] = (),
) -> bytes:
    """Return a request for a tenant, if it is not empty, with more headers."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", "Connection: close"]
    lines += [f"X-Tenant: {tenant}"] * bool(tenant)
    lines += [f"{name}: {value}" for name, value in headers]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def authorized(run: GatewayProcess) -> int:
    """Return how many tokens the gateway has given to nginx."""
    text = requests.get(f"{run.admin}/metrics", timeout=PATIENCE).text
    return sum(int(float(each)) for each in re.findall(r'injected".* ([0-9.]+)\n', text))


def test_each_tenant_and_route_has_its_own_token(proxies: Proxies) -> None:
    for _ in range(2):
        for tenant in TENANTS:
            for path, host, token in (
                ("/orders/1", "other.test", f"orders.{tenant}"),
                ("/orders/1", "own.test", f"own.{tenant}"),
                ("/other", "own.test", f"rest.{tenant}"),
                (f"/t/{tenant}/1", "other.test", f"paths.{tenant}"),
                ("/hosts", f"{tenant}.example.com", f"hosts.{tenant}"),
            ):
                sent = request(tenant, path, host)
                assert proxies.ask(proxies.cached, sent) == (200, f"Bearer {token}")


def test_the_proxy_asks_once_for_paths_that_all_servers_read_alike(proxies: Proxies) -> None:
    tenant = "counted"
    assert proxies.ask(proxies.cached, request(tenant))[0] == 200
    before = authorized(proxies.run)
    for number in range(20):
        assert proxies.ask(proxies.cached, request(tenant, f"/orders/{number}?x=//"))[0] == 200
    assert authorized(proxies.run) - before <= 1  # the response may have expired once


def test_files_with_cached_tokens_are_readable_by_nginx_only(proxies: Proxies) -> None:
    """HAProxy keeps tokens in memory."""
    proxies.ask(proxies.cached, request("acme"))
    files = [each for each in proxies.folder.rglob("*") if b"Bearer " in content(each)]
    assert bool(files) == (proxies.name == "nginx")
    for file in files:
        assert [each.stat().st_mode & 0o077 for each in (file, file.parents[2])] == [0, 0]


def content(path: Path) -> bytes:
    """Return the bytes of a file; empty if it is a folder or was replaced meanwhile."""
    try:
        return path.read_bytes() if path.is_file() else b""
    except FileNotFoundError:
        return b""


def test_a_preflight_gets_no_cached_token(proxies: Proxies) -> None:
    """The gateway forwards it without a token, and caches nothing for a real OPTIONS request."""
    asked = [("Origin", "https://app.test"), ("Access-Control-Request-Method", "PUT")]
    for _ in range(2):
        options = request("", "/t/acme/1", method="OPTIONS")
        assert proxies.ask(proxies.cached, options) == (200, "Bearer paths.acme")
        preflight = request("", "/t/acme/1", method="OPTIONS", headers=asked)
        assert proxies.ask(proxies.cached, preflight) == (200, "")


def test_denials_are_not_cached(proxies: Proxies) -> None:
    denied = b"GET /orders HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    for _ in range(2):
        assert proxies.ask(proxies.cached, denied) == (403, "")
    assert proxies.ask(proxies.cached, request("acme")) == (200, "Bearer orders.acme")
