"""Exchange of callers' tokens at the embedded issuer: subject, lifetime and rejection."""

from __future__ import annotations

import base64
import json
import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

import grantway
from grantway.testing import faults
from grantway_plugins._jwt import unverified_expiry
from grantway_plugins.gateway.upstream import (
    RequestContext,
    RequestRejectedError,
    TokenExchange,
    UpstreamAuth,
    response_for,
    single,
)
from grantway_plugins.testing import LiveIssuer
from tests.plugins.auth.resource import Application
from tests.plugins.gateway.upstream.conftest import Gateway, RecordingObserver
from tests.plugins.gateway.upstream.servers import AUDIENCE, OrdersServer

Make = Callable[..., UpstreamAuth]


class CountingClient:
    """The gateway's client at the issuer, with a count of its requests."""

    def __init__(self, issuer: LiveIssuer) -> None:
        self.calls = 0

        def count(exchange: Any) -> Any:
            self.calls += 1
            return (yield exchange)

        self.client = issuer.client(scope=["read", "write"], middleware=[count])


@pytest.fixture
def counting(grantway_issuer: LiveIssuer) -> CountingClient:
    return CountingClient(grantway_issuer)


def exchanging(upstream: Make, counting: CountingClient, **options: Any) -> UpstreamAuth:
    exchange = TokenExchange(counting.client, audience=[f"{AUDIENCE}orders"])
    return upstream(incoming="exchange", credential=exchange, tenant=single(), **options)


def caller_headers(application: Application) -> dict[str, str]:
    """Return an ``Authorization`` header with the caller's token."""
    token = application.client.create_token(grant_type="client_credentials", scope=["read"])
    return {"Authorization": f"Bearer {token.access_token}"}


def jwt(**claims: Any) -> str:
    parts = [json.dumps(each).encode() for each in ({"alg": "ES256"}, claims, "signature")]
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


def test_exchanges_a_callers_token_once_and_never_forwards_it(
    *,
    gateway: Gateway,
    upstream: Make,
    counting: CountingClient,
    application: Application,
    orders: OrdersServer,
    http: requests.Session,
) -> None:
    url = gateway(exchanging(upstream, counting))
    incoming = caller_headers(application)
    for _ in range(3):
        response = http.get(url, headers=incoming, timeout=30)
        assert response.json()["tenant"] == ["orders"]
        # The subject is still the caller, not the gateway.
        assert response.json()["sub"] == application.secrets[0]
    assert counting.calls == 1
    assert incoming["Authorization"].removeprefix("Bearer ") not in orders.tokens
    assert http.get(url, headers=caller_headers(application), timeout=30).status_code == 200
    assert counting.calls == 2


def test_concurrent_requests_with_one_token_share_an_exchange(
    counting: CountingClient, application: Application
) -> None:
    exchange = TokenExchange(counting.client)
    incoming = caller_headers(application)["Authorization"]
    together = threading.Barrier(20)

    def get_token() -> str:
        together.wait(30)
        return exchange.credential("acme", incoming).token().access_token

    with ThreadPoolExecutor(20) as pool:
        tokens = {each.result() for each in [pool.submit(get_token) for _ in range(20)]}
    assert (len(tokens), counting.calls, len(exchange)) == (1, 1, 1)
    # Another tenant gets another token for the same caller.
    assert exchange.credential("globex", incoming).token().access_token not in tokens


@pytest.mark.parametrize(
    ("incoming", "challenge"),
    [
        ({}, "Bearer"),
        ({"Authorization": "Basic Yjpi"}, "Bearer"),
        ({"Authorization": "Bearer a b"}, "Bearer"),
        ({"Authorization": f"Bearer {'x' * 20_000}"}, "Bearer"),
        ({"Authorization": "Bearer unknown"}, 'Bearer error="invalid_token"'),
        ({"Authorization": f"Bearer {jwt(exp=1)}"}, 'Bearer error="invalid_token"'),
    ],
)
@pytest.mark.parametrize("on_failure", ["open", "closed"])
def test_rejects_a_caller_without_a_valid_token(
    *,
    gateway: Gateway,
    upstream: Make,
    counting: CountingClient,
    orders: OrdersServer,
    http: requests.Session,
    observer: RecordingObserver,
    incoming: dict[str, str],
    challenge: str,
    on_failure: str,
) -> None:
    url = gateway(exchanging(upstream, counting, on_failure=on_failure))
    http.auth = lambda request: request  # keeps requests from reading a netrc file
    response = http.get(url, headers=incoming, timeout=30)
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"].startswith(challenge)
    assert orders.seen == []
    assert observer.outcomes == ["refused"]


