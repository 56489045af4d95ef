"""``ResourceAuth`` in the MCP client of the Python SDK, with MCP servers of the SDK and FastMCP.

Some servers accept tokens of our issuer, others have another authorization server.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
import requests
from fastmcp.server.auth.providers.in_memory import InMemoryOAuthProvider
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

import grantway
from grantway_grants import authorization_code
from grantway_plugins.auth import ResourceAuth
from grantway_plugins.issuer import BrowserDriver, IssuerServer, IssuerSettings
from grantway_plugins.issuer._decisions.operator_clients import add_client
from tests.faults import free_port
from tests.interop.mcp_own_issuers import fastmcp_proxy, fastmcp_with_issuer, sdk_with_issuer
from tests.interop.mcp_python_clients import REDIRECT, Progress
from tests.interop.mcp_python_servers import (
    ADMIN,
    SCOPE,
    McpServer,
    fastmcp_server,
    sdk_server,
)
from tests.interop.mcp_scenario_server import scenario_app
from tests.waiting import PATIENCE

pytestmark = pytest.mark.slow

SERVERS = ("sdk", "fastmcp", "sdk-issuer", "fastmcp-issuer", "fastmcp-proxy")


@dataclass
class Target:
    """A server, and how to end the life of an access token.

    Attributes:
        server: The server.
        revoke: Revokes an access token. Servers that only verify signatures do not notice.
    """

    server: McpServer
    revoke: Callable[[ResourceAuth, str], None]


@pytest.fixture(scope="module")
def issuer() -> Iterator[IssuerServer]:
    with IssuerServer(IssuerSettings(registration="open", access_token_format="jwt")) as running:
        yield running


@pytest.fixture(scope="module", params=SERVERS)
def target(request: pytest.FixtureRequest, issuer: IssuerServer) -> Iterator[Target]:
    with _running(request.param, issuer) as found:
        yield found


@contextmanager
def _running(name: str, issuer: IssuerServer) -> Iterator[Target]:
    if name == "sdk":
        with sdk_server(issuer.url, _introspector(issuer)) as server:
            yield Target(server, _revoke_at_issuer)
    elif name == "fastmcp":
        with fastmcp_server(issuer.url) as server:
            yield Target(server, _revoke_at_issuer)
    elif name == "fastmcp-proxy":
        port = free_port()
        metadata = {
            "client_name": "proxy",
            "redirect_uris": [f"http://127.0.0.1:{port}/auth/callback"],
            "grant_types": ["authorization_code", "refresh_token"],
            "scope": f"{SCOPE} {ADMIN}",
        }
        made = add_client(issuer.store, metadata)
        client = made["client_id"], made["client_secret"]
        with fastmcp_proxy(issuer.url, client, port) as server:
            yield Target(server, _revoke_at_issuer)
    else:
        start = sdk_with_issuer if name == "sdk-issuer" else fastmcp_with_issuer
        with start() as (server, provider):
            yield Target(server, _forgetting(provider))


def _introspector(issuer: IssuerServer) -> tuple[str, str]:
    metadata = {"client_name": "api", "grant_types": ["client_credentials"]}
    made = add_client(issuer.store, metadata, introspects=True)
    return made["client_id"], made["client_secret"]


def _revoke_at_issuer(auth: ResourceAuth, token: str) -> None:
    auth.client().call("revocation", token=token)


def _forgetting(provider: InMemoryOAuthProvider) -> Callable[[ResourceAuth, str], None]:
    def forget(_auth: ResourceAuth, token: str) -> None:
        del provider.access_tokens[token]

    return forget


class Account:
    """A user with a browser, who logs in through ``login``.

    Attributes:
        logins: The scope of each login.
    """

    def __init__(self, issuer: str) -> None:
        self.logins: list[tuple[str, ...]] = []
        self._issuer = issuer

    def login(self, client: grantway.Client, *, scope: Any, resource: str) -> grantway.Token:
        self.logins.append(tuple(scope))
        return authorization_code.login_by_paste(
            client, self._visit, redirect_uri=REDIRECT, scope=scope, resource=resource
        )

    def _visit(self, url: str) -> str:
        """Follow redirects and approve each request at our issuer, until the client is reached."""
        with BrowserDriver() as driver:
            while not url.startswith(REDIRECT):
                if url.startswith(self._issuer):
                    url = driver.approve_authorization(url)
                else:
                    response = requests.get(url, allow_redirects=False, timeout=PATIENCE)
                    assert response.is_redirect, response.text
                    url = response.headers["location"]
        return url


@pytest.fixture
def account(issuer: IssuerServer) -> Account:
    return Account(issuer.url)


@dataclass
class Caller:
    """A connected client."""

    auth: ResourceAuth
    client: Client

    async def call(self, tool: str) -> Any:
        """Call a tool, and return its JSON or text."""
        [content] = (await self.client.call_tool(tool, {})).content
        text = getattr(content, "text", "")
        return json.loads(text) if text.startswith("{") else text


@asynccontextmanager
async def connected(auth: ResourceAuth, mode: str) -> AsyncIterator[Caller]:
    async with (
        httpx2.AsyncClient(auth=auth, timeout=PATIENCE) as http,
        Client(streamable_http_client(auth.url, http_client=http), mode=mode) as client,
    ):
        yield Caller(auth, client)


def run(auth: ResourceAuth, use: Callable[[Caller], Awaitable[Any]], mode: str = "auto") -> Any:
    """Connect a client of the SDK, and use it."""

    async def main() -> Any:
        async with connected(auth, mode) as caller:
            return await use(caller)

    return asyncio.run(asyncio.wait_for(main(), PATIENCE))


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_logs_in_calls_tools_refreshes_and_steps_up(
    target: Target, account: Account, mode: str
) -> None:
    auth = ResourceAuth(
        target.server.url, client_name="judge", login=account.login, redirect_uri=REDIRECT
    )

    async def use(caller: Caller) -> None:
        assert (await caller.call("whoami"))["scopes"] == [SCOPE]
        progress = Progress()
        await caller.client.call_tool("count", {}, progress_callback=progress)
        assert progress.seen == [0, 1, 2]
        before = await auth.token_async()
        auth.invalidate(before)
        assert (await caller.call("whoami"))["scopes"] == [SCOPE]
        after = await auth.token_async()
        assert before.access_token != after.access_token
        assert before.refresh_token != after.refresh_token
        assert account.logins == [(SCOPE,)]
        if mode == "legacy":
            return  # after a new registration, servers do not accept the session of the former one
        assert await caller.call("admin") == "done"
        assert set((await caller.call("whoami"))["scopes"]) == {SCOPE, ADMIN}
        # An authorization server may limit a client to the scopes that it registered.
        assert {frozenset(each) for each in account.logins[1:]} == {frozenset({SCOPE, ADMIN})}

    run(auth, use, mode)
    methods = [method for method, _ in target.server.requests]
    assert ("DELETE" in methods) is (mode == "legacy")
    target.server.requests.clear()


def test_another_client_uses_the_stored_login(target: Target, account: Account) -> None:
    store = grantway.default_registry().store("memory")

    async def use(caller: Caller) -> Any:
        return await caller.call("whoami")

    first, second = (
        run(
            ResourceAuth(
                target.server.url,
                client_name="judge",
                store=store,
                login=login,
                redirect_uri=REDIRECT,
            ),
            use,
        )
        for login in (account.login, None)
    )
    assert first == second
    assert len(account.logins) == 1


@pytest.mark.parametrize("target", ["sdk", "sdk-issuer", "fastmcp-issuer"], indirect=True)
def test_refreshes_a_revoked_token(target: Target, account: Account) -> None:
    auth = ResourceAuth(
        target.server.url, client_name="judge", login=account.login, redirect_uri=REDIRECT
    )

    async def use(caller: Caller) -> None:
        first = await caller.call("whoami")
        token = await auth.token_async()
        await asyncio.to_thread(target.revoke, auth, token.access_token)
        assert await caller.call("whoami") == first
        assert (await auth.token_async()).access_token != token.access_token

    run(auth, use, "legacy")
    assert len(account.logins) == 1


@pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning")
def test_a_stream_is_resumed_with_a_token(issuer: IssuerServer, account: Account) -> None:
    with sdk_server(issuer.url, _introspector(issuer), scenario_app) as server:
        auth = ResourceAuth(
            server.url, client_name="judge", login=account.login, redirect_uri=REDIRECT
        )

        async def use(caller: Caller) -> Any:
            return await caller.call("test_reconnection")

        assert run(auth, use, "legacy") == "done"
    resumed = [headers for method, headers in server.requests if "last-event-id" in headers]
    assert resumed
    assert all(each["authorization"].startswith("Bearer ") for each in resumed)
