"""An issuer, the tenants of an application registered with it, and their resource server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import requests

from grantway_plugins.gateway.upstream import Route, UpstreamAuth, from_header
from grantway_plugins.testing import LiveIssuer
from tests.plugins.auth.resource import Application
from tests.plugins.gateway.servers import werkzeug_server
from tests.plugins.gateway.upstream.servers import GATEWAYS, OrdersServer, Tenants

Gateway = Callable[..., str]


class RecordingObserver:
    """An observer that records its calls."""

    def __init__(self) -> None:
        self.hits: list[str] = []
        self.waits: list[float] = []
        self.outcomes: list[str] = []

    def hit(self, route: Route) -> None:
        self.hits.append(route.name)

    def waited(self, route: Route, seconds: float) -> None:
        self.waits.append(seconds)

    def injected(self, route: Route, outcome: str) -> None:
        self.outcomes.append(outcome)


@pytest.fixture
def observer() -> RecordingObserver:
    return RecordingObserver()


@pytest.fixture
def application(grantway_issuer: LiveIssuer) -> Iterator[Application]:
    with Application(grantway_issuer.url) as application:
        yield application


@pytest.fixture
def tenants(application: Application) -> Tenants:
    return Tenants(application)


@pytest.fixture
def orders(application: Application) -> OrdersServer:
    return OrdersServer(application)


@pytest.fixture
def target(orders: OrdersServer) -> Iterator[str]:
    """Run the resource server and yield its URL."""
    with werkzeug_server(orders) as url:
        yield url


@pytest.fixture
def upstream(tenants: Tenants, observer: RecordingObserver) -> Callable[..., UpstreamAuth]:
    """Return a function that makes an ``UpstreamAuth`` with one route for all paths."""

    def make(**options: Any) -> UpstreamAuth:
        wanted = {
            "provider": "issuer",
            "credential": tenants.pool,
            "tenant": from_header("X-Tenant"),
            "on_failure": "closed",
            **options,
        }
        return UpstreamAuth([Route("orders", **wanted)], metrics=observer)

    return make


@pytest.fixture(params=GATEWAYS)
def gateway(request: pytest.FixtureRequest, target: str) -> Iterator[Gateway]:
    """Return a function that starts a proxy with tokens in front of the resource."""
    with ExitStack() as running:

        def start(rules: UpstreamAuth, **options: Any) -> str:
            url: str = running.enter_context(GATEWAYS[request.param](rules, target, **options))
            return url

        yield start


@pytest.fixture
def http() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        yield session
