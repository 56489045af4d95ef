"""MCP servers of the Python SDK and of FastMCP, whose tokens come from one issuer.

Each has four tools: ``whoami`` returns the client and scopes of the token; ``count`` reports its
progress in an event stream; ``late`` does so after `LATE_SECONDS`; ``admin`` needs `ADMIN`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import jwt
import requests
from fastmcp import Context as FastContext, FastMCP
from fastmcp.server.auth import RemoteAuthProvider
from fastmcp.server.auth.providers.jwt import JWTVerifier
from fastmcp.server.dependencies import get_access_token as fast_token
from mcp.server.auth.middleware.auth_context import get_access_token as sdk_token
from mcp.server.auth.provider import AccessToken
from mcp.server.auth.settings import AuthSettings
from mcp.server.mcpserver import Context, MCPServer
from pydantic import AnyHttpUrl, ConfigDict, TypeAdapter
from starlette.concurrency import run_in_threadpool

from tests.faults import free_port
from tests.plugins.gateway.servers import asgi_server
from tests.waiting import PATIENCE

SCOPE, ADMIN = "mcp:tools", "mcp:admin"
#: Silence of the tool ``late``.
LATE_SECONDS = 4
METADATA = "/.well-known/oauth-protected-resource"


_URL = TypeAdapter(AnyHttpUrl, config=ConfigDict(url_preserve_empty_path=True))


def exact_url(url: str) -> AnyHttpUrl:
    """Return a URL for pydantic without the slash that it adds, which would be another issuer."""
    return _URL.validate_python(url)


class Introspection:
    """Verifies tokens of the issuer for the SDK's server.

    Args:
        issuer: URL of the issuer.
        client: Credentials of a client that may introspect.
    """

    def __init__(self, issuer: str, client: tuple[str, str]) -> None:
        self._url, self._client = f"{issuer}/introspect", client

    async def verify_token(self, token: str) -> AccessToken | None:
        """Return the token's details; None if it is not active."""

        def ask() -> dict[str, Any]:
            data = {"token": token}
            response = requests.post(self._url, auth=self._client, data=data, timeout=PATIENCE)
            response.raise_for_status()
            found: dict[str, Any] = response.json()
            return found

        found = await run_in_threadpool(ask)
        if not found["active"]:
            return None
        audience = found.get("aud", "")
        return AccessToken(
            token=token,
            client_id=found["client_id"],
            scopes=found.get("scope", "").split(),
            expires_at=found["exp"],
            resource=audience if isinstance(audience, str) else audience[0],
            subject=found["sub"],
            claims={"iss": found["iss"]},
        )


def claimed_scope(token: str) -> list[str]:
    """Return the scope in a JWT; none for other tokens."""
    if token.count(".") != 2:
        return []
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    scope: str = claims.get("scope", "")
    return scope.split()


@dataclass
class McpServer:
    """A running MCP server, as an ASGI application that stands in front of the real one.

    It requires the scope `ADMIN` for the tool ``admin``, as MCP servers do: with status 403.

    Attributes:
        url: URL of the MCP endpoint, which is the resource.
        app: The real application.
        scope: Returns the scope of a token; by default of a JWT.
        requests: Method and headers of each request to the endpoint.
    """

    url: str
    app: Any = None
    scope: Callable[[str], list[str]] = claimed_scope
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def has_stream(self) -> bool:
        """Return whether a client has requested a stream, which it does beside its other calls."""
        return any(method == "GET" for method, _ in self.requests)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a call of ``admin`` if the token lacks the scope; forward all others."""
        if scope["type"] != "http" or scope["path"] != "/mcp":
            await self.app(scope, receive, send)
            return
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.requests.append((scope["method"], headers))
        messages = [await receive()]
        while messages[-1].get("more_body"):
            messages.append(await receive())
        body = b"".join(each.get("body", b"") for each in messages)
        token = headers.get("authorization", "").partition(" ")[2]
        if b'"admin"' in body and token and ADMIN not in self.scope(token):
            await self._demand_scope(send)
            return

        async def again() -> Any:
            return messages.pop(0) if messages else await receive()

        await self.app(scope, again, send)

    async def _demand_scope(self, send: Any) -> None:
        metadata = self.url.replace("/mcp", f"{METADATA}/mcp")
        challenge = (
            f'Bearer error="insufficient_scope", scope="{ADMIN}", resource_metadata="{metadata}"'
        )
        headers = [(b"www-authenticate", challenge.encode()), (b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 403, "headers": headers})
        await send({"type": "http.response.body"})


@contextmanager
def sdk_server(
    issuer: str, introspector: tuple[str, str], app: Callable[[MCPServer], Any] | None = None
) -> Iterator[McpServer]:
    """Run a server of the SDK that introspects its tokens.

    Args:
        issuer: URL of the issuer.
        introspector: Credentials of a client that may introspect.
        app: Adds the tools, and returns the application; by default `tools_app`.
    """
    port = free_port()
    running = McpServer(f"http://127.0.0.1:{port}/mcp")
    server = MCPServer(
        "sdk",
        token_verifier=Introspection(issuer, introspector),
        auth=AuthSettings(
            issuer_url=exact_url(issuer),
            resource_server_url=exact_url(running.url),
            required_scopes=[SCOPE],
            validate_token_resource=True,
        ),
    )
    running.app = (app or tools_app)(server)
    # uvicorn's other parser keeps the spaces around the values of headers.
    with asgi_server(running, port, lifespan="on", http="h11"):
        yield running


def tools_app(server: MCPServer) -> Any:
    """Add the tools to a server of the SDK, and return its application."""

    @server.tool()
    def whoami() -> str:
        token = sdk_token()
        assert token is not None
        return json.dumps({"client_id": token.client_id, "scopes": token.scopes})

    @server.tool()
    async def count(ctx: Context) -> str:
        return await _count(ctx.report_progress)

    @server.tool()
    async def late(ctx: Context) -> str:
        await asyncio.sleep(LATE_SECONDS)
        return await _count(ctx.report_progress)

    @server.tool()
    def admin() -> str:
        return "done"

    return server.streamable_http_app()


async def _count(report: Callable[[float, float], Awaitable[None]]) -> str:
    for number in range(3):
        await report(number, 3)
    return "done"


@contextmanager
def fastmcp_server(issuer: str) -> Iterator[McpServer]:
    """Run a server of FastMCP that verifies JWTs."""
    port = free_port()
    running = McpServer(f"http://127.0.0.1:{port}/mcp")
    auth = RemoteAuthProvider(
        token_verifier=JWTVerifier(
            jwks_uri=f"{issuer}/jwks",
            issuer=issuer,
            audience=running.url,
            algorithm="ES256",
            required_scopes=[SCOPE],
        ),
        authorization_servers=[exact_url(issuer)],
        base_url=f"http://127.0.0.1:{port}",
    )
    server: FastMCP[Any] = FastMCP("fastmcp", auth=auth)
    add_fast_tools(server)
    running.app = server.http_app(path="/mcp")
    with asgi_server(running, port, lifespan="on"):
        yield running


def add_fast_tools(server: FastMCP[Any]) -> None:
    """Add the tools to a server of FastMCP."""

    @server.tool
    def whoami() -> str:
        token = fast_token()
        assert token is not None
        return json.dumps({"client_id": token.client_id, "scopes": token.scopes})

    @server.tool
    async def count(ctx: FastContext) -> str:
        return await _count(ctx.report_progress)

    @server.tool
    async def late(ctx: FastContext) -> str:
        await asyncio.sleep(LATE_SECONDS)
        return await _count(ctx.report_progress)

    @server.tool
    def admin() -> str:
        return "done"
