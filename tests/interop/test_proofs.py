"""Tests of signed assertions, client certificates, DPoP and PAR with oidc-provider."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
import requests
from cryptography.hazmat.primitives.serialization import Encoding
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey

import grantway
from grantway._exceptions import GrantwayError, InvalidClientException, TokenError
from grantway._requests.client_auth import ClientAuth, NoAuth
from grantway_grants.authorization_code import login_by_paste
from grantway_plugins.auth import TokenAuth
from grantway_plugins.client_auth import (
    ClientSecretJwt,
    DPoP,
    MutualTls,
    PrivateKeyJwt,
    SigningKey,
)
from tests.certificates import Identity, issue
from tests.interop import node_packages
from tests.interop.oidc_provider import OidcProvider
from tests.interop.program import STARTUP_SECONDS, Program

CALLBACK = "http://127.0.0.1:8400/callback"
KEYS: dict[str, Key] = {
    "RSA": RSAKey.generate_key(2048, {"kid": "rsa"}),
    "EC": ECKey.generate_key("P-256", {"kid": "ec"}),
    "OKP": OKPKey.generate_key("Ed25519", {"kid": "okp"}),
}


@dataclass(frozen=True)
class Server:
    """The running provider, and the certificates registered there."""

    provider: grantway.Provider
    clients: dict[str, Any]
    authority: Identity
    issued: Identity
    self_signed: Identity

    def client(
        self, name: str, auth: ClientAuth, certificate: Identity | None = None
    ) -> grantway.Client:
        return grantway.Client(
            self.provider,
            client_id=self.clients[name]["client_id"],
            auth=auth,
            transport=grantway.HttpTransport(
                ca_bundle=self.authority.certificate,
                client_certificate=certificate.paths if certificate else None,
            ),
        )

    def machine_token(
        self, name: str, auth: ClientAuth, certificate: Identity | None = None
    ) -> grantway.Token:
        with self.client(name, auth, certificate) as client:
            return client.create_token(grant_type="client_credentials", scope="read")


def certificate_jwk(identity: Identity) -> dict[str, Any]:
    der = base64.b64encode(identity.x509.public_bytes(Encoding.DER)).decode()
    public = ECKey.import_key(identity.private).as_dict(private=False)
    return {**public, "x5c": [der]}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("certificates")
    authority = issue(folder, "authority")
    own = issue(folder, "server", authority)
    self_signed = issue(folder, "self-signed")
    settings = {
        "tls": {
            "key": Path(own.key).read_text(),
            "cert": Path(own.certificate).read_text(),
            "ca": Path(authority.certificate).read_text(),
        },
        "jwks": {"keys": [key.as_dict(private=False) for key in KEYS.values()]},
        "certificateJwk": certificate_jwk(self_signed),
    }
    node_packages.install()
    script = node_packages.FOLDER / "oidc_provider_proofs.mjs"
    with Program([node_packages.NODE, script, json.dumps(settings)]) as program:
        ready = program.read_json(STARTUP_SECONDS)
        yield Server(
            provider=grantway.Provider.discover(ready["issuer"]),
            clients=ready["clients"],
            authority=authority,
            issued=issue(folder, "issued", authority),
            self_signed=self_signed,
        )


@pytest.mark.parametrize(
    ("kind", "alg"),
    [
        ("RSA", "RS256"),
        ("RSA", "PS256"),
        ("EC", "ES256"),
        ("OKP", "EdDSA"),
        ("OKP", "Ed25519"),
    ],
)
def test_authenticates_with_private_key_jwt(server: Server, kind: str, alg: str) -> None:
    auth = PrivateKeyJwt("key", SigningKey(KEYS[kind], alg=alg))
    with server.client("key", auth) as client:
        for _ in range(2):  # a repeated jti would be rejected
            assert client.create_token(grant_type="client_credentials", scope="read").access_token
    audience = server.provider.token_endpoint
    assert server.machine_token("key", PrivateKeyJwt("key", KEYS[kind], audience=audience))


def test_rejects_an_unregistered_key(server: Server) -> None:
    with pytest.raises(InvalidClientException):
        server.machine_token("key", PrivateKeyJwt("key", ECKey.generate_key("P-256")))
    stranger = PrivateKeyJwt("key", KEYS["EC"], audience="https://other.example")
    with pytest.raises(InvalidClientException):
        server.machine_token("key", stranger)


def test_authenticates_with_client_secret_jwt(server: Server) -> None:
    secret = server.clients["secret"]["client_secret"]
    assert server.machine_token("secret", ClientSecretJwt("secret", secret)).access_token
    with pytest.raises(InvalidClientException):
        server.machine_token("secret", ClientSecretJwt("secret", secret[::-1]))


def test_authenticates_with_mutual_tls_at_the_alias_in_the_metadata(server: Server) -> None:
    assert server.machine_token("issued", MutualTls("issued"), server.issued).access_token
    assert server.machine_token("selfSigned", MutualTls("self-signed"), server.self_signed)
    for name, certificate in [("issued", server.self_signed), ("selfSigned", server.issued)]:
        with pytest.raises(InvalidClientException):
            server.machine_token(name, MutualTls(server.clients[name]["client_id"]), certificate)
    with pytest.raises(InvalidClientException):
        server.machine_token("issued", MutualTls("issued"))


@pytest.mark.parametrize("kind", ["RSA", "EC", "OKP"])
def test_sends_dpop_proofs_with_the_providers_nonce(server: Server, kind: str) -> None:
    dpop = DPoP(PrivateKeyJwt("dpop", KEYS["EC"]), KEYS[kind])
    assert server.machine_token("dpop", dpop).token_type == "DPoP"
    assert server.machine_token("dpop", dpop).token_type == "DPoP"


def test_the_provider_requires_dpop(server: Server) -> None:
    with pytest.raises(TokenError):
        server.machine_token("dpop", PrivateKeyJwt("dpop", KEYS["EC"]))


def log_in(server: Server, client: grantway.Client) -> grantway.Token:
    driver = OidcProvider()

    def browse(url: str) -> str:
        assert "request_uri=" in url
        assert "code_challenge" not in url
        return driver.authorize(url)

    return login_by_paste(
        client,
        browse,
        redirect_uri=CALLBACK,
        scope="openid offline_access read",
        extra={"prompt": "consent"},
    )


@pytest.mark.parametrize("name", ["dpopPublic", "dpop"])
def test_logs_in_with_par_and_dpop(server: Server, name: str) -> None:
    """All requests of the login use the same key."""
    credentials = server.clients[name]["client_id"]
    inner = NoAuth(credentials) if name == "dpopPublic" else PrivateKeyJwt(credentials, KEYS["EC"])
    dpop = DPoP(inner, ECKey.generate_key("P-256"))
    with server.client(name, dpop) as client:
        token = log_in(server, client)
        assert token.token_type == "DPoP"
        token = client.create_token(grant_type="refresh_token", refresh_token=token.refresh_token)
    url = server.provider.metadata["userinfo_endpoint"]
    assert userinfo(dpop, url, token) == (200, "user-1")
    # The token, and the refresh token of a public client, do not work with another key.
    thief = DPoP(inner, ECKey.generate_key("P-256"))
    assert userinfo(thief, url, token)[0] == 401
    if name == "dpopPublic":
        with server.client(name, thief) as client, pytest.raises(GrantwayError):
            client.create_token(grant_type="refresh_token", refresh_token=token.refresh_token)


def userinfo(dpop: DPoP, url: str, token: grantway.Token) -> tuple[int, str]:
    """Send requests with two clients; the provider requires a nonce in each proof."""
    source = Held(token)
    with requests.Session() as session:
        session.trust_env = False
        response = session.get(url, auth=TokenAuth(source, dpop=dpop), timeout=30)
    with httpx2.Client(trust_env=False, auth=TokenAuth(source, dpop=dpop)) as client:
        again = client.post(url)
    assert (response.status_code, response.json()) == (again.status_code, again.json())
    return response.status_code, response.json().get("sub", "")


class Held:
    """A source of one token."""

    def __init__(self, token: grantway.Token) -> None:
        self._token = token

    def token(self, timeout: float | None = None) -> grantway.Token:
        return self._token

    async def token_async(self, timeout: float | None = None) -> grantway.Token:  # noqa: ASYNC109
        return self._token

    def invalidate(self, token: grantway.Token) -> None:
        """Do nothing, because there is no other token."""
