"""The caller's token exchanged by the embedded issuer: whose, how long, and when it is refused."""

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
from grantway_plugins.gateway.upstream import (
    RequestContext,
    RequestRejectedError,
    TokenExchange,
    UpstreamAuth,
    response_for,
    single,
)
from grantway_plugins.gateway.upstream._token_exchange import expiry_of
from grantway_plugins.testing import LiveIssuer
from tests.plugins.auth.resource import Application
from tests.plugins.gateway.upstream.conftest import Gateway, Told
from tests.plugins.gateway.upstream.places import AUDIENCE, Orders

Make = Callable[..., UpstreamAuth]


class Asking:
    """A client of the gateway at the issuer, which counts what it asks."""

    def __init__(self, issuer: LiveIssuer) -> None:
        self.asked = 0

        def count(exchange: Any, call_next: Any) -> Any:
            self.asked += 1
            return call_next(exchange)

        self.client = issuer.client(scope=["read", "write"], middleware=[count])


@pytest.fixture
def asking(grantway_issuer: LiveIssuer) -> Asking:
    return Asking(grantway_issuer)


def exchanging(upstream: Make, asking: Asking, **options: Any) -> UpstreamAuth:
    exchange = TokenExchange(asking.client, audience=[f"{AUDIENCE}orders"])
    return upstream(incoming="exchange", credential=exchange, tenant=single(), **options)


def theirs(application: Application) -> dict[str, str]:
    """What a caller brings: a token of its own."""
    token = application.client.create_token(grant_type="client_credentials", scope=["read"])
    return {"Authorization": f"Bearer {token.access_token}"}


def jwt(**claims: Any) -> str:
    parts = [json.dumps(each).encode() for each in ({"alg": "ES256"}, claims, "signature")]
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


def test_a_callers_token_is_exchanged_once_and_never_forwarded(
    *,
    gateway: Gateway,
    upstream: Make,
    asking: Asking,
    application: Application,
    orders: Orders,
    http: requests.Session,
) -> None:
    url = gateway(exchanging(upstream, asking))
    brought = theirs(application)
    for _ in range(3):
        answer = http.get(url, headers=brought, timeout=30)
        assert answer.json()["tenant"] == ["orders"]
        # The subject is still the caller's: the token is not the gateway's own.
        assert answer.json()["sub"] == application.secrets[0]
    assert asking.asked == 1
    assert brought["Authorization"].removeprefix("Bearer ") not in orders.carried
    assert http.get(url, headers=theirs(application), timeout=30).status_code == 200
    assert asking.asked == 2


def test_many_with_one_token_ask_once(asking: Asking, application: Application) -> None:
    exchange = TokenExchange(asking.client)
    brought = theirs(application)["Authorization"]
    together = threading.Barrier(20)

    def ask() -> str:
        together.wait(30)
        return exchange.credential("acme", brought).token().access_token

    with ThreadPoolExecutor(20) as pool:
        tokens = {each.result() for each in [pool.submit(ask) for _ in range(20)]}
    assert (len(tokens), asking.asked, len(exchange)) == (1, 1, 1)
    # Another tenant has another, for one and the same caller.
    assert exchange.credential("globex", brought).token().access_token not in tokens


@pytest.mark.parametrize(
    ("brought", "challenge"),
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
def test_a_caller_without_a_good_token_is_refused_by_us(
    *,
    gateway: Gateway,
    upstream: Make,
    asking: Asking,
    orders: Orders,
    http: requests.Session,
    told: Told,
    brought: dict[str, str],
    challenge: str,
    on_failure: str,
) -> None:
    url = gateway(exchanging(upstream, asking, on_failure=on_failure))
    http.auth = lambda request: request  # requests reads no netrc file then
    answer = http.get(url, headers=brought, timeout=30)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith(challenge)
    assert orders.seen == []
    assert told.outcomes == ["refused"]


def test_a_refused_token_is_not_asked_for_again_at_once(asking: Asking) -> None:
    exchange = TokenExchange(asking.client)
    credential = exchange.credential("acme", "Bearer unknown")
    began = time.monotonic()
    for _ in range(5):
        with pytest.raises(RequestRejectedError) as caught:
            credential.token()
        assert caught.value.status == 401
        assert "unknown" not in str(caught.value)
    # Nobody waited until the provider may be asked again, which is from 0.25 seconds on.
    assert asking.asked <= 1 + (time.monotonic() - began) / 0.25


def test_an_exchange_that_fails_otherwise_is_not_the_callers_fault(
    upstream: Make, grantway_faults: Any, told: Told
) -> None:
    server = grantway_faults(faults.respond(503, b"", {"Retry-After": "7"}))
    with grantway.Client(
        grantway.Provider(token_endpoint=server.token_endpoint),
        client_id="gateway",
        client_secret="x" * 40,
        retry=grantway.RetryPolicy(attempts=1),
    ) as client:
        exchange = TokenExchange(client)
        rules = upstream(incoming="exchange", credential=exchange, tenant=single(), timeout=1.0)
        facts = RequestContext.of("", "/", [("Authorization", "Bearer abc")])
        for _ in range(2):
            with pytest.raises(grantway.GrantwayError) as caught:
                rules.prepare(facts)
            answer = response_for(caught.value)
            assert answer.status == 503
            assert int(dict(answer.headers)[b"retry-after"]) <= 7
    assert told.outcomes == ["closed", "closed"]


def test_an_exchanged_token_does_not_outlive_the_callers(
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


def test_an_upstream_that_refuses_the_exchanged_token_gets_another(
    *,
    gateway: Gateway,
    upstream: Make,
    asking: Asking,
    application: Application,
    orders: Orders,
    http: requests.Session,
) -> None:
    url = gateway(exchanging(upstream, asking))
    brought = theirs(application)
    assert http.get(url, headers=brought, timeout=30).status_code == 200
    orders.refused.add(orders.carried[0])
    assert http.get(url, headers=brought, timeout=30).status_code == 200
    assert asking.asked == 2


def test_what_is_kept_is_bounded(asking: Asking) -> None:
    exchange = TokenExchange(asking.client, entries=10)
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
def test_the_end_that_a_token_names(token: str, end: float) -> None:
    assert expiry_of(token) == end


def test_what_cannot_be_exchanged_is_said_when_it_is_made(asking: Asking) -> None:
    with pytest.raises(grantway.ConfigurationError, match="subject_token"):
        TokenExchange(asking.client, subject_token="x")
    with pytest.raises(grantway.RequestInvalidError, match="actor_token"):
        TokenExchange(asking.client, actor_token="x")
    with pytest.raises(grantway.ConfigurationError, match="entries"):
        TokenExchange(asking.client, entries=0)


def test_each_tenant_may_have_its_own_client(asking: Asking, application: Application) -> None:
    clients = {"acme": asking.client, "globex": application.client}
    exchange = TokenExchange(clients.__getitem__)
    brought = theirs(application)["Authorization"]
    assert exchange.credential("acme", brought).token().access_token
    assert asking.asked == 1
    with pytest.raises(grantway.TokenError):  # this client may not exchange
        exchange.credential("globex", brought).token()
    assert asking.asked == 1
