"""``ResourceAuth`` in the MCP clients of the Python SDK and of FastMCP, with their servers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastmcp import Client as FastClient
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

import grantway
from grantway_plugins.auth import ResourceAuth
from grantway_plugins.issuer import IssuerServer, IssuerSettings
from grantway_plugins.issuer._decisions.operator_clients import add_client
from tests.interop.mcp_python_clients import Progress
from tests.interop.mcp_python_servers import (
    ADMIN,
    SCOPE,
    McpServer,
    fastmcp_server,
    sdk_server,
)
from tests.plugins.auth.sites import Logins, folder_store
from tests.waiting import PATIENCE

pytestmark = pytest.mark.slow

SETTINGS = IssuerSettings(approve="auto", registration="open", access_token_format="jwt")

#: Connects a client to the URL of a server.
Connect = Callable[[str, ResourceAuth], AbstractAsyncContextManager[Any]]


@asynccontextmanager
async def sdk(url: str, auth: ResourceAuth) -> AsyncIterator[Any]:
    async with (
        httpx2.AsyncClient(auth=auth, timeout=PATIENCE) as http,
        Client(streamable_http_client(url, http_client=http)) as client,
    ):
        yield client


@asynccontextmanager
async def sdk_sessions(url: str, auth: ResourceAuth) -> AsyncIterator[Any]:
    async with (
        httpx2.AsyncClient(auth=auth, timeout=PATIENCE) as http,
        Client(streamable_http_client(url, http_client=http), mode="legacy") as client,
    ):
        yield client


@asynccontextmanager
async def fast(url: str, auth: ResourceAuth) -> AsyncIterator[Any]:
    async with FastClient(url, auth=auth) as client:
        yield client


@pytest.fixture(params=[sdk, sdk_sessions, fast], ids=lambda each: each.__name__)
def connect(request: pytest.FixtureRequest) -> Connect:
    made: Connect = request.param
    return made


@pytest.fixture(scope="module")
def issuer() -> Iterator[IssuerServer]:
    with IssuerServer(SETTINGS) as running:
        yield running


@pytest.fixture(scope="module", params=["sdk", "fastmcp"])
def server(request: pytest.FixtureRequest, issuer: IssuerServer) -> Iterator[McpServer]:
    if request.param == "fastmcp":
        with fastmcp_server(issuer.url) as running:
            yield running
        return
    metadata = {"client_name": "api", "grant_types": ["client_credentials"]}
    made = add_client(issuer.store, metadata, introspects=True)
    with sdk_server(issuer.url, (made["client_id"], made["client_secret"])) as running:
        yield running


def auth_for(server: McpServer, login: Any, folder: Path) -> ResourceAuth:
    return ResourceAuth(server.url, client_name="test", login=login, store=folder_store(folder))


def text(result: Any) -> str:
    [content] = result.content
    found: str = content.text
    return found


def test_calls_a_tool(connect: Connect, server: McpServer, tmp_path: Path) -> None:
    async def call(login: Any) -> dict[str, Any]:
        async with connect(server.url, auth_for(server, login, tmp_path)) as client:
            found: dict[str, Any] = json.loads(text(await client.call_tool("whoami", {})))
            return found

    logins = Logins()
    first = asyncio.run(call(logins))
    assert (first["scopes"], len(logins.calls)) == ([SCOPE], 1)
    server.requests.clear()
    assert asyncio.run(call(None)) == first  # another process
    assert all("authorization" in headers for _, headers in server.requests)


def test_long_event_streams(connect: Connect, server: McpServer, tmp_path: Path) -> None:
    async def call() -> tuple[list[float], str]:
        progress = Progress()
        async with connect(server.url, auth_for(server, Logins(), tmp_path)) as client:
            handler = "progress_handler" if connect is fast else "progress_callback"
            done = await client.call_tool("late", {}, **{handler: progress})
            return progress.seen, text(done)

    assert asyncio.run(call()) == ([0.0, 1.0, 2.0], "done")


def test_steps_up(connect: Connect, server: McpServer, tmp_path: Path) -> None:
    logins = Logins()

    async def call() -> list[str]:
        async with connect(server.url, auth_for(server, logins, tmp_path)) as client:
            return [text(await client.call_tool(tool, {})) for tool in ("admin", "admin", "count")]

    assert asyncio.run(call()) == ["done"] * 3
    assert [set(each or ()) for each in logins.scopes] == [{SCOPE}, {SCOPE, ADMIN}]


def test_a_token_that_is_revoked_in_the_middle(
    connect: Connect, issuer: IssuerServer, tmp_path: Path
) -> None:
    metadata = {"client_name": "api", "grant_types": ["client_credentials"]}
    made = add_client(issuer.store, metadata, introspects=True)
    credentials = (made["client_id"], made["client_secret"])
    logins = Logins()

    async def call(server: McpServer) -> list[str]:
        auth = auth_for(server, logins, tmp_path)
        async with connect(server.url, auth) as client:
            results = [text(await client.call_tool("count", {}))]
            token = await auth.token_async()
            await asyncio.to_thread(
                auth.client().call,
                "revocation",
                token=token.access_token,
                token_type_hint="access_token",
            )
            calls = (client.call_tool("count", {}) for _ in range(8))
            results += [text(each) for each in await asyncio.gather(*calls)]
            assert (await auth.token_async()).access_token != token.access_token
            return results

    with sdk_server(issuer.url, credentials) as server:
        assert asyncio.run(call(server)) == ["done"] * 9
    assert len(logins.calls) == 1


def test_an_error_of_the_login_reaches_the_caller(
    connect: Connect, server: McpServer, tmp_path: Path
) -> None:
    logins = Logins()
    logins.fail = grantway.AccessDeniedException("The user denied the request.")

    async def call() -> None:
        async with connect(server.url, auth_for(server, logins, tmp_path)):
            raise AssertionError("not connected")

    with pytest.raises(BaseException) as caught:  # noqa: PT011 - each client wraps it differently
        asyncio.run(call())
    assert "The user denied the request" in told(caught.value)
    assert len(logins.calls) <= 2


def told(error: BaseException) -> str:
    """Return the messages of an error, its causes and the errors of its group."""
    found: dict[int, str] = {}
    left: list[BaseException | None] = [error]
    while left:
        each = left.pop()
        if each is not None and id(each) not in found:
            found[id(each)] = str(each)
            left += [each.__cause__, each.__context__]
            left += each.exceptions if isinstance(each, BaseExceptionGroup) else ()
    return " ".join(found.values())
