"""A server with two protected resources and their metadata (RFC 9728)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from grantway_plugins.gateway.upstream import RequestContext
from grantway_plugins.resource import (
    AcceptedIssuer,
    AccessDeniedError,
    ProtectedResource,
    Requirement,
)
from tests.plugins.gateway.servers import asgi_server

KNOWN = "/.well-known/oauth-protected-resource"
#: Scope of a request, by its HTTP method.
SCOPES = {"GET": "read", "POST": "write"}


class ResourceServer:
    """Serves ``/mcp`` and ``/other/mcp``. POST needs more scope than GET.

    Args:
        issuer: The issuer whose tokens the resources accept, JWTs.

    Attributes:
        url: URL of the server.
        metadata: Members of the metadata, in addition to ``resource``.
    """

    def __init__(self, issuer: str) -> None:
        self.url = ""
        self.metadata: dict[str, Any] = {
            "authorization_servers": [issuer],
            "scopes_supported": ["read"],
        }
        self._issuer = issuer

    @property
    def resource(self) -> str:
        """URL of the first resource."""
        return f"{self.url}/mcp"

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run the server."""
        routes = [
            Route(f"{KNOWN}/{{path:path}}", self._metadata),
            Route("/{path:path}", self._respond, methods=["GET", "POST"]),
        ]
        with asgi_server(Starlette(routes=routes)) as self.url:
            yield

    async def _metadata(self, request: Request) -> Response:
        if not request.url.path.endswith("/mcp"):
            return Response(status_code=404)
        resource = f"{self.url}/{request.path_params['path']}"
        return JSONResponse({"resource": resource, **self.metadata})

    async def _respond(self, request: Request) -> Response:
        path = request.url.path
        if not path.endswith("/mcp"):
            return Response(status_code=404)
        try:
            claims = await run_in_threadpool(self._verify, request)
        except AccessDeniedError as denied:
            headers = {"WWW-Authenticate": denied.challenge}
            return Response(status_code=denied.status, headers=headers)
        return JSONResponse(claims)

    def _verify(self, request: Request) -> dict[str, Any]:
        url = f"{self.url}{request.url.path}"
        headers = [("Authorization", request.headers.get("authorization", ""))]
        asked = RequestContext.of(
            request.url.netloc, request.url.path, headers, method=request.method
        )
        with closing(ProtectedResource(url, [AcceptedIssuer(self._issuer)])) as resource:
            needed = Requirement(scopes=(SCOPES[request.method],))
            return dict(resource.verify(asked, needed).claims)
