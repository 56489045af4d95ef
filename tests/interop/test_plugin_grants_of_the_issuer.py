"""Tests of the issuer's plugin grants with a third-party client."""

from __future__ import annotations

from collections.abc import Iterator
from time import time
from typing import Any

import pytest
import requests
import requests_oauth2client as roc
from joserfc.jwk import ECKey

from grantway_plugins.client_auth import SigningKey
from grantway_plugins.grants import client_credentials, jwt_bearer, token_exchange
from grantway_plugins.issuer import IssuerServer, IssuerSettings, TrustedIssuer
from tests.waiting import PATIENCE

PARTNER = "https://idp.example"
KEY = ECKey.generate_key("P-256")
GRANTS = [client_credentials.GRANT_TYPE, token_exchange.GRANT_TYPE, jwt_bearer.GRANT_TYPE]


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    partner = TrustedIssuer(PARTNER, ("**",), jwks=KEY.as_dict(private=False), single_use=True)
    settings = IssuerSettings(registration="unrestricted", trusted_issuers=(partner,))
    with IssuerServer(settings) as server:
        yield server.url


@pytest.fixture
def client(issuer: str) -> Iterator[roc.OAuth2Client]:
    with requests.Session() as session:
        session.trust_env = False
        asked = {"grant_types": GRANTS, "scope": "read write"}
        made = session.post(f"{issuer}/register", json=asked, timeout=PATIENCE).json()
        document = session.get(f"{issuer}/.well-known/oauth-authorization-server", timeout=PATIENCE)
        yield roc.OAuth2Client.from_discovery_document(
            document.json(),
            issuer=issuer,
            auth=roc.ClientSecretBasic(made["client_id"], made["client_secret"]),
            session=session,
            testing=True,
        )


def claims(client: roc.OAuth2Client, token: roc.BearerToken) -> dict[str, Any]:
    found = client.introspect_token(token)
    assert isinstance(found, dict)
    return found


def test_issues_a_token_for_client_credentials(client: roc.OAuth2Client) -> None:
    token = client.client_credentials(scope="read", resource=["https://a.example/", "urn:b"])
    assert token.scope == "read"
    assert token.refresh_token is None
    known = claims(client, token)
    assert (known["sub"], known["aud"]) == (client.client_id, ["https://a.example/", "urn:b"])


def test_exchanges_a_token(client: roc.OAuth2Client) -> None:
    subject = client.client_credentials()
    token = client.token_exchange(subject_token=subject, audience=["orders"], scope="write")
    assert token.as_dict()["issued_token_type"] == token_exchange.ACCESS_TOKEN
    assert claims(client, token)["aud"] == ["orders"]
    with pytest.raises(roc.InvalidRequest):
        client.token_exchange(subject_token="x", subject_token_type=token_exchange.JWT)
    with pytest.raises(roc.InvalidScope):
        client.token_exchange(subject_token=token, scope="read")


def test_issues_a_token_for_an_assertion(issuer: str, client: roc.OAuth2Client) -> None:
    now = int(time())
    statement = {"iss": PARTNER, "sub": "user-1", "aud": issuer, "exp": now + 60, "jti": "1"}
    assertion = SigningKey(KEY).sign({}, statement)
    token = client.jwt_bearer(assertion, scope="read")
    assert claims(client, token)["sub"] == "user-1"
    with pytest.raises(roc.InvalidGrant):
        client.jwt_bearer(assertion)
