"""Issuers of access tokens, and requests to a protected resource."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from grantway._wire.challenges import Challenge, parse_challenges
from grantway_plugins.gateway.upstream import RequestContext
from grantway_plugins.resource import (
    AcceptedIssuer,
    AccessDeniedError,
    ProtectedResource,
    Requirement,
)
from grantway_plugins.testing import WorkloadIssuer

API = "https://api.example.com"
AT_JWT = {"typ": "at+jwt"}
PROXY = "10.0.0.1"


class Clock:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now


def asked(
    authorization: str | list[str] = "",
    path: str = "/orders",
    *,
    method: str = "GET",
    peer: str = PROXY,
    **headers: str,
) -> RequestContext:
    """Return a request; underscores in the names of headers become hyphens."""
    values = [authorization] if isinstance(authorization, str) else authorization
    found = {name.replace("_", "-"): [value] for name, value in headers.items()}
    if authorization:
        found["authorization"] = values
    scope = {"client": (peer, 1)}
    return RequestContext("api.example.com", path, found.get, scope, method=method)


def denial(
    resource: ProtectedResource, request: RequestContext, requirement: Requirement | None = None
) -> tuple[AccessDeniedError, Challenge]:
    """Return the error of a request that is rejected, and its first challenge."""
    with pytest.raises(AccessDeniedError) as caught:
        resource.verify(request, requirement or Requirement())
    return caught.value, parse_challenges(caught.value.challenge)[0]


@pytest.fixture(scope="module")
def issuer() -> Iterator[WorkloadIssuer]:
    """Run an issuer of JWTs, which publishes its keys."""
    with WorkloadIssuer() as running:
        yield running


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def resource(issuer: WorkloadIssuer, clock: Clock) -> ProtectedResource:
    """Return a resource that accepts the tokens of the issuer."""
    return ProtectedResource(API, [AcceptedIssuer(issuer.url)], clock=clock)


Tokens = Callable[..., str]


@pytest.fixture
def token(issuer: WorkloadIssuer) -> Tokens:
    """Return a function that makes access tokens; arguments replace the usual members."""

    def make(audience: str | list[str] = API, **options: Any) -> str:
        usual: dict[str, Any] = {"header": AT_JWT, "client_id": "app", "scope": "read write"}
        return issuer.token("ann", audience, **{**usual, **options})

    return make
