"""The issuer, a resource server and a gateway, judged by MCP's SDK and conformance tests."""

from __future__ import annotations

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
from tests.faults import free_port
from tests.interop import mcp_scenarios
from tests.interop.mcp_conformance import judge_issuer, judge_server
from tests.interop.mcp_gateways import adding_gateway, gateway_client, verifying_gateway
from tests.interop.mcp_python_servers import sdk_server
from tests.interop.mcp_scenario_server import scenario_app
from tests.interop.mcp_server import (
    SCOPE,
    Verify,
    by_grantway,
    by_introspection,
    by_signature,
    mcp_server,
)
from tests.interop.node_flows import NodeFlows
from tests.plugins.issuer.test_client_documents import Publisher
from tests.waiting import PATIENCE

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
@pytest.mark.parametrize("kind", mcp_scenarios.CLIENT_KINDS)
def test_the_issuer_passes_the_conformance_tests(
    issuer: IssuerServer, driver: BrowserDriver, tmp_path: Path, kind: str, version: str
) -> None:
    port = free_port()
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
    client = made["client_id"], made["client_secret"]
    with adding_gateway(tmp_path, issuer, client, server.removesuffix("/mcp"), server) as url:
        checks = judge_server(f"{url}/mcp", scenario, "2025-11-25", tmp_path / "results")
    assert set(checks.values()) <= {"SUCCESS", "INFO"}, checks


@pytest.fixture(scope="module")
def chain(issuer: IssuerServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a server of the SDK behind two gateways.

    The judge sends no tokens. The first gateway adds them, the second verifies them and adds its
    own, and the server introspects those.
    """
    metadata = {"client_name": "api", "grant_types": ["client_credentials"]}
    made = add_client(issuer.store, metadata, introspects=True)
    introspector = made["client_id"], made["client_secret"]
    first, second = gateway_client(issuer), gateway_client(issuer)
    with (
        sdk_server(issuer.url, introspector, scenario_app) as server,
        verifying_gateway(tmp_path_factory.mktemp("second"), issuer, second, server.url) as inner,
        adding_gateway(tmp_path_factory.mktemp("first"), issuer, first, inner, inner) as outer,
    ):
        assert requests.post(f"{inner}/mcp", json={}, timeout=PATIENCE).status_code == 401
        yield f"{outer}/mcp"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning")
@pytest.mark.parametrize(("scenario", "version"), mcp_scenarios.runs(mcp_scenarios.SERVER))
def test_gateways_change_no_request_and_no_stream(
    chain: str, tmp_path: Path, scenario: str, version: str
) -> None:
    checks = judge_server(chain, scenario, version, tmp_path)
    assert set(checks.values()) <= {"SUCCESS", "INFO"}, checks
    assert "SUCCESS" in checks.values()
