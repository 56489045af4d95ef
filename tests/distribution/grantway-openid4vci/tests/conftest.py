"""The installed plugin, an issuer, a client that creates offers, and a wallet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from grantway_openid4vci import GRANT_TYPE

import grantway
from grantway_plugins.testing import LiveIssuer

Offer = Callable[..., dict[str, Any]]


@pytest.fixture
def grantway_installed() -> list[str]:
    return ["grantway", "grantway-openid4vci"]


@pytest.fixture
def registrar(grantway_issuer: LiveIssuer) -> grantway.Client:
    return grantway_issuer.client(scope=["credential_offer"], grant_types=["client_credentials"])


@pytest.fixture
def wallet(grantway_issuer: LiveIssuer) -> grantway.Client:
    return grantway_issuer.client(
        scope=["degree", "licence"], grant_types=[GRANT_TYPE, "refresh_token"], auth="none"
    )


@pytest.fixture
def offer(registrar: grantway.Client) -> Offer:
    """Return a function that creates an offer."""

    def create(**params: Any) -> dict[str, Any]:
        given = {
            "subject": "alice",
            "credential_configuration_ids": ["UniversityDegree"],
            "scope": "degree",
        }
        return registrar.call("credential_offers", extra={**given, **params})

    return create
