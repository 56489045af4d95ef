"""Enterprise-managed authorization, judged by the MCP servers and clients of FastMCP and the SDK.

The identity provider is the embedded issuer.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
import requests
from fastmcp import FastMCP
from fastmcp.server.auth import IdentityAssertion, OAuthProxy
from fastmcp.server.auth.providers.jwt import StaticTokenVerifier
from mcp import Client
from mcp.client.auth.extensions.identity_assertion import IdentityAssertionOAuthProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.types import TextContent

import grantway
from grantway_plugins.auth import ResourceAuth
from grantway_plugins.grants import jwt_bearer, token_exchange
from grantway_plugins.grants.identity_assertion import IdentityAssertionLogin
from grantway_plugins.issuer import IssuerServer, IssuerSettings, TrustedIssuer
from grantway_plugins.issuer._decisions.operator_clients import add_client
from tests.enterprise import client_of, identity_provider, log_in, registered
from tests.faults import free_port
from tests.interop.mcp_python_clients import Account
from tests.interop.mcp_python_servers import SCOPE, add_fast_tools, sdk_server
from tests.plugins.gateway.servers import asgi_server
from tests.waiting import PATIENCE, until

pytestmark = pytest.mark.slow


async def whoami(url: str, auth: Any, *, times: int = 1) -> list[Any]:
    """Call the tool with the SDK's client, and return the results."""
    async with (
        httpx2.AsyncClient(auth=auth, timeout=PATIENCE) as http,
        Client(streamable_http_client(url, http_client=http)) as client,
    ):
        found = []
        for _ in range(times):
            [content] = (await client.call_tool("whoami", {})).content
            assert isinstance(content, TextContent)
            found.append(json.loads(content.text))
        return found


@dataclass(frozen=True)
class Agent:
    """A client of a server and of the user's identity provider."""

    url: str
    client_id: str
    login: IdentityAssertionLogin

    def auth(self, login: Any = None) -> ResourceAuth:
        return ResourceAuth(
            self.url, login=login or self.login, client_id=self.client_id, scope=SCOPE
        )


@contextmanager
def fastmcp_agent(folder: Path, seconds: int) -> Iterator[Agent]:
    """Run a server of FastMCP that is its own authorization server, and an identity provider."""
    company, at_company = registered(folder)
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    auth = OAuthProxy(
        upstream_authorization_endpoint="https://unused.example/authorize",
        upstream_token_endpoint="https://unused.example/token",
        upstream_client_id="unused",
        upstream_client_secret="unused-secret-unused-secret-unused",
        token_verifier=StaticTokenVerifier({}),
        base_url=base,
        valid_scopes=[SCOPE],
        identity_assertion=IdentityAssertion(
            trusted_issuers=[company],
            algorithm="ES256",
            required_scopes=[SCOPE],
            access_token_expiry_seconds=seconds,
        ),
    )
    server: FastMCP[Any] = FastMCP("fastmcp", auth=auth)
    add_fast_tools(server)
    with asgi_server(server.http_app(path="/mcp"), port, lifespan="on"):
        registration = {"redirect_uris": ["http://127.0.0.1/callback"]}
        there = requests.post(f"{base}/register", json=registration, timeout=PATIENCE).json()
        policy = {
            "audience": f"{base}/",  # FastMCP adds the slash
            "clients": {at_company["client_id"]: there["client_id"]},
            "scopes": (SCOPE,),
            "resources": (f"{base}/mcp",),
        }
        with (
            identity_provider(folder, company, policy) as provider,
            client_of(provider, at_company) as idp,
        ):
            login = IdentityAssertionLogin(idp, subject_token=log_in(idp).id_token or "")
            yield Agent(f"{base}/mcp", there["client_id"], login)


@pytest.mark.parametrize("is_async", [False, True])
def test_logs_in_to_a_server_of_fastmcp(tmp_path: Path, is_async: bool) -> None:
    with fastmcp_agent(tmp_path, 300) as agent:
        auth = agent.auth(agent.login.login_async if is_async else None)
        expected = {"client_id": agent.client_id, "scopes": [SCOPE]}
        assert asyncio.run(whoami(agent.url, auth, times=2)) == [expected, expected]
        before = auth.token()
        auth.log_out()
        assert asyncio.run(whoami(agent.url, auth)) == [expected]
        assert auth.token().access_token != before.access_token


def test_gets_the_next_token_when_one_expires(tmp_path: Path) -> None:
    with fastmcp_agent(tmp_path, 1) as agent:
        auth = agent.auth()
        before = auth.token()
        assert before.refresh_token is None
        until(before.expired)
        assert auth.token().access_token != before.access_token


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_the_client_of_the_sdk_uses_an_assertion(tmp_path: Path, method: Any) -> None:
    """It sends the assertion to the embedded issuer, and the token to a server of the SDK."""
    company, at_company = registered(tmp_path)
    settings = IssuerSettings(trusted_issuers=(TrustedIssuer(company, users=("**",)),))
    with IssuerServer(settings, database=tmp_path / "files.db") as files:
        metadata = {"grant_types": ["client_credentials"]}
        api = add_client(files.store, metadata, introspects=True)
        there = add_client(
            files.store,
            {
                "grant_types": [jwt_bearer.GRANT_TYPE],
                "scope": f"{SCOPE} other",
                "token_endpoint_auth_method": method,
            },
        )
        with sdk_server(files.url, (api["client_id"], api["client_secret"])) as server:
            policy = {
                "audience": files.url,
                "clients": {at_company["client_id"]: there["client_id"]},
                "scopes": (SCOPE,),
                "resources": (server.url,),
            }
            with (
                identity_provider(tmp_path, company, policy) as provider,
                client_of(provider, at_company) as idp,
            ):
                auth = _sdk_auth(server.url, files.url, there, idp, method)
                [found] = asyncio.run(whoami(server.url, auth))
                assert found == {"client_id": there["client_id"], "scopes": [SCOPE]}


def _sdk_auth(
    url: str, issuer: str, there: dict[str, Any], idp: grantway.Client, method: Any
) -> IdentityAssertionOAuthProvider:
    id_token = log_in(idp).id_token

    async def assertion(audience: str, resource: str) -> str:
        token = await asyncio.to_thread(
            idp.create_token,
            grant_type=token_exchange.GRANT_TYPE,
            subject_token=id_token,
            subject_token_type=token_exchange.ID_TOKEN,
            requested_token_type=token_exchange.ID_JAG,
            audience=audience,
            resource=resource,
        )
        return token.access_token

    return IdentityAssertionOAuthProvider(
        server_url=url,
        storage=Account(lambda target: target),
        client_id=there["client_id"],
        client_secret=there["client_secret"],
        issuer=issuer,
        assertion_provider=assertion,
        scope=SCOPE,
        token_endpoint_auth_method=method,
    )
