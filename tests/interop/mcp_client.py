"""An MCP client that gets its tokens with grantway, for the conformance tests of clients.

The conformance tests start ``python -m tests.interop.mcp_client URL``, with the scenario in the
environment.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from functools import partial
from typing import Any

import requests
from joserfc.jwk import ECKey

import grantway
from grantway_grants import authorization_code
from grantway_plugins.auth import ResourceAuth
from grantway_plugins.client_auth import PrivateKeyJwt, SigningKey
from grantway_plugins.grants import client_credentials, jwt_bearer
from grantway_plugins.grants.identity_assertion import IdentityAssertionLogin
from tests.waiting import PATIENCE

REDIRECT = "http://127.0.0.1:3000/callback"
DOCUMENT = "https://conformance-test.local/client-metadata.json"
_STATELESS = "2026-07-28"


class McpClient:
    """Sends requests to an MCP server, and logs in if it demands a token.

    Args:
        url: URL of the server.
        scenario: The scenario.
        context: Parameters of the scenario.
        version: Version of the protocol.
    """

    def __init__(self, url: str, scenario: str, context: Mapping[str, Any], version: str) -> None:
        self._url = url
        self._version = version
        self._ids = iter(range(1, 1000))
        self._http = requests.Session()
        self._http.auth = authentication(url, scenario, context)

    def run(self) -> None:
        """List the tools of the server and call one."""
        if self._version < _STATELESS:
            self._call(
                "initialize",
                protocolVersion=self._version,
                capabilities={},
                clientInfo={"name": "grantway", "version": "1.0"},
            )
            self._call("notifications/initialized")
        self._call("tools/list")
        self._call("tools/call", name="test-tool", arguments={})

    def _call(self, method: str, **params: Any) -> None:
        message: dict[str, Any] = {"jsonrpc": "2.0", "method": method, "params": params}
        if not method.startswith("notifications/"):
            message["id"] = next(self._ids)
        headers = {
            "Accept": "application/json, text/event-stream",
            "MCP-Protocol-Version": self._version,
        }
        if self._version >= _STATELESS:
            headers |= {"Mcp-Method": method, "Mcp-Name": params.get("name", "")}
            params["_meta"] = {
                "io.modelcontextprotocol/protocolVersion": self._version,
                "io.modelcontextprotocol/clientInfo": {"name": "grantway", "version": "1.0"},
                "io.modelcontextprotocol/clientCapabilities": {},
            }
        response = self._http.post(self._url, json=message, headers=headers, timeout=PATIENCE)
        response.raise_for_status()
        session = response.headers.get("mcp-session-id")
        if session:
            self._http.headers["mcp-session-id"] = session


def authentication(url: str, scenario: str, context: Mapping[str, Any]) -> ResourceAuth:
    """Return the authentication of a scenario: its client and its login."""
    options: dict[str, Any] = {"client_name": "grantway", "client_metadata_url": DOCUMENT}
    login: Any = log_in_with_browser
    if "valid_jwt" in context:
        options = {"client_id": context["client_id"]}
        login = partial(exchange_assertion, context["valid_jwt"])
    elif "private_key_pem" in context:
        key = SigningKey(context["private_key_pem"].encode(), alg=context["signing_algorithm"])
        options = {"auth": PrivateKeyJwt(context["client_id"], key)}
    elif "client_secret" in context:
        options = {name: context[name] for name in ("client_id", "client_secret")}
    elif scenario.startswith("auth/dpop"):
        options["dpop_key"] = ECKey.generate_key("P-256")
    if "auth" in options or "client_secret" in options:
        options["issuer"] = grantway.Provider.for_resource(url).issuer
    if scenario.startswith("auth/client-credentials"):
        login = client_credentials.login
    if "idp_id_token" in context:
        login = log_in_at_company(context)
    return ResourceAuth(url, login=login, redirect_uri=REDIRECT, **options)


def log_in_with_browser(client: grantway.Client, **options: Any) -> grantway.Token:
    return authorization_code.login_by_paste(client, _visit, redirect_uri=REDIRECT, **options)


def exchange_assertion(
    assertion: str, client: grantway.Client, *, scope: Any, resource: str
) -> grantway.Token:
    return client.create_token(
        grant_type=jwt_bearer.GRANT_TYPE, assertion=assertion, resource=resource
    )


def log_in_at_company(context: Mapping[str, Any]) -> IdentityAssertionLogin:
    """Return the login of a user who has logged in at their company."""
    provider = grantway.Provider(token_endpoint=context["idp_token_endpoint"])
    company = grantway.Client(provider, client_id=context["idp_client_id"])
    return IdentityAssertionLogin(company, subject_token=context["idp_id_token"])


def _visit(url: str) -> str:
    response = requests.get(url, allow_redirects=False, timeout=PATIENCE)
    return response.headers["location"]


if __name__ == "__main__":
    McpClient(
        sys.argv[-1],
        os.environ["MCP_CONFORMANCE_SCENARIO"],
        json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT", "{}")),
        os.environ.get("MCP_CONFORMANCE_PROTOCOL_VERSION", "2025-11-25"),
    ).run()
