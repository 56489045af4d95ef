"""``McpTokenVerifier`` in servers of the MCP Python SDK and of FastMCP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import pytest
import requests
from fastmcp import FastMCP
from fastmcp.server.auth import (
    AccessToken as FastAccessToken,
    RemoteAuthProvider,
    TokenVerifier as FastTokenVerifier,
)
from fastmcp.server.dependencies import get_access_token as fast_token
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.server.auth.middleware.auth_context import get_access_token as sdk_token
from mcp.server.auth.provider import AccessToken, TokenVerifier
from mcp.server.auth.settings import AuthSettings
from mcp.server.mcpserver import MCPServer
from mcp.types import TextContent

from grantway._wire.challenges import parse_challenges
from grantway_plugins.resource import (
    AcceptedIssuer,
    ProtectedResource,
    Requirement,
    VerificationUnavailableError,
)
from grantway_plugins.resource.asgi import ResourceMiddleware
from grantway_plugins.resource.mcp import McpTokenVerifier
from grantway_plugins.testing import WorkloadIssuer
from tests.faults import free_port
from tests.plugins.gateway.servers import asgi_server
from tests.plugins.resource.conftest import API, Tokens
from tests.waiting import PATIENCE

SCOPE = "mcp:tools"
PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
HEADERS = {"Accept": "application/json, text/event-stream"}


def exact(url: str) -> Any:
    """Return a URL as text, because pydantic's type adds a slash that makes another issuer."""
    return url


def sdk_app(resource: ProtectedResource, issuer: str) -> Any:
    verifier: TokenVerifier = McpTokenVerifier(resource, AccessToken)
    server = MCPServer(
        "sdk",
        token_verifier=verifier,
        auth=AuthSettings(
            issuer_url=exact(issuer),
            resource_server_url=exact(resource.resource),
            required_scopes=[SCOPE],
            validate_token_resource=True,
        ),
    )

    @server.tool()
    def whoami() -> str:
        return shown(sdk_token())

    return server.streamable_http_app()


class FastVerifier(FastTokenVerifier):
    """The verifier as FastMCP requires it."""

    def __init__(self, resource: ProtectedResource) -> None:
        super().__init__(required_scopes=[SCOPE])
        self._verifier = McpTokenVerifier(resource, FastAccessToken)

    async def verify_token(self, token: str) -> FastAccessToken | None:
        return await self._verifier.verify_token(token)


def fastmcp_app(resource: ProtectedResource, issuer: str) -> Any:
    auth = RemoteAuthProvider(
        FastVerifier(resource), [exact(issuer)], resource.resource.removesuffix("/mcp")
    )
    server: FastMCP[Any] = FastMCP("fastmcp", auth=auth)

    @server.tool
    def whoami() -> str:
        return shown(fast_token())

    return server.http_app(path="/mcp")


def shown(token: AccessToken | None) -> str:
    assert token is not None
    return json.dumps([token.client_id, token.subject, token.scopes, token.resource])


@contextmanager
def serving(make: Any, issuer: WorkloadIssuer, *, front: bool) -> Iterator[str]:
    """Run a server, with ``ResourceMiddleware`` in front or without, and yield the resource."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/mcp"
    accepted = [AcceptedIssuer(issuer.url), AcceptedIssuer(f"http://127.0.0.1:{free_port()}")]
    resource = ProtectedResource(url, accepted, scopes=[SCOPE])
    app = make(resource, issuer.url)
    if front:
        app = ResourceMiddleware(app, resource, requirement=Requirement(scopes=(SCOPE,)))
    with asgi_server(app, port, lifespan="on"):
        yield url


async def call(url: str, token: str) -> Any:
    """Call the tool with MCP's client."""
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx2.AsyncClient(headers=headers, timeout=PATIENCE) as http:
        transport = streamable_http_client(url, http_client=http)
        async with Client(transport) as client:
            (content,) = (await client.call_tool("whoami", {})).content
    assert isinstance(content, TextContent)
    return json.loads(content.text)


def metadata_url(url: str) -> str:
    return f"{url.removesuffix('/mcp')}/.well-known/oauth-protected-resource/mcp"


def post(url: str, token: str = "") -> requests.Response:
    headers = {**HEADERS, **({"Authorization": f"Bearer {token}"} if token else {})}
    return requests.post(url, json=PING, headers=headers, timeout=PATIENCE)


@pytest.mark.parametrize("make", [sdk_app, fastmcp_app])
@pytest.mark.parametrize("front", [False, True])
def test_a_server_accepts_only_tokens_for_itself(
    issuer: WorkloadIssuer, token: Tokens, make: Any, front: bool
) -> None:
    with serving(make, issuer, front=front) as url:
        assert asyncio.run(call(url, token(url, scope=SCOPE))) == ["app", "ann", [SCOPE], url]
        document = requests.get(metadata_url(url), timeout=PATIENCE).json()
        assert document["authorization_servers"][0] == issuer.url
        assert post(url).status_code == 401
        for rejected in (token(API, scope=SCOPE), token(url, scope=SCOPE, lifetime=-60)):
            assert post(url, rejected).status_code == 401
        response = post(url, token(url, scope="other"))
        assert response.status_code == 403
        (found, *_) = parse_challenges(response.headers["WWW-Authenticate"])
        assert found.parameters["error"] == "insufficient_scope"


@pytest.mark.parametrize("make", [sdk_app, fastmcp_app])
def test_the_middleware_in_front_completes_the_challenges(
    issuer: WorkloadIssuer, token: Tokens, make: Any
) -> None:
    with serving(make, issuer, front=True) as url:
        (missing, *_) = parse_challenges(post(url).headers["WWW-Authenticate"])
        assert missing.parameters == {"scope": SCOPE, "resource_metadata": metadata_url(url)}
        lacking = post(url, token(url, scope="other"))
        (found, *_) = parse_challenges(lacking.headers["WWW-Authenticate"])
        assert found.parameters["scope"] == SCOPE
        silent = requests.get(metadata_url(url), timeout=PATIENCE).json()["authorization_servers"][
            1
        ]
        unavailable = post(url, token(url, scope=SCOPE, iss=silent))
        assert unavailable.status_code == 503
        assert "Retry-After" in unavailable.headers


def test_a_result_has_what_the_token_says(issuer: WorkloadIssuer, token: Tokens) -> None:
    verifier = McpTokenVerifier(ProtectedResource(API, [AcceptedIssuer(issuer.url)]), AccessToken)
    made = token(client_id=None, org="acme")
    found = asyncio.run(verifier.verify_token(made))
    assert found is not None
    assert (found.token, found.client_id, found.subject) == (made, "ann", "ann")
    assert (found.scopes, found.resource) == (["read", "write"], API)
    assert found.claims is not None
    assert (found.claims["iss"], found.claims["org"]) == (issuer.url, "acme")
    assert found.expires_at == found.claims["exp"]
    for rejected in ("", "a b", token(cnf={"jkt": "x"}), token(audience="https://x.example")):
        assert asyncio.run(verifier.verify_token(rejected)) is None


def test_an_issuer_that_does_not_answer_is_no_invalid_token(token: Tokens) -> None:
    silent = f"http://127.0.0.1:{free_port()}"
    verifier = McpTokenVerifier(ProtectedResource(API, [AcceptedIssuer(silent)]), AccessToken)
    with pytest.raises(VerificationUnavailableError):
        asyncio.run(verifier.verify_token(token(iss=silent)))
