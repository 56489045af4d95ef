"""Programs with the MCP SDK that use the login of ``grantway login URL``."""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.server.auth.provider import AccessToken
from mcp.server.auth.settings import AuthSettings
from mcp.server.mcpserver import MCPServer
from mcp.types import TextContent

from grantway_plugins.auth import TokenAuth
from grantway_plugins.issuer import IssuerServer, IssuerSettings, Lifetimes
from grantway_plugins.resource import AcceptedIssuer, ProtectedResource
from grantway_plugins.resource.mcp import McpTokenVerifier
from tests.faults import free_port
from tests.plugins.cli.home import PATIENCE, Home
from tests.plugins.gateway.servers import asgi_server

pytestmark = pytest.mark.slow

SCOPE = "mcp:tools"
SETTINGS = IssuerSettings(
    approve="auto", access_token_format="jwt", lifetimes=Lifetimes(device_interval=0)
)


@pytest.fixture
def server() -> Iterator[str]:
    """URL of an MCP server of the SDK, whose tokens come from the issuer."""
    with IssuerServer(SETTINGS) as issuer:
        port = free_port()
        url = f"http://127.0.0.1:{port}/mcp"
        resource = ProtectedResource(url, [AcceptedIssuer(issuer.url)])
        settings: dict[str, Any] = {"issuer_url": issuer.url, "resource_server_url": url}
        made = MCPServer(
            "tools",
            log_level="WARNING",
            token_verifier=McpTokenVerifier(resource, AccessToken),
            auth=AuthSettings(**settings, required_scopes=[SCOPE], validate_token_resource=True),
        )

        @made.tool()
        def double(number: int) -> int:
            return 2 * number

        with asgi_server(made.streamable_http_app(), port, lifespan="on"):
            yield url
        resource.close()


async def call(url: str, auth: TokenAuth, number: int) -> str:
    async with (
        httpx2.AsyncClient(auth=auth, timeout=PATIENCE) as http,
        Client(streamable_http_client(url, http_client=http)) as client,
    ):
        (content,) = (await client.call_tool("double", {"number": number})).content
    assert isinstance(content, TextContent)
    return content.text


def test_the_sdk_calls_tools_with_the_token_of_a_profile(server: str, tmp_path: Path) -> None:
    home = Home(tmp_path)
    done = home.run("login", server, "--device")
    assert (done.returncode, done.stderr) == (0, "")
    ((name, made),) = tomllib.loads(home.config.read_text())["profiles"].items()
    assert (made["resource"], made["scope"]) == ([server], [SCOPE])
    before = home.age(-1, name)  # the token expired

    async def all_at_once(auth: TokenAuth) -> list[str]:
        return await asyncio.gather(*(call(server, auth, number) for number in range(8)))

    with home.profile(name) as profile:
        auth = TokenAuth(profile.credential(), origins=profile.resource or ())
        assert asyncio.run(all_at_once(auth)) == [str(2 * number) for number in range(8)]
    after = home.stored(name)
    assert after is not None
    assert after.refresh_token != before.refresh_token
    token = home.run("token", name)
    assert (token.returncode, token.stdout) == (0, f"{after.access_token}\n")
