"""Tests of an issuer whose URL has a path, behind nginx on a shared host."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from botocore.config import Config

import grantway
from grantway_grants import authorization_code, device_code
from grantway_plugins import aws
from grantway_plugins.issuer import IssuerServer, IssuerSettings
from grantway_plugins.issuer._browser_driver import BrowserDriver
from tests.aws_sessions import boto3_session
from tests.faults import free_port
from tests.interop.proxies import nginx

CALLBACK = "http://127.0.0.1:8400/oauth/callback"
START_URL = "https://d-0000000000.awsapps.com/start"
GRANTS = ["authorization_code", "refresh_token", device_code.GRANT_TYPE]
HOST = "proxy_set_header Host $http_host;"
LOCATIONS = """
location /login/auth/ {{ proxy_pass {issuer}; {host} }}
location = /.well-known/oauth-authorization-server/login/auth {{ proxy_pass {issuer}; {host} }}
location = /.well-known/openid-configuration/login/auth {{ proxy_pass {issuer}; {host} }}
location /shortened/ {{ proxy_pass {issuer}/; {host} }}
"""


@pytest.fixture(autouse=True)
def _isolated_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Public URL of the issuer."""
    port = free_port()
    folder: Path = tmp_path_factory.mktemp("nginx")
    locations = LOCATIONS.format(issuer=f"http://127.0.0.1:{port}", host=HOST)
    with nginx(folder, locations) as front:
        public = f"{front}/login/auth"
        with IssuerServer(IssuerSettings(issuer=public), port=port):
            yield public


def register(url: str) -> dict[str, Any]:
    asked = {"grant_types": GRANTS, "redirect_uris": [CALLBACK], "scope": "a b"}
    made = requests.post(f"{url}/register", json=asked, timeout=30)
    assert made.status_code == 201, made.text
    registered: dict[str, Any] = made.json()
    return registered


def test_serves_metadata_at_the_paths_of_both_standards(url: str) -> None:
    origin = url.removesuffix("/login/auth")
    for address in (
        f"{origin}/.well-known/oauth-authorization-server/login/auth",
        f"{origin}/.well-known/openid-configuration/login/auth",
        f"{url}/.well-known/openid-configuration",
        f"{url}/.well-known/oauth-authorization-server",
    ):
        found = requests.get(address, timeout=30).json()
        assert found["issuer"] == url
        endpoints = {name: where for name, where in found.items() if name.endswith("_endpoint")}
        assert len(endpoints) >= 6
        assert all(where.startswith(f"{url}/") for where in endpoints.values())


def test_grantways_client_discovers_it_and_logs_in(url: str) -> None:
    provider = grantway.Provider.discover(url)
    credentials = register(url)
    with (
        grantway.Client(
            provider, client_id=credentials["client_id"], client_secret=credentials["client_secret"]
        ) as client,
        BrowserDriver() as driver,
    ):
        flow = device_code.DeviceFlow(client)
        started = flow.start()
        assert started.verification_uri == f"{url}/device"
        driver.approve_device(started.verification_uri, started.user_code)
        token = flow.wait(started)
        again = client.create_token(grant_type="refresh_token", refresh_token=token.refresh_token)
        assert again.access_token != token.access_token

        codes = authorization_code.AuthorizationCodeFlow(client)
        request = codes.begin(CALLBACK)
        assert request.url.startswith(f"{url}/authorize?")
        back = driver.approve_authorization(request.url)
        assert parse_qs(urlsplit(back).query)["iss"] == [url]
        assert codes.finish(request, back).access_token


def test_pages_stay_below_the_path(url: str) -> None:
    path = urlsplit(url).path
    page = requests.get(f"{url}/device", timeout=30)
    assert f'action="{path}/device"' in page.text
    assert f'href="{path}/static/issuer.css"' in page.text
    assert f"Path={path};" in f"{page.headers['set-cookie']};"
    assert requests.get(f"{url}/static/issuer.css", timeout=30).status_code == 200
    start = requests.get(f"{url}/", timeout=30)
    assert f'href="{path}/device"' in start.text


def test_aws_clients_accept_the_url_as_endpoint(url: str) -> None:
    once = Config(retries={"total_max_attempts": 1})
    session = boto3_session(region_name="us-east-1")
    with (
        closing(session.client("sso-oidc", endpoint_url=url, config=once)) as boto,
        aws.client(region_name="us-east-1", endpoint_url=url) as drop_in,
        BrowserDriver() as driver,
    ):
        clients: list[Any] = [boto, drop_in]
        for client in clients:
            made = client.register_client(clientName="A tool", clientType="public")
            assert made["tokenEndpoint"] == f"{url}/token"
            credentials = {name: made[name] for name in ("clientId", "clientSecret")}
            started = client.start_device_authorization(**credentials, startUrl=START_URL)
            driver.approve_device(started["verificationUriComplete"])
            token = client.create_token(
                **credentials, grantType=device_code.GRANT_TYPE, deviceCode=started["deviceCode"]
            )
            assert token["accessToken"]


def test_requests_outside_the_path_are_not_found(url: str) -> None:
    """Requests with a path shortened by the proxy fail: they could bypass the proxy's rules."""
    shortened = url.replace("/login/auth", "/shortened")
    for path in ("/device", "/token", "/.well-known/oauth-authorization-server", "/"):
        response = requests.get(f"{shortened}{path}", timeout=30)
        assert response.status_code == 404
        assert "forward the path unchanged" in response.json()["error_description"]
    for path in ("/login/auth/device", "/login/authdevice", "//login/auth/device"):
        assert requests.get(f"{url}{path}", timeout=30).status_code == 404
    assert requests.get(f"{shortened}/health", timeout=30).status_code == 200