def test_does_not_exchange_a_rejected_token_again_at_once(counting: CountingClient) -> None:
    exchange = TokenExchange(counting.client)
    credential = exchange.credential("acme", "Bearer unknown")
    began = time.monotonic()
    for _ in range(5):
        with pytest.raises(RequestRejectedError) as caught:
            credential.token()
        assert caught.value.status == 401
        assert "unknown" not in str(caught.value)
    # The requests did not wait for the next attempt, which is allowed after 0.25 seconds.
    assert counting.calls <= 1 + (time.monotonic() - began) / 0.25


def test_responds_with_503_if_the_exchange_fails_otherwise(
    upstream: Make, grantway_faults: Any, observer: RecordingObserver
) -> None:
    server = grantway_faults(faults.respond(503, b"", {"Retry-After": "7"}))
    with grantway.Client(
        grantway.Provider(token_endpoint=server.token_endpoint),
        client_id="gateway",
        client_secret="x" * 40,
        retry=grantway.RetryPolicy(attempts=1),
    ) as client:
        exchange = TokenExchange(client)
        rules = upstream(incoming="exchange", credential=exchange, tenant=single(), timeout=5.0)
        facts = RequestContext.of("", "/", [("Authorization", "Bearer abc")])
        for _ in range(2):
            with pytest.raises(grantway.GrantwayError) as caught:
                rules.prepare(facts)
            response = response_for(caught.value)
            assert response.status == 503
            assert int(dict(response.headers)[b"retry-after"]) <= 7
    assert observer.outcomes == ["closed", "closed"]


def test_an_exchanged_token_does_not_outlive_the_callers_token(
    grantway_faults: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = grantway_faults(faults.respond())
    with grantway.Client(
        grantway.Provider(token_endpoint=server.token_endpoint), client_id="gateway"
    ) as client:
        end = time.time() + 600
        credential = TokenExchange(client).credential("acme", f"Bearer {jwt(exp=end)}")
        assert not credential.token().expired()
        monkeypatch.setattr(time, "time", lambda: end)
        assert credential.fresh
        with pytest.raises(RequestRejectedError, match="expired"):
            credential.token()
    assert len(server.requests) == 1


def test_replaces_an_exchanged_token_that_the_upstream_rejects(
    *,
    gateway: Gateway,
    upstream: Make,
    counting: CountingClient,
    application: Application,
    orders: OrdersServer,
    http: requests.Session,
) -> None:
    url = gateway(exchanging(upstream, counting))
    incoming = caller_headers(application)
    assert http.get(url, headers=incoming, timeout=30).status_code == 200
    orders.rejected.add(orders.tokens[0])
    assert http.get(url, headers=incoming, timeout=30).status_code == 200
    assert counting.calls == 2


def test_the_number_of_cached_tokens_is_bounded(counting: CountingClient) -> None:
    exchange = TokenExchange(counting.client, entries=10)
    for number in range(50):
        exchange.credential("acme", f"Bearer token{number}")
    assert len(exchange) == 10
    assert "token1" not in repr(exchange)


@pytest.mark.parametrize(
    ("token", "end"),
    [
        ("opaque", math.inf),
        ("a.b.c", math.inf),
        ("....", math.inf),
        ("a.W10.c", math.inf),
        (jwt(exp=12), 12.0),
        (jwt(exp=12.5), 12.5),
        (jwt(exp=True), math.inf),
        (jwt(exp="12"), math.inf),
        (jwt(), math.inf),
        (jwt(exp=10**400), math.inf),
        (jwt(exp=-(10**400)), 0.0),
        (jwt(exp=math.nan), math.inf),
        (f"a.{base64.urlsafe_b64encode(b'[' * 9000).decode()}.c", math.inf),
    ],
)
def test_reads_the_expiry_of_a_jwt(token: str, end: float) -> None:
    assert unverified_expiry(token) == end


def test_rejects_invalid_parameters_at_construction(counting: CountingClient) -> None:
    with pytest.raises(grantway.ConfigurationError, match="subject_token"):
        TokenExchange(counting.client, subject_token="x")
    with pytest.raises(grantway.RequestInvalidError, match="actor_token"):
        TokenExchange(counting.client, actor_token="x")
    with pytest.raises(grantway.ConfigurationError, match="entries"):
        TokenExchange(counting.client, entries=0)


def test_each_tenant_may_have_its_own_client(
    counting: CountingClient, application: Application
) -> None:
    clients = {"acme": counting.client, "globex": application.client}
    exchange = TokenExchange(clients.__getitem__)
    incoming = caller_headers(application)["Authorization"]
    assert exchange.credential("acme", incoming).token().access_token
    assert counting.calls == 1
    with pytest.raises(grantway.TokenError):  # this client may not exchange tokens
        exchange.credential("globex", incoming).token()
    assert counting.calls == 1
