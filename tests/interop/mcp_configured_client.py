"""An MCP client of the superseded protocol 2025-03-26, for the conformance tests of clients.

Servers of that protocol have no resource metadata (RFC 9728). grantway does not guess where their
tokens come from, so this client configures it: the issuer, or its endpoints if it has no metadata.
"""

from __future__ import annotations

import os
import sys
from urllib.parse import urljoin

import requests

import grantway
from grantway_grants import authorization_code
from grantway_plugins.auth import TokenAuth
from grantway_plugins.registration import registered_client
from tests.waiting import PATIENCE

_REDIRECT = "http://127.0.0.1:3000/callback"


def _provider(server: str) -> grantway.Provider:
    if os.environ["MCP_CONFORMANCE_SCENARIO"].endswith("metadata-backcompat"):
        return grantway.Provider.discover(urljoin(server, "/").rstrip("/"))
    return grantway.Provider(
        token_endpoint=urljoin(server, "/token"),
        authorization_endpoint=urljoin(server, "/authorize"),
        registration_endpoint=urljoin(server, "/register"),
    )


def _visit(url: str) -> str:
    return requests.get(url, allow_redirects=False, timeout=PATIENCE).headers["location"]


def _run(server: str) -> None:
    store = grantway.default_registry().store("memory")
    client = registered_client(
        _provider(server), client_name="grantway", store=store, redirect_uri=_REDIRECT
    )
    credential = client.credential(
        grant_type=authorization_code.GRANT_TYPE, subject="user", store=store
    )
    credential.accept(authorization_code.login_by_paste(client, _visit, redirect_uri=_REDIRECT))
    auth = TokenAuth(credential, origins=[server])
    params = {
        "protocolVersion": os.environ["MCP_CONFORMANCE_PROTOCOL_VERSION"],
        "capabilities": {},
        "clientInfo": {"name": "grantway", "version": "1.0"},
    }
    response = requests.post(
        server,
        json={"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params},
        headers={"Accept": "application/json, text/event-stream"},
        auth=auth,
        timeout=PATIENCE,
    )
    response.raise_for_status()


if __name__ == "__main__":
    _run(sys.argv[-1])
