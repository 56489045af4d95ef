"""MCP servers with authorization servers of the Python SDK and of FastMCP.

Their tools are those of `mcp_python_servers`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from fastmcp import FastMCP
from fastmcp.server.auth import OAuthProvider, OIDCProxy
from fastmcp.server.auth.providers.in_memory import InMemoryOAuthProvider
from mcp.server.auth.settings import AuthSettings, ClientRegistrationOptions, RevocationOptions
from mcp.server.mcpserver import MCPServer

from tests.faults import free_port
from tests.interop.mcp_python_servers import (
    ADMIN,
    SCOPE,
    McpServer,
    add_fast_tools,
    exact_url,
    tools_app,
)
from tests.plugins.gateway.servers import asgi_server

_REGISTRATION = ClientRegistrationOptions(enabled=True, valid_scopes=[SCOPE, ADMIN])


@contextmanager
def sdk_with_issuer() -> Iterator[tuple[McpServer, InMemoryOAuthProvider]]:
    """Run a server of the SDK that is its own authorization server, with tokens in memory."""
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    provider = InMemoryOAuthProvider(base_url=base)
    running = McpServer(f"{base}/mcp", scope=partial(_scope, provider))
    settings = AuthSettings(
        issuer_url=exact_url(base),
        resource_server_url=exact_url(running.url),
        required_scopes=[SCOPE],
        client_registration_options=_REGISTRATION,
        revocation_options=RevocationOptions(enabled=True),
        validate_token_resource=False,  # the tokens in memory have none
    )
    running.app = tools_app(MCPServer("sdk", auth_server_provider=provider, auth=settings))
    with asgi_server(running, port, lifespan="on"):
        yield running, provider


@contextmanager
def fastmcp_with_issuer() -> Iterator[tuple[McpServer, InMemoryOAuthProvider]]:
    """Run a server of FastMCP that is its own authorization server, with tokens in memory."""
    port = free_port()
    provider = InMemoryOAuthProvider(
        base_url=f"http://127.0.0.1:{port}",
        client_registration_options=_REGISTRATION,
        revocation_options=RevocationOptions(enabled=True),
        required_scopes=[SCOPE],
    )
    with _fastmcp(provider, port) as running:
        running.scope = partial(_scope, provider)
        yield running, provider


def _scope(provider: InMemoryOAuthProvider, token: str) -> list[str]:
    found = provider.access_tokens.get(token)
    return [] if found is None else found.scopes


@contextmanager
def fastmcp_proxy(issuer: str, client: tuple[str, str], port: int) -> Iterator[McpServer]:
    """Run a server of FastMCP that is an authorization server in front of another issuer.

    Args:
        issuer: URL of the issuer.
        client: Credentials of a client with the redirect URI
            ``http://127.0.0.1:PORT/auth/callback``.
        port: Port of the server.
    """
    provider = OIDCProxy(
        config_url=f"{issuer}/.well-known/openid-configuration",
        client_id=client[0],
        client_secret=client[1],
        base_url=f"http://127.0.0.1:{port}",
        algorithm="ES256",
        required_scopes=[SCOPE],
        valid_scopes=[SCOPE, ADMIN],
        require_authorization_consent=False,
    )
    with _fastmcp(provider, port) as running:
        yield running


@contextmanager
def _fastmcp(provider: OAuthProvider, port: int) -> Iterator[McpServer]:
    running = McpServer(f"http://127.0.0.1:{port}/mcp")
    server: FastMCP[Any] = FastMCP("fastmcp", auth=provider)
    add_fast_tools(server)
    running.app = server.http_app(path="/mcp")
    with asgi_server(running, port, lifespan="on"):
        yield running
