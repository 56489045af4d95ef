"""CORS: only allowed origins may read responses."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from grantway._exceptions import ConfigurationError
from grantway_plugins.issuer import IssuerServer, IssuerSettings
from tests.plugins.issuer.conftest import Caller

APP = "https://app.example.com"
OTHER = "https://other.example"
POSTS = ("/token", "/device_authorization", "/revoke", "/register", "/client/register")
GETS = ("/.well-known/oauth-authorization-server", "/.well-known/openid-configuration")


@pytest.fixture
def open_to_app() -> Iterator[Caller]:
    settings = IssuerSettings(cors_origins=(APP, "http://localhost:5173"))
    with IssuerServer(settings) as server, Caller(server.url) as caller:
        yield caller


def preflight(caller: Caller, path: str, origin: str, method: str = "POST") -> requests.Response:
    headers = {
        "origin": origin,
        "access-control-request-method": method,
        "access-control-request-headers": "authorization,content-type",
    }
    return caller.http.options(caller.url + path, headers=headers)


def allowing(response: requests.Response) -> dict[str, str]:
    return {n.lower(): v for n, v in response.headers.items() if n.lower().startswith("access-")}


@pytest.mark.parametrize("path", POSTS + GETS)
def test_an_allowed_origin_may_send_requests_and_read_responses(
    open_to_app: Caller, path: str
) -> None:
    method = "GET" if path in GETS else "POST"
    asked = preflight(open_to_app, path, APP, method)
    assert asked.status_code == 204
    assert asked.headers["access-control-allow-origin"] == APP
    assert method in asked.headers["access-control-allow-methods"]
    assert asked.headers["access-control-allow-headers"] == "authorization,content-type"
    assert "Origin" in asked.headers["vary"]
    # Including errors, so that a page can distinguish them.
    response = open_to_app.http.request(method, open_to_app.url + path, headers={"origin": APP})
    assert response.headers["access-control-allow-origin"] == APP
    assert "x-amzn-errortype" in response.headers["access-control-expose-headers"]
    assert "access-control-allow-credentials" not in {*allowing(asked), *allowing(response)}


@pytest.mark.parametrize("path", POSTS + GETS)
@pytest.mark.parametrize("origin", [OTHER, "null", "https://app.example.com.evil.example"])
def test_another_origin_may_not_read_responses(open_to_app: Caller, path: str, origin: str) -> None:
    method = "GET" if path in GETS else "POST"
    asked = preflight(open_to_app, path, origin, method)
    assert (asked.status_code, allowing(asked)) == (403, {})
    response = open_to_app.http.request(method, open_to_app.url + path, headers={"origin": origin})
    assert allowing(response) == {}
    assert response.headers["vary"] == "Origin"


def test_responses_vary_by_origin(open_to_app: Caller) -> None:
    response = open_to_app.http.get(open_to_app.url + GETS[0])
    assert response.headers["vary"] == "Origin"
    assert allowing(response) == {}


@pytest.mark.parametrize("path", ["/device", "/authorize", "/introspect", "/health"])
def test_other_endpoints_have_no_cors_headers(open_to_app: Caller, path: str) -> None:
    assert allowing(preflight(open_to_app, path, APP, "GET")) == {}
    response = open_to_app.http.get(open_to_app.url + path, headers={"origin": APP})
    assert allowing(response) == {}


@pytest.mark.parametrize("path", POSTS + GETS)
def test_cors_is_disabled_by_default(caller: Caller, path: str) -> None:
    asked = preflight(caller, path, APP)
    assert (asked.status_code, allowing(asked)) == (405, {})
    response = caller.http.get(caller.url + path, headers={"origin": APP})
    assert allowing(response) == {}
    assert "vary" not in response.headers


def test_a_star_allows_every_origin() -> None:
    settings = IssuerSettings(cors_origins=("*",))
    with IssuerServer(settings) as server, Caller(server.url) as caller:
        assert preflight(caller, "/token", OTHER).headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize(
    "origin",
    [
        "https://app.example.com/",
        "https://app.example.com/path",
        "app.example.com",
        "https://App.example.com",
        "https://app.example.com:443",
        "https://app.example.com:x",
        "https://user@app.example.com",
        "null",
        "",
        7,
    ],
)
def test_rejects_an_origin_that_no_browser_sends(origin: str) -> None:
    with pytest.raises(ConfigurationError, match="cors_origins"):
        IssuerSettings(cors_origins=(origin,))


def test_rejects_a_star_with_automatic_approval() -> None:
    with pytest.raises(ConfigurationError, match="every web page could get a token"):
        IssuerSettings(cors_origins=("*",), approve="auto")
