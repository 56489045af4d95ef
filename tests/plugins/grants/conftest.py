"""Fixtures: the embedded issuer with a manual clock, and clients registered with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from joserfc.jwk import ECKey

from grantway_plugins.grants import client_credentials, jwt_bearer, token_exchange
from grantway_plugins.issuer import IssuerServer, IssuerSettings, TrustedIssuer
from tests.plugins.issuer.conftest import Caller, Clock

Register = Callable[..., Caller]

PARTNER = "https://idp.example"
PARTNERS_KEY = ECKey.generate_key("P-256", {"kid": "2031-1"})
GRANTS = [client_credentials.GRANT_TYPE, token_exchange.GRANT_TYPE, jwt_bearer.GRANT_TYPE]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server(clock: Clock) -> Iterator[IssuerServer]:
    partner = TrustedIssuer(
        PARTNER, ("user-*",), jwks=PARTNERS_KEY.as_dict(private=False), single_use=True
    )
    settings = IssuerSettings(registration="unrestricted", trusted_issuers=(partner,))
    with IssuerServer(settings, clock=clock) as running:
        yield running


@pytest.fixture
def register(server: IssuerServer) -> Iterator[Register]:
    """Return a function that registers a client, by default a confidential one for these grants."""
    with ExitStack() as exits:

        def make(**metadata: Any) -> Caller:
            caller = exits.enter_context(Caller(server.url))
            asked = {"grant_types": [*GRANTS, "refresh_token"], "redirect_uris": []}
            return caller.register_rfc(**{**asked, **metadata})

        yield make
