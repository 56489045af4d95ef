"""A small MCP server that accepts the access tokens of one issuer (RFC 9728)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from typing import Any
from urllib.parse import urlsplit

import jwt
import requests
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from grantway_plugins.resource import (
    AcceptedIssuer,
    AccessDeniedError,
    ProtectedResource,
    ReceivedRequest,
    Requirement,
)
from tests.plugins.gateway.servers import asgi_server
from tests.waiting import PATIENCE

SCOPE = "mcp:tools"
_METADATA = "/.well-known/oauth-protected-resource"

#: Returns the claims of the value of ``Authorization`` for a resource, or raises AccessDeniedError.
Verify = Callable[[str, str], Mapping[str, Any]]


def by_signature(issuer: str) -> Verify:
    """Verify JWT access tokens with the issuer's published keys, as the documentation shows."""
    keys = jwt.PyJWKClient(f"{issuer}/jwks")

    def verify(authorization: str, resource: str) -> Mapping[str, Any]:
        token = authorization.removeprefix("Bearer ")
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
            raise _denied(resource) from None
        claims: dict[str, Any] = found["payload"]
        if found["header"]["typ"] != "at+jwt" or SCOPE not in claims["scope"].split():
            raise _denied(resource)
        return claims

    return verify


def by_introspection(issuer: str, credentials: tuple[str, str]) -> Verify:
    """Ask the issuer for the state of each token."""

    def verify(authorization: str, resource: str) -> Mapping[str, Any]:
        token = authorization.removeprefix("Bearer ")
        if not token:
            raise _denied(resource)
        response = requests.post(
            f"{issuer}/introspect", auth=credentials, data={"token": token}, timeout=PATIENCE
        )
        response.raise_for_status()
        found: dict[str, Any] = response.json()
        if not found["active"] or resource not in found.get("aud", ()):
            raise _denied(resource)
        if SCOPE not in found["scope"].split():
            raise _denied(resource)
        return found

    return verify


@contextmanager
def by_grantway(issuer: str) -> Iterator[Verify]:
    """Verify tokens with ``grantway_plugins.resource``, which also writes the challenges."""
    with ExitStack() as exits:
        opened: dict[str, ProtectedResource] = {}

        def verify(authorization: str, resource: str) -> Mapping[str, Any]:
            if resource not in opened:
                made = ProtectedResource(resource, [AcceptedIssuer(issuer)], scopes=[SCOPE])
                opened[resource] = exits.enter_context(closing(made))
            headers = [("Authorization", authorization)]
            asked = ReceivedRequest("POST", urlsplit(resource).path, headers)
            return opened[resource].verify(asked, Requirement(scopes=(SCOPE,))).claims

        yield verify


def _denied(resource: str) -> AccessDeniedError:
    parts = urlsplit(resource)
    where = f"{parts.scheme}://{parts.netloc}{_METADATA}{parts.path}"
    challenge = f'Bearer error="invalid_token", resource_metadata="{where}"'
    return AccessDeniedError(
        "The token is invalid", status=401, error="invalid_token", challenge=challenge
    )


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
        authorization = request.headers.get("authorization", "")
        try:
            claims = await run_in_threadpool(verify, authorization, f"{request.base_url}mcp")
        except AccessDeniedError as denied:
            headers = {"WWW-Authenticate": denied.challenge}
            return Response(status_code=denied.status, headers=headers)
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
