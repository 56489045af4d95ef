"""An MCP client that gets its tokens with grantway, for the conformance tests of clients.

The conformance tests start ``python -m tests.interop.mcp_client URL``, with the scenario in the
environment.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import requests
from joserfc.jwk import ECKey

import grantway
from grantway._requests.client_auth import ClientAuth, NoAuth
from grantway._wire.challenges import parse_challenges
from grantway_grants import authorization_code
from grantway_plugins.auth import StepUpChallenge, TokenAuth
from grantway_plugins.client_auth import DPoP, PrivateKeyJwt, SigningKey
from grantway_plugins.grants import client_credentials, jwt_bearer, token_exchange
from grantway_plugins.registration import registered_client
from tests.waiting import PATIENCE

REDIRECT = "http://127.0.0.1:3000/callback"
DOCUMENT = "https://conformance-test.local/client-metadata.json"
_STATELESS = "2026-07-28"

Token = grantway.Token


class Resource:
    """The metadata of a protected resource (RFC 9728), found through its challenge."""

    def __init__(self, url: str, challenge: requests.Response) -> None:
        shown: Mapping[str, str] = {}
        for each in parse_challenges(challenge.headers.get("www-authenticate", "")):
            shown = each.parameters
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc}"
        known = f"{origin}/.well-known/oauth-protected-resource"
        for address in (shown.get("resource_metadata"), f"{known}{parts.path}", known):
            found = requests.get(address, timeout=PATIENCE) if address else None
            if found is not None and found.ok:
                break
        else:
            raise SystemExit("the server has no metadata")
        metadata = found.json()
        self.url: str = metadata["resource"]
        if not f"{url}/".startswith(f"{self.url.rstrip('/')}/"):
            raise SystemExit(f"the metadata is for another resource, {self.url}")
        self.issuer: str = metadata["authorization_servers"][0]
        self.scope: list[str] = shown.get("scope", "").split() or metadata.get(
            "scopes_supported", []
        )


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
        self._scenario = scenario
        self._context = context
        self._version = version
        self._http = requests.Session()
        self._ids = iter(range(1, 1000))
        self._store = grantway.default_registry().store("memory")

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
        send: dict[str, Any] = {"json": message, "headers": headers, "timeout": PATIENCE}
        try:
            response = self._http.post(self._url, **send)
        except grantway.LoginNeededError:  # the server no longer accepts the token
            self._http.auth = None
            response = self._http.post(self._url, **send)
        if response.status_code == 401:
            self._log_in(Resource(self._url, response))
            response = self._http.post(self._url, **send)
        response.raise_for_status()
        session = response.headers.get("mcp-session-id")
        if session:
            self._http.headers["mcp-session-id"] = session

    def _log_in(self, resource: Resource) -> None:
        provider = grantway.Provider.discover(resource.issuer)
        client = self._client(provider)
        credential = client.credential(
            grant_type=authorization_code.GRANT_TYPE, subject="user", store=self._store
        )
        token = self._token(client, resource)
        credential.accept(token)

        def step_up(challenge: StepUpChallenge) -> Token:
            scope = dict.fromkeys([*(credential.token().scope or ()), *challenge.scope])
            again = self._browser_login(client, resource, list(scope))
            credential.accept(again)
            return again

        self._http.auth = TokenAuth(credential, origins=[self._url], on_step_up=step_up)

    def _client(self, provider: grantway.Provider) -> grantway.Client:
        """Return the client of the scenario, registered if necessary."""
        context = self._context
        if "valid_jwt" in context:
            return grantway.Client(provider, client_id=context["client_id"])
        if "private_key_pem" in context:
            key = SigningKey(context["private_key_pem"].encode(), alg=context["signing_algorithm"])
            auth: ClientAuth = PrivateKeyJwt(context["client_id"], key)
            return grantway.Client(provider, client_id=auth.client_id, auth=auth)
        if "client_secret" in context:
            return grantway.Client(
                provider, client_id=context["client_id"], client_secret=context["client_secret"]
            )
        if provider.metadata.get("client_id_metadata_document_supported"):
            return grantway.Client(provider, client_id=DOCUMENT)
        client = registered_client(
            provider, client_name="grantway", store=self._store, redirect_uri=REDIRECT
        )
        if self._scenario.startswith("auth/dpop"):
            auth = DPoP(NoAuth(client.client_id), ECKey.generate_key("P-256"))
            return grantway.Client(provider, client_id=client.client_id, auth=auth)
        return client

    def _token(self, client: grantway.Client, resource: Resource) -> Token:
        if self._scenario.startswith("auth/client-credentials"):
            return client.create_token(
                grant_type=client_credentials.GRANT_TYPE, resource=resource.url
            )
        if "valid_jwt" in self._context:
            return client.create_token(
                grant_type=jwt_bearer.GRANT_TYPE,
                assertion=self._context["valid_jwt"],
                resource=resource.url,
            )
        if "idp_id_token" in self._context:
            return client.create_token(
                grant_type=jwt_bearer.GRANT_TYPE, assertion=self._exchanged(resource)
            )
        return self._browser_login(client, resource, resource.scope)

    def _exchanged(self, resource: Resource) -> str:
        """Exchange an ID token of the user's company for an assertion for the resource."""
        context = self._context
        provider = grantway.Provider(token_endpoint=context["idp_token_endpoint"])
        with grantway.Client(provider, client_id=context["idp_client_id"]) as client:
            return client.create_token(
                grant_type=token_exchange.GRANT_TYPE,
                subject_token=context["idp_id_token"],
                subject_token_type=token_exchange.ID_TOKEN,
                requested_token_type="urn:ietf:params:oauth:token-type:id-jag",
                audience=resource.issuer,
                resource=resource.url,
            ).access_token

    def _browser_login(
        self, client: grantway.Client, resource: Resource, scope: list[str]
    ) -> Token:
        offered = client.provider.metadata.get("scopes_supported", ())
        if "offline_access" in offered and scope:
            scope = [*scope, "offline_access"]
        return authorization_code.login_by_paste(
            client, _visit, redirect_uri=REDIRECT, scope=scope or None, resource=resource.url
        )


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
