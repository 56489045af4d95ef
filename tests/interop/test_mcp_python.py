"""The issuer and the gateway, judged by the MCP clients and servers of the SDK and of FastMCP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from mcp.shared.exceptions import MCPError

from grantway_plugins.issuer import (
    BrowserDriver,
    ClientDocuments,
    IssuerServer,
    IssuerSettings,
)
from grantway_plugins.issuer._decisions.operator_clients import add_client
from tests.interop.mcp_gateways import gateway_client, proxied_gateway, verifying_gateway
from tests.interop.mcp_python_clients import REDIRECT, Account, Caller, Connect, fastmcp, sdk
from tests.interop.mcp_python_servers import ADMIN, SCOPE, McpServer, fastmcp_server, sdk_server
from tests.interop.node_flows import NodeFlows
from tests.plugins.issuer.test_client_documents import Publisher
from tests.waiting import PATIENCE, until

pytestmark = pytest.mark.slow

SETTINGS = IssuerSettings(
    registration="open",
    access_token_format="jwt",
    client_documents=ClientDocuments(private_hosts=("127.0.0.1",)),
)
CLIENTS = {"sdk": sdk("auto"), "sdk-sessions": sdk("legacy"), "fastmcp": fastmcp}
SERVERS = ("sdk", "fastmcp", "gateway")


@pytest.fixture(scope="module")
def issuer() -> Iterator[IssuerServer]:
    with IssuerServer(SETTINGS) as running:
        yield running


@pytest.fixture
def account() -> Iterator[Account]:
    with BrowserDriver() as driver:
        yield Account(driver.approve_authorization)


@dataclass(frozen=True)
class Target:
    """A server that clients connect to, and the MCP server behind it, which may be the same.

    Attributes:
        url: URL of the MCP endpoint of the clients.
        admin: URL of an endpoint that needs the scope `ADMIN`.
        server: The MCP server.
    """

    url: str
    admin: str
    server: McpServer


@pytest.fixture(scope="module")
def introspector(issuer: IssuerServer) -> tuple[str, str]:
    metadata = {"client_name": "api", "grant_types": ["client_credentials"]}
    made = add_client(issuer.store, metadata, introspects=True)
    return made["client_id"], made["client_secret"]


@pytest.fixture(scope="module", params=SERVERS)
def target(
    request: pytest.FixtureRequest,
    issuer: IssuerServer,
    introspector: tuple[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Target]:
    """An MCP server whose callers need a token of the issuer."""
    if request.param == "fastmcp":
        with fastmcp_server(issuer.url) as server:
            yield Target(server.url, server.url, server)
        return
    with sdk_server(issuer.url, introspector) as server:
        if request.param == "sdk":
            yield Target(server.url, server.url, server)
        else:
            folder, client = tmp_path_factory.mktemp("gateway"), gateway_client(issuer)
            with verifying_gateway(folder, issuer, client, server.url) as url:
                yield Target(f"{url}/mcp", f"{url}/admin", server)


def run(
    connect: Connect,
    server: str,
    account: Account,
    use: Callable[[Caller], Awaitable[Any]],
    **options: Any,
) -> Any:
    """Connect a client, and use it."""

    async def main() -> Any:
        async with connect(server, account, **options) as caller:
            return await use(caller)

    return asyncio.run(asyncio.wait_for(main(), PATIENCE))


@pytest.mark.parametrize("client", CLIENTS)
def test_clients_log_in_call_tools_and_refresh(
    target: Target, account: Account, client: str
) -> None:
    async def use(caller: Caller) -> list[str]:
        shown = [await caller.call("whoami")]
        assert await caller.progress("count") == [0, 1, 2]
        before = caller.auth.context.current_tokens
        caller.auth.context.token_expiry_time = 1
        shown.append(await caller.call("whoami"))
        after = caller.auth.context.current_tokens
        assert before
        assert after
        assert before.refresh_token != after.refresh_token
        assert before.access_token != after.access_token
        return shown

    first, second = map(json.loads, run(CLIENTS[client], target.url, account, use))
    assert first == second
    assert first["scopes"] == [SCOPE]
    [asked] = account.requested
    assert target.url.startswith(asked["resource"])
    assert asked["scope"] == SCOPE
    assert asked["code_challenge_method"] == "S256"


@pytest.mark.parametrize("client", CLIENTS)
def test_clients_need_no_registration(target: Target, account: Account, client: str) -> None:
    async def use(caller: Caller) -> str:
        return await caller.call("whoami")

    with closing(Publisher()) as publisher:
        publisher.changes = {"redirect_uris": [REDIRECT, "http://localhost/callback"]}
        run(CLIENTS[client], target.url, account, use, document=publisher.url)
        [asked] = account.requested
        assert asked["client_id"] == publisher.url


@pytest.mark.parametrize("client", CLIENTS)
def test_clients_step_up(target: Target, account: Account, client: str) -> None:
    async def log_in(caller: Caller) -> str:
        return await caller.call("whoami")

    async def step_up(caller: Caller) -> str:
        tool = "admin" if target.admin == target.url else "whoami"
        first = await caller.call(tool)
        assert await caller.call(tool) == first
        return first

    run(CLIENTS[client], target.url, account, log_in)
    run(CLIENTS[client], target.admin, account, step_up)
    assert [set(each["scope"].split()) for each in account.requested] == [{SCOPE}, {SCOPE, ADMIN}]
    ids = {each["client_id"] for each in account.requested}
    # FastMCP's client registers once for each URL.
    assert len(ids) == (2 if client == "fastmcp" and target.admin != target.url else 1)


def test_the_typescript_sdk_logs_in(target: Target, account: Account) -> None:
    with NodeFlows("mcp_sdk_flows.mjs") as flows:
        result = flows.run("login", visit=account.approve, server=target.url, method="none")
    assert result["claims"] == result["again"]
    assert result["claims"]["scopes"] == [SCOPE]
    assert result["rotated"]


def test_a_client_logs_in_again_after_a_revocation(
    issuer: IssuerServer, introspector: tuple[str, str], account: Account
) -> None:
    """The server of the SDK introspects each token, so it notices at once."""

    async def use(caller: Caller) -> list[str]:
        shown = [await caller.call("whoami")]
        tokens = caller.auth.context.current_tokens
        client = caller.auth.context.client_info
        assert tokens
        assert client
        who = (client.client_id or "", client.client_secret or "")
        await asyncio.to_thread(revoke, issuer, who, tokens.access_token)
        shown.append(await caller.call("whoami"))
        return shown

    with sdk_server(issuer.url, introspector) as server:
        first, second = run(CLIENTS["sdk"], server.url, account, use)
    assert first == second
    assert len(account.requested) == 2


def revoke(issuer: IssuerServer, client: tuple[str, str], token: str) -> None:
    """Revoke a token as its client."""
    url, data = f"{issuer.url}/revoke", {"token": token}
    requests.post(url, data=data, auth=client, timeout=PATIENCE).raise_for_status()


# --- the gateway ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Gateway:
    """A gateway that verifies its callers, its client, and the MCP server behind it."""

    url: str
    client: tuple[str, str]
    server: McpServer


@pytest.fixture
def gated(issuer: IssuerServer, introspector: tuple[str, str], tmp_path: Path) -> Iterator[Gateway]:
    client = gateway_client(issuer)
    with (
        sdk_server(issuer.url, introspector) as server,
        verifying_gateway(tmp_path, issuer, client, server.url) as url,
    ):
        yield Gateway(f"{url}/mcp", client, server)


def test_a_session_passes_through_the_gateway(
    issuer: IssuerServer, introspector: tuple[str, str], account: Account, tmp_path: Path
) -> None:
    """With its notifications, a stream that is silent for a while, and its end."""

    async def use(caller: Caller) -> list[float]:
        progress = await caller.progress("late")
        await asyncio.to_thread(until, server.has_stream)
        return progress

    client = gateway_client(issuer)
    with (
        sdk_server(issuer.url, introspector) as server,
        verifying_gateway(tmp_path, issuer, client, server.url, answer_timeout=3) as url,
    ):
        assert run(CLIENTS["sdk-sessions"], f"{url}/mcp", account, use) == [0, 1, 2]
    seen = server.requests
    assert "mcp-session-id" not in seen[0][1]
    assert len({headers["mcp-session-id"] for _, headers in seen[1:]}) == 1
    assert [method for method, _ in seen].count("GET") == 1
    assert seen[-1][0] == "DELETE"
    [token] = {headers["authorization"] for _, headers in seen}
    assert account.tokens
    assert token != f"Bearer {account.tokens.access_token}"


def test_the_gateway_replaces_a_token_that_the_server_rejects(
    gated: Gateway, account: Account, issuer: IssuerServer
) -> None:
    async def use(caller: Caller) -> list[str]:
        shown = [await caller.call("whoami")]
        token = gated.server.requests[-1][1]["authorization"].removeprefix("Bearer ")
        await asyncio.to_thread(revoke, issuer, gated.client, token)
        shown.append(await caller.call("whoami"))
        return shown

    first, second = run(CLIENTS["sdk-sessions"], gated.url, account, use)
    assert first == second
    assert json.loads(first)["client_id"] == gated.client[0]
    assert len({headers["authorization"] for _, headers in gated.server.requests}) == 2
    assert len(account.requested) == 1


def test_a_denial_of_the_server_reaches_the_client_once(gated: Gateway, account: Account) -> None:
    """The gateway's token lacks a scope, and a new login of the user cannot add it."""

    async def use(caller: Caller) -> None:
        await caller.call("whoami")
        before = len(gated.server.requests)
        with pytest.raises(MCPError):
            await caller.call("admin")
        assert len(gated.server.requests) - before <= 2

    run(CLIENTS["sdk-sessions"], gated.url, account, use)


@pytest.mark.parametrize("proxy", ["nginx", "envoy"])
def test_a_session_passes_through_a_proxy_with_the_printed_configuration(
    issuer: IssuerServer,
    introspector: tuple[str, str],
    account: Account,
    tmp_path: Path,
    proxy: str,
) -> None:
    async def use(caller: Caller) -> list[float]:
        assert json.loads(await caller.call("whoami"))["client_id"] == client[0]
        await asyncio.to_thread(until, server.has_stream)
        return await caller.progress("count")

    client = gateway_client(issuer)
    with (
        sdk_server(issuer.url, introspector) as server,
        proxied_gateway(proxy, tmp_path, issuer, client, server.url) as url,
    ):
        assert run(CLIENTS["sdk-sessions"], f"{url}/mcp", account, use) == [0, 1, 2]
    assert {"POST", "GET", "DELETE"} <= {method for method, _ in server.requests}
    assert account.requested[0]["resource"] == url
