"""A provider, an echo server as upstream, and a gateway file that uses both."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from grantway_plugins.issuer import IssuerServer, IssuerSettings, Lifetimes
from tests.plugins.gateway.running.programs import EchoUpstream, write
from tests.plugins.gateway.servers import asgi_server

GRANTS = [
    "client_credentials",
    "refresh_token",
    "urn:ietf:params:oauth:grant-type:device_code",
    "urn:ietf:params:oauth:grant-type:token-exchange",
]


@dataclass
class Backends:
    """The provider and the upstream of a gateway.

    Attributes:
        issuer: The provider.
        echo: The upstream server.
        url: URL of the upstream server.
        folder: Folder for files.
        client_id: The gateway's client ID at the provider.
        client_secret: Its client secret, also stored in ``secret.txt`` in the folder.
    """

    issuer: IssuerServer
    echo: EchoUpstream
    url: str
    folder: Path
    client_id: str = ""
    client_secret: str = ""

    def register(self, **options: Any) -> dict[str, Any]:
        """Register a client at the provider."""
        response = requests.post(
            f"{self.issuer.url}/register",
            json={
                "client_name": "gateway",
                "scope": "read write",
                "grant_types": GRANTS,
                "token_endpoint_auth_method": "client_secret_basic",
                **options,
            },
            timeout=30,
        )
        assert response.status_code == 201, response.text
        client: dict[str, Any] = response.json()
        return client

    def provider(self, more: str = "") -> str:
        """Return the provider's table."""
        return (
            f'[providers.idp]\nissuer = "{self.issuer.url}"\nclient_id = "{self.client_id}"\n'
            f'client_secret = {{source = "file", path = "secret.txt"}}\n{more}\n'
        )

    def route(self, name: str = "orders", more: str = "", **values: str) -> str:
        """Return a route's table. The values are TOML."""
        values = {
            "path": f'"/{name}"',
            "upstream": f'"{self.url}"',
            "provider": '"idp"',
            "tenant": '"header:X-Tenant"',
            "on_failure": '"closed"',
            **values,
        }
        lines = "".join(f"{key} = {value}\n" for key, value in values.items() if value)
        return f"[routes.{name}]\n{lines}{more}\n"

    def write(self, text: str = "", name: str = "gateway.toml") -> Path:
        """Write a gateway file, by default with one route."""
        return write(self.folder, text or self.provider() + self.route(), name)


@pytest.fixture(scope="module")
def issuer() -> Iterator[IssuerServer]:
    """Run a provider whose tokens expire after an hour."""
    with IssuerServer(
        IssuerSettings(lifetimes=Lifetimes(access_token=3600), registration="unrestricted")
    ) as server:
        yield server


@pytest.fixture(scope="module")
def echo_server() -> Iterator[tuple[EchoUpstream, str]]:
    """Run the echo server, and yield it with its URL."""
    echo = EchoUpstream()
    with asgi_server(echo) as url:
        yield echo, url


def make_backends(
    issuer: IssuerServer, echo_server: tuple[EchoUpstream, str], folder: Path
) -> Backends:
    """Register a client for the gateway at the provider, and write its secret."""
    backends = Backends(issuer, *echo_server, folder)
    client = backends.register()
    backends.client_id, backends.client_secret = client["client_id"], client["client_secret"]
    (folder / "secret.txt").write_text(f"{backends.client_secret}\n")
    return backends


@pytest.fixture
def backends(
    issuer: IssuerServer, echo_server: tuple[EchoUpstream, str], tmp_path: Path
) -> Backends:
    """Return the provider with a new client, and the echo server without recorded requests."""
    echo_server[0].reset()
    return make_backends(issuer, echo_server, tmp_path)


@pytest.fixture
def http() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        yield session


@pytest.fixture
def many_files() -> Iterator[None]:
    """Raise the limit of open files for tests with a thousand connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4096 if hard == resource.RLIM_INFINITY else min(4096, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
