"""An issuer on a real socket with a controllable clock, and a client for it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import requests

from grantway_plugins.issuer import IssuerServer, IssuerSettings
from grantway_plugins.issuer._browser_driver import BrowserDriver
from tests.postgres import PostgresServer, postgres_server

DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
VERIFIER = "v" * 43
CHALLENGE = (
    base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")
)
CALLBACK = "http://127.0.0.1:8400/oauth/callback"
BASIC = "client_secret_basic"


class Clock:
    """A clock that tests can advance."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now

    def tick(self, seconds: float) -> None:
        self.now += seconds


class Caller:
    """A client program with one registration, which sends requests in either dialect."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.http = requests.Session()
        self.id = self.secret = ""
        self.method = "client_secret_post"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_problem: object) -> None:
        self.http.close()

    def clone(self) -> Caller:
        """Return the same client in another program."""
        other = Caller(self.url)
        other.id, other.secret, other.method = self.id, self.secret, self.method
        return other

    def aws(self, path: str, **members: Any) -> requests.Response:
        return self.http.post(self.url + path, json=members)

    def as_aws(self, path: str, **members: Any) -> requests.Response:
        return self.aws(path, clientId=self.id, clientSecret=self.secret, **members)

    def rfc(self, path: str, **params: Any) -> requests.Response:
        return self.http.post(self.url + path, data=params)

    def as_rfc(self, path: str, **params: Any) -> requests.Response:
        if self.method == BASIC:
            return self.http.post(self.url + path, data=params, auth=(self.id, self.secret))
        params["client_id"] = self.id
        if self.method == "client_secret_post":
            params["client_secret"] = self.secret
        return self.rfc(path, **params)

    def register_aws(self, **members: Any) -> Caller:
        asked = {"clientName": "A tool", "clientType": "public", "scopes": ["a", "b"]}
        made = self.aws("/client/register", **{**asked, "redirectUris": [CALLBACK], **members})
        assert made.status_code == 200, made.text
        self.id, self.secret = made.json()["clientId"], made.json()["clientSecret"]
        return self

    def register_rfc(self, **metadata: Any) -> Caller:
        asked = {
            "redirect_uris": [CALLBACK],
            "scope": "a b",
            "grant_types": ["authorization_code", "refresh_token", DEVICE],
        }
        made = self.http.post(f"{self.url}/register", json={**asked, **metadata})
        assert made.status_code == 201, made.text
        self.id, self.secret = made.json()["client_id"], made.json().get("client_secret", "")
        self.method = made.json()["token_endpoint_auth_method"]
        return self

    def authorize_url(self, **params: Any) -> str:
        asked = {
            "response_type": "code",
            "client_id": self.id,
            "redirect_uri": CALLBACK,
            "state": "xyz",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
        }
        kept = {name: value for name, value in {**asked, **params}.items() if value}
        return f"{self.url}/authorize?{urlencode(kept, doseq=True)}"

    def sent_back(self, **params: Any) -> dict[str, str]:
        """Approve the request and return the parameters of the redirect."""
        with BrowserDriver() as driver:
            return query_of(driver.approve_authorization(self.authorize_url(**params)))

    def login(self, **params: Any) -> dict[str, Any]:
        """Log in with an authorization code and return the token response."""
        code = self.sent_back(**params)["code"]
        response = self.redeem(code)
        assert response.status_code == 200, response.text
        tokens: dict[str, Any] = response.json()
        return tokens

    def redeem(self, code: str, **params: Any) -> requests.Response:
        asked = {"code": code, "redirect_uri": CALLBACK, "code_verifier": VERIFIER, **params}
        kept = {name: value for name, value in asked.items() if value}
        return self.as_rfc("/token", grant_type="authorization_code", **kept)

    def refresh(self, refresh_token: str, **params: Any) -> requests.Response:
        return self.as_rfc(
            "/token", grant_type="refresh_token", refresh_token=refresh_token, **params
        )

    def active(self, token: str) -> bool:
        response = self.as_rfc("/introspect", token=token)
        assert response.status_code == 200, response.text
        return bool(response.json()["active"])

    def start(self, **params: Any) -> dict[str, Any]:
        """Start a device flow and return the response."""
        response = self.as_rfc("/device_authorization", **params)
        assert response.status_code == 200, response.text
        started: dict[str, Any] = response.json()
        return started

    def poll(self, device_code: str) -> requests.Response:
        return self.as_rfc("/token", grant_type=DEVICE, device_code=device_code)


def query_of(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A server whose databases tests replace. Only one test at a time uses it."""
    with postgres_server() as running:
        yield running


@pytest.fixture(params=["postgresql", "sqlite"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database, which several issuers can share."""
    if request.param == "sqlite":
        return str(tmp_path / "issuer.db")
    server: PostgresServer = request.getfixturevalue("postgres")
    server.sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    return server.url


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server(clock: Clock) -> Iterator[IssuerServer]:
    with IssuerServer(IssuerSettings(registration="unrestricted"), clock=clock) as running:
        yield running


@pytest.fixture
def caller(server: IssuerServer) -> Iterator[Caller]:
    """A client that is not registered yet."""
    made = Caller(server.url)
    yield made
    made.http.close()


@pytest.fixture
def aws(caller: Caller) -> Caller:
    """A client that is registered through RegisterClient."""
    return caller.register_aws()


@pytest.fixture
def rfc(server: IssuerServer) -> Iterator[Caller]:
    """A confidential client that is registered through RFC 7591."""
    made = Caller(server.url).register_rfc()
    yield made
    made.http.close()


@pytest.fixture
def driver() -> Iterator[BrowserDriver]:
    with BrowserDriver() as made:
        yield made
