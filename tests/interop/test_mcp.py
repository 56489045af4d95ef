"""The issuer, a resource server and a gateway, judged by MCP's SDK and conformance tests."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests

from grantway_plugins.issuer import (
    BrowserDriver,
    ClientDocuments,
    IssuerServer,
    IssuerSettings,
)
from grantway_plugins.issuer._decisions.operator_clients import add_client
from tests.interop import mcp_scenarios
from tests.interop.mcp_conformance import judge_issuer, judge_server
from tests.interop.mcp_server import (
    SCOPE,
    Verify,
    by_grantway,
    by_introspection,
    by_signature,
    mcp_server,
)
from tests.interop.node_flows import NodeFlows
from tests.plugins.gateway.running.programs import gateway, write
from tests.plugins.issuer.test_client_documents import Publisher

SETTINGS = IssuerSettings(
    registration="open",
    access_token_format="jwt",
    client_documents=ClientDocuments(private_hosts=("127.0.0.1",)),
)


@pytest.fixture(scope="module")
def issuer() -> Iterator[IssuerServer]:
    """An issuer with open registration and documents of clients."""
    with IssuerServer(SETTINGS) as running:
        yield running


@pytest.fixture(scope="module")
def driver() -> Iterator[BrowserDriver]:
    with BrowserDriver() as driver:
        yield driver


@pytest.fixture(scope="module")
def sdk() -> Iterator[NodeFlows]:
    with NodeFlows("mcp_sdk_flows.mjs") as flows:
        yield flows


@pytest.fixture(scope="module", params=["signature", "introspection", "grantway"])
def server(request: pytest.FixtureRequest, issuer: IssuerServer) -> Iterator[str]:
    """The URL of a resource server that verifies tokens in one of three ways."""
    with ExitStack() as exits:
        verify: Verify
        if request.param == "signature":
            verify = by_signature(issuer.url)
        elif request.param == "introspection":
            metadata = {"client_name": "api", "grant_types": ["client_credentials"]}
            made = add_client(issuer.store, metadata, introspects=True)
            verify = by_introspection(issuer.url, (made["client_id"], made["client_secret"]))
        else:
            verify = exits.enter_context(by_grantway(issuer.url))
        yield exits.enter_context(mcp_server(issuer.url, verify))


@pytest.mark.parametrize("method", ["none", "client_secret_basic", "client_secret_post"])
def test_the_sdk_finds_the_issuer_registers_and_logs_in(
    sdk: NodeFlows, server: str, driver: BrowserDriver, method: str
) -> None:
    result = sdk.run("login", visit=driver.approve_authorization, server=server, method=method)
    for claims in (result["claims"], result["again"]):
        assert claims["sub"] == "local-user"
        assert claims["client_id"] == result["clientId"]
        assert claims["scope"] == SCOPE  # the SDK reads it in the server's metadata
        assert claims["aud"] in (server, [server])
    assert result["rotated"]


def test_a_token_for_another_server_is_rejected(issuer: IssuerServer, server: str) -> None:
    metadata = {"client_name": "x", "grant_types": ["client_credentials"], "scope": SCOPE}
    made = add_client(issuer.store, metadata)
    status = {}
    for resource in (server, "https://other.example.com/mcp"):
        token = requests.post(
            f"{issuer.url}/token",
            auth=(made["client_id"], made["client_secret"]),
            data={"grant_type": "client_credentials", "resource": resource},
            timeout=30,
        ).json()["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
        status[resource] = requests.post(server, json=ping, headers=headers, timeout=30).status_code
    assert list(status.values()) == [200, 401]


@pytest.mark.slow
@pytest.mark.parametrize("version", mcp_scenarios.VERSIONS)
@pytest.mark.parametrize("kind", ["registered", "document"])
def test_the_issuer_passes_the_conformance_tests(
    issuer: IssuerServer, driver: BrowserDriver, tmp_path: Path, kind: str, version: str
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    redirect = f"http://127.0.0.1:{port}/callback"
    publisher = Publisher()
    publisher.changes = {"redirect_uris": [redirect]}
    client_id = publisher.url
    if kind == "registered":
        metadata = {"redirect_uris": [redirect], "token_endpoint_auth_method": "none"}
        made = requests.post(f"{issuer.url}/register", json=metadata, timeout=30)
        client_id = made.json()["client_id"]
    try:
        checks = judge_issuer(
            issuer.url,
            client_id,
            version=version,
            port=port,
            approve=driver.approve_authorization,
            folder=tmp_path,
        )
    finally:
        publisher.close()
    assert checks == {
        "authorization-server-metadata": "SUCCESS",
        **({"authorization-server-metadata-cimd": "SUCCESS"} if version >= "2025-11-25" else {}),
        "authorization-code-grant": "SUCCESS",
    }


@pytest.mark.slow
@pytest.mark.parametrize("scenario", ["server-initialize", "ping", "tools-list"])
def test_a_gateway_adds_tokens_that_the_server_accepts(
    issuer: IssuerServer, server: str, tmp_path: Path, scenario: str
) -> None:
    metadata = {"client_name": "x", "grant_types": ["client_credentials"], "scope": SCOPE}
    made = add_client(issuer.store, metadata)
    config = write(
        tmp_path,
        f"""
        [gateway]
        listen = "127.0.0.1:0"
        admin = "127.0.0.1:0"
        [providers.idp]
        issuer = "{issuer.url}"
        client_id = "{made["client_id"]}"
        client_secret = "{made["client_secret"]}"
        [routes.mcp]
        path = "/mcp"
        upstream = "{server.removesuffix("/mcp")}"
        provider = "idp"
        tenant = "single"
        on_failure = "closed"
        params = {{ resource = "{server}" }}
        """,
    )
    with gateway(config) as running:
        checks = judge_server(f"{running.url}/mcp", scenario, tmp_path / "results")
    assert set(checks.values()) <= {"SUCCESS", "INFO"}, checks
