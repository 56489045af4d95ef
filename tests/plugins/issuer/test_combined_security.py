"""A client that uses most of the issuer's security features together."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import requests
from joserfc import jwt
from joserfc.jwk import ECKey

from grantway._requests.client_auth import JWT_BEARER
from grantway_plugins.issuer import (
    ClientCertificates,
    ClientDocuments,
    IssuerServer,
    IssuerSettings,
)
from grantway_plugins.issuer._browser_driver import BrowserDriver
from tests.certificates import Identity, issue
from tests.plugins.issuer.conftest import CALLBACK, CHALLENGE, VERIFIER, Caller, Clock, query_of
from tests.plugins.issuer.test_client_certificates import HEADER, der, thumbprint
from tests.plugins.issuer.test_client_documents import Publisher
from tests.plugins.issuer.test_private_key_jwt import Publisher as KeyPublisher, Signer

API = "https://api.example/"


class Client(Signer):
    """A client that sends an assertion, a DPoP proof and a certificate with each request."""

    def __init__(self, caller: Caller, clock: Clock, certificate: Identity) -> None:
        super().__init__(caller, clock)
        self.certificate = certificate
        self.key = ECKey.generate_key("P-256")
        self.nonce: dict[str, str] = {}

    def proof(self, path: str) -> str:
        header = {"alg": "ES256", "typ": "dpop+jwt", "jwk": self.key.as_dict(private=False)}
        claims = {"jti": secrets.token_hex(8), "htm": "POST", "htu": self.caller.url + path}
        return jwt.encode(header, {**claims, "iat": int(self.clock.now), **self.nonce}, self.key)

    def post(self, path: str, **params: Any) -> requests.Response:
        asked = {"client_assertion_type": JWT_BEARER, "client_assertion": self.assertion()}
        headers = {"DPoP": self.proof(path), HEADER: der(self.certificate)}
        url = self.caller.url + path
        response = self.caller.http.post(url, data={**asked, **params}, headers=headers)
        self.nonce = {"nonce": response.headers["DPoP-Nonce"]}
        if response.status_code == 400 and response.json()["error"] == "use_dpop_nonce":
            return self.post(path, **params)
        return response


@pytest.fixture
def client(tmp_path: Path, clock: Clock) -> Iterator[Client]:
    clock.now = time.time()  # the certificate is valid now
    own = issue(tmp_path, "own")
    settings = IssuerSettings(
        fapi2=True,
        registration="off",
        registration_scopes=("openid", "read"),
        client_documents=ClientDocuments(private_hosts=("127.0.0.1",)),
        client_certificates=ClientCertificates(),
        dpop_require_nonce=True,
    )
    with (
        closing(Publisher()) as documents,
        closing(KeyPublisher()) as keys,
        IssuerServer(settings, clock=clock, trusted_proxies=("127.0.0.1",)) as server,
        Caller(server.url) as caller,
    ):
        documents.changes = {
            "token_endpoint_auth_method": "private_key_jwt",
            "jwks_uri": keys.url,
            "grant_types": ["authorization_code", "refresh_token"],
            "scope": "openid read",
            "dpop_bound_access_tokens": True,
            "tls_client_certificate_bound_access_tokens": True,
        }
        caller.id = documents.url
        yield Client(caller, clock, own)


def test_a_client_with_a_document_logs_in_by_the_fapi2_profile(
    client: Client, driver: BrowserDriver
) -> None:
    pushed = client.post(
        "/par",
        client_id=client.caller.id,
        response_type="code",
        redirect_uri=CALLBACK,
        scope="openid read",
        code_challenge=CHALLENGE,
        code_challenge_method="S256",
        resource=API,
    )
    assert pushed.status_code == 201, pushed.text
    opened = {"client_id": client.caller.id, "request_uri": pushed.json()["request_uri"]}
    sent_back = driver.approve_authorization(f"{client.caller.url}/authorize?{urlencode(opened)}")
    made = client.post(
        "/token",
        grant_type="authorization_code",
        code=query_of(sent_back)["code"],
        redirect_uri=CALLBACK,
        code_verifier=VERIFIER,
    ).json()
    assert (made["token_type"], made["scope"]) == ("DPoP", "openid read")
    again = client.post(
        "/token", grant_type="refresh_token", refresh_token=made["refresh_token"], resource=API
    ).json()
    found = client.post("/introspect", token=again["access_token"]).json()
    assert (found["client_id"], found["aud"]) == (client.caller.id, [API])
    assert found["cnf"] == {
        "jkt": client.key.thumbprint(),
        "x5t#S256": thumbprint(client.certificate),
    }


@pytest.mark.parametrize("missing", ["DPoP", HEADER, "client_assertion"])
def test_each_part_is_required(client: Client, missing: str) -> None:
    made = {"DPoP": client.proof("/token"), HEADER: der(client.certificate)}
    asked = {
        "grant_type": "refresh_token",
        "refresh_token": "x",
        "client_id": client.caller.id,
        "client_assertion_type": JWT_BEARER,
        "client_assertion": client.assertion(),
    }
    client.post("/token", **asked)  # for the nonce
    made["DPoP"], asked["client_assertion"] = client.proof("/token"), client.assertion()
    made.pop(missing, None)
    asked.pop(missing, None)
    response = client.caller.http.post(f"{client.caller.url}/token", data=asked, headers=made)
    expected = "invalid_client" if missing == "client_assertion" else "invalid_request"
    assert response.json()["error"] == expected, response.text
