"""Adapters for requests and httpx."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import httpx2
import pytest
import requests

import grantway
from grantway_plugins.gateway.upstream import (
    HttpxUpstreamAuth,
    RequestRejectedError,
    RequestsUpstreamAuth,
    Route,
    UpstreamAuth,
    from_header,
    from_host,
    from_principal,
)
from tests.plugins.gateway.upstream.conftest import RecordingObserver
from tests.plugins.gateway.upstream.servers import CHALLENGE, OrdersServer, Tenants
from tests.plugins.gateway.upstream.test_middleware import dead_pool

Answer = tuple[int, str, str]
Make = Callable[..., UpstreamAuth]


def by_requests(rules: UpstreamAuth, url: str, headers: Any, body: Any, **options: Any) -> Answer:
    with requests.Session() as session:
        session.trust_env = False
        got = session.post(
            url,
            headers=headers,
            data=body,
            auth=RequestsUpstreamAuth(rules, **options),
            timeout=30,
        )
        return got.status_code, got.text, got.headers.get("WWW-Authenticate", "")


def by_httpx(rules: UpstreamAuth, url: str, headers: Any, body: Any, **options: Any) -> Answer:
    with httpx.Client(trust_env=False, timeout=30) as client:
        auth = HttpxUpstreamAuth(rules, **options)
        got = client.post(url, headers=headers, content=body, auth=auth)
        return got.status_code, got.text, got.headers.get("WWW-Authenticate", "")


def by_async_httpx(
    rules: UpstreamAuth, url: str, headers: Any, body: Any, **options: Any
) -> Answer:
    async def parts() -> AsyncIterator[bytes]:
        for part in body:
            yield part

    async def send() -> Answer:
        content = body if isinstance(body, (bytes, type(None))) else parts()
        async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
            auth = HttpxUpstreamAuth(rules, **options)
            got = await client.post(url, headers=headers, content=content, auth=auth)
            return got.status_code, got.text, got.headers.get("WWW-Authenticate", "")

    return asyncio.run(send())


LIBRARIES = {"requests": by_requests, "httpx": by_httpx, "async httpx": by_async_httpx}
Send = Callable[..., Answer]
ACME = {"X-Tenant": "acme"}


@pytest.fixture(params=LIBRARIES)
def send(request: pytest.FixtureRequest) -> Send:
    return LIBRARIES[request.param]


def test_each_tenant_gets_its_own_token(
    send: Send, upstream: Make, tenants: Tenants, target: str, observer: RecordingObserver
) -> None:
    rules = upstream()
    for tenant in ("acme", "globex", "acme"):
        status, text, _ = send(rules, f"{target}/a?b=1", {"X-Tenant": tenant}, b"body")
        assert status == 200
        assert f'"tenant": ["{tenant}"]' in text
    assert tenants.issued == {"acme": 1, "globex": 1}
    assert (len(observer.hits), len(observer.waits)) == (1, 2)


def test_the_tenant_can_come_from_the_context(send: Send, upstream: Make, target: str) -> None:
    rules = upstream(tenant=from_principal(lambda user: user and user["tenant"]))
    _, text, _ = send(rules, target, {}, None, context={"tenant": "acme"})
    assert '"tenant": ["acme"]' in text
    with pytest.raises(RequestRejectedError) as caught:
        send(rules, target, {}, None)
    assert caught.value.status == 403


def test_replaces_a_rejected_token_but_does_not_resend_a_stream(
    *,
    send: Send,
    upstream: Make,
    tenants: Tenants,
    orders: OrdersServer,
    target: str,
    observer: RecordingObserver,
) -> None:
    def stream() -> Iterator[bytes]:
        yield b"only once"

    rules = upstream()
    tenants.application.revoke(tenants.pool.token("acme"))
    assert send(rules, target, ACME, stream())[::2] == (401, CHALLENGE)
    assert len(orders.seen) == 1
    assert send(rules, target, ACME, stream())[0] == 200
    tenants.application.revoke(tenants.pool.token("acme"))
    assert send(rules, target, ACME, b"bytes")[0] == 200
    assert [each.body for each in orders.seen[2:]] == [b"bytes", b"bytes"]
    assert tenants.issued == {"acme": 3}
    assert observer.outcomes == [
        "injected",
        "rejected",
        "injected",
        "injected",
        "rejected",
        "again",
    ]


def test_a_request_for_more_scope_reaches_the_caller(
    send: Send, upstream: Make, tenants: Tenants, orders: OrdersServer, target: str
) -> None:
    """A gateway cannot log in; the caller gets the response of the upstream."""
    orders.rejected = {tenants.pool.token("acme").access_token}
    orders.status, orders.challenge = 403, 'Bearer error="insufficient_scope", scope="write"'
    assert send(upstream(), target, ACME, b"")[::2] == (403, orders.challenge)
    assert len(orders.seen) == 1


def test_httpx2_can_be_used(upstream: Make, target: str) -> None:
    with httpx2.Client(trust_env=False, auth=HttpxUpstreamAuth(upstream())) as client:
        response = client.post(target, headers=ACME, content=b"")
        assert response.json()["tenant"] == ["acme"]


def test_replaces_or_keeps_the_callers_credentials(
    send: Send, upstream: Make, orders: OrdersServer, target: str
) -> None:
    key = {"X-Api-Key": "from-caller", "X-Open": "1"}
    assert send(upstream(incoming="keep", header="X-Api-Key"), target, key, b"")[0] == 200
    assert orders.seen[0].headers["x-api-key"] == "from-caller"
    assert "authorization" not in orders.seen[0].headers
    incoming = {**ACME, **key, "X_Api_Key": "from-caller", "Authorization": "Bearer from-caller"}
    assert send(upstream(header="X-Api-Key", scheme=""), target, incoming, b"")[0] == 200
    assert "from-caller" not in str(orders.seen[1].headers)


def test_leaves_a_request_without_a_route_unchanged(
    send: Send, upstream: Make, orders: OrdersServer, target: str
) -> None:
    incoming = {"Authorization": "Bearer from-caller", "X-Open": "1"}
    assert send(upstream(path="/orders"), f"{target}/other", incoming, b"")[0] == 200
    assert orders.tokens == ["from-caller"]


def test_open_and_closed_routes_while_the_provider_is_down(
    send: Send, upstream: Make, orders: OrdersServer, target: str
) -> None:
    incoming = {**ACME, "X-Open": "1"}
    with pytest.raises(grantway.GrantwayError):
        send(upstream(credential=dead_pool(), timeout=0.05), target, incoming, b"")
    assert orders.seen == []
    opened = upstream(credential=dead_pool(), timeout=0.05, on_failure="open")
    assert send(opened, target, incoming, b"")[0] == 200
    assert "authorization" not in orders.seen[0].headers
    with pytest.raises(RequestRejectedError):  # an invalid request is rejected on open routes too
        send(opened, target, {}, b"")


def test_sends_no_token_over_http_to_another_machine(send: Send, tenants: Tenants) -> None:
    rules = UpstreamAuth(
        [
            Route(
                "orders",
                host="acme.orders.example",
                provider="issuer",
                credential=tenants.pool,
                tenant=from_host("orders.example"),
                on_failure="closed",
            )
        ]
    )
    with pytest.raises(grantway.InsecureEndpointError):
        send(rules, "http://acme.orders.example/x", {}, b"")
    assert tenants.issued == {}


def test_does_not_send_an_ambiguous_path(
    send: Send, upstream: Make, orders: OrdersServer, target: str
) -> None:
    with pytest.raises(RequestRejectedError):
        send(upstream(tenant=from_header("X-Tenant")), f"{target}/a%2fb", ACME, b"")
    assert orders.seen == []
