"""A small MCP server that accepts the access tokens of one issuer (RFC 9728)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import jwt
import requests
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.plugins.gateway.servers import asgi_server
from tests.waiting import PATIENCE

SCOPE = "mcp:tools"
_METADATA = "/.well-known/oauth-protected-resource"

#: Returns the claims of a token for a resource, or None if it is invalid.
Verify = Callable[[str, str], Mapping[str, Any] | None]


def by_signature(issuer: str) -> Verify:
    """Verify JWT access tokens with the issuer's published keys, as the documentation shows."""
    keys = jwt.PyJWKClient(f"{issuer}/jwks")

    def verify(token: str, resource: str) -> Mapping[str, Any] | None:
        try:
            found = jwt.decode_complete(
                token,
                keys.get_signing_key_from_jwt(token),
                algorithms=["ES256"],
                issuer=issuer,
                audience=resource,
                options={"require": ["exp", "iat", "sub", "client_id"]},
            )
        except jwt.PyJWTError:
            return None
        claims: dict[str, Any] = found["payload"]
        return claims if found["header"]["typ"] == "at+jwt" else None

    return verify


def by_introspection(issuer: str, credentials: tuple[str, str]) -> Verify:
    """Ask the issuer for the state of each token."""

    def verify(token: str, resource: str) -> Mapping[str, Any] | None:
        response = requests.post(
            f"{issuer}/introspect", auth=credentials, data={"token": token}, timeout=PATIENCE
        )
        response.raise_for_status()
        found: dict[str, Any] = response.json()
        return found if found["active"] and resource in found.get("aud", ()) else None

    return verify


@contextmanager
def mcp_server(issuer: str, verify: Verify) -> Iterator[str]:
    """Run the server, and yield the URL of its MCP endpoint, which is the resource.

    Its tool ``whoami`` returns the claims of the token.
    """

    async def metadata(request: Request) -> Response:
        return JSONResponse(
            {
                "resource": f"{request.base_url}mcp",
                "authorization_servers": [issuer],
                "scopes_supported": [SCOPE],
                "bearer_methods_supported": ["header"],
            }
        )

    async def endpoint(request: Request) -> Response:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        resource = f"{request.base_url}mcp"
        claims = None
        if scheme.lower() == "bearer":
            claims = await run_in_threadpool(verify, token, resource)
        if claims is None or SCOPE not in claims["scope"].split():
            where = f"{str(request.base_url).rstrip('/')}{_METADATA}/mcp"
            challenge = f'Bearer error="invalid_token", resource_metadata="{where}"'
            return Response(status_code=401, headers={"WWW-Authenticate": challenge})
        message = await request.json()
        if "id" not in message:
            return Response(status_code=202)
        result = _result(message["method"], message.get("params", {}), claims)
        return JSONResponse({"jsonrpc": "2.0", "id": message["id"], "result": result})

    routes = [
        Route(f"{_METADATA}/mcp", metadata),
        Route("/mcp", endpoint, methods=["POST"]),
    ]
    with asgi_server(Starlette(routes=routes)) as url:
        yield f"{url}/mcp"


def _result(method: str, params: Mapping[str, Any], claims: Mapping[str, Any]) -> dict[str, Any]:
    if method == "initialize":
        return {
            "protocolVersion": params["protocolVersion"],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "whoami", "version": "1.0"},
        }
    if method == "tools/list":
        tool = {"name": "whoami", "description": "Who are you?", "inputSchema": {"type": "object"}}
        return {"tools": [tool]}
    if method == "tools/call":
        return {"content": [{"type": "text", "text": json.dumps(dict(claims))}]}
    return {}  # ping
