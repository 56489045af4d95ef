"""A provider behind the gateway, the gateway's client, and the gateway's callers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import requests

import grantway
from grantway.testing import FaultServer, Register
from grantway_plugins.gateway import Broker, TokenEndpoint, hash_secret
from grantway_plugins.issuer import Denial, GrantRequest, Issue
from grantway_plugins.testing._live_issuer import LiveIssuer
from tests.plugins.gateway.frameworks import FRAMEWORKS

COUPON_TYPE = "urn:acme:coupon"
#: The gateway's client secret at the provider.
OURS = "gateway-very-secret-0123456789"
#: A caller's client secret at the gateway.
THEIRS = "shop-very-secret-0123456789"
SHOP = {"client_id": "shop", "client_secret": THEIRS}
CLIENTS = {"shop": hash_secret(THEIRS), "kiosk": None}
FORM = "application/x-www-form-urlencoded"
JSON = "application/json"


class CouponSchema(grantway.GrantSchema):
    """Parameters of the coupon grant."""

    coupon = grantway.Text(required=True, example='"SPRING-2031"', maximum=64)
    scope = grantway.Scope()


COUPON = grantway.Grant(
    grant_type=COUPON_TYPE,
    schema=CouponSchema(),
    replay=grantway.Replay.NEVER,
    secret=frozenset({"coupon"}),
    single_use=frozenset({"coupon"}),
    summary="A token for a coupon",
)


class Coupons:
    """The issuer grant of coupons."""

    def decide(self, request: GrantRequest, transaction: Any) -> Issue | Denial:
        if request.params["coupon"] != "SPRING-2031":
            return Denial("invalid_grant", "The coupon is unknown")
        return request.issue(subject="the winner")


Serve = Callable[[str, TokenEndpoint], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Return a function that serves an endpoint in a framework and returns its URL."""
    with ExitStack() as running:

        def start(framework: str, endpoint: TokenEndpoint) -> str:
            return f"{running.enter_context(FRAMEWORKS[framework](endpoint))}/token"

        yield start


@pytest.fixture
def http() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        yield session


@pytest.fixture
def upstream(grantway_register: Register, grantway_issuer: LiveIssuer) -> LiveIssuer:
    """Run an issuer that accepts coupons."""
    grantway_register(COUPON, issuer=Coupons())
    return grantway_issuer


@pytest.fixture
def broker(upstream: LiveIssuer) -> Broker:
    """Return a broker of the issuer."""
    return Broker(upstream.client(scope=["read", "write"], registry=None), clients=CLIENTS)


Brokered = Callable[..., tuple[Broker, FaultServer]]


def bound(backend: Broker, data: dict[str, str], client_id: str = "shop") -> dict[str, str]:
    """Return the request with its refresh token sealed for this caller."""
    names = {"refresh_token", "refreshToken"} & data.keys()
    return {**data, **{name: backend.bind(client_id, data[name]) for name in names}}


@pytest.fixture
def brokered(grantway_register: Register, grantway_faults: Any) -> Iterator[Brokered]:
    """Return a function that makes a broker of a provider with scripted responses."""
    with ExitStack() as clients:

        def make(*script: Any, retry: Any = None, **options: Any) -> tuple[Broker, FaultServer]:
            server = grantway_faults(*script)
            client = clients.enter_context(
                grantway.Client(
                    grantway.Provider(
                        token_endpoint=server.token_endpoint, **options.pop("provider", {})
                    ),
                    client_id="gateway",
                    client_secret=options.pop("client_secret", OURS),
                    retry=retry or grantway.RetryPolicy(attempts=1),
                    timeout=options.pop("client_timeout", 30.0),
                )
            )
            return Broker(client, **{"clients": CLIENTS, **options}), server

        yield make
