"""The endpoint with the metadata of the gateway as a protected resource (RFC 9728)."""

from __future__ import annotations

import json

from grantway_plugins.resource import ProtectedResource
from grantway_plugins.server._http.asgi import Receive, Scope, Send, send_response
from grantway_plugins.server._http.wire import WireResponse

#: Pages of any site may read it, because it is public and clients in browsers need it.
_ANY_SITE = (b"access-control-allow-origin", b"*")
_HEADERS = ((b"content-type", b"application/json"), (b"cache-control", b"max-age=300"), _ANY_SITE)
#: For requests with additional headers, such as those of MCP clients.
_PREFLIGHT = (
    _ANY_SITE,
    (b"access-control-allow-methods", b"GET"),
    (b"access-control-allow-headers", b"*"),
)


class ResourceMetadata:
    """An ASGI application that returns the metadata of a resource.

    Args:
        resource: The resource.
    """

    def __init__(self, resource: ProtectedResource) -> None:
        self._body = json.dumps(resource.metadata()).encode()

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Respond to one request."""
        if scope["method"] in {"GET", "HEAD"}:
            response = WireResponse(200, _HEADERS, self._body)
        elif scope["method"] == "OPTIONS":
            response = WireResponse(204, _PREFLIGHT, b"")
        else:
            members = {"error": "invalid_request", "error_description": "Use GET"}
            headers = ((b"content-type", b"application/json"), (b"allow", b"GET, HEAD, OPTIONS"))
            response = WireResponse(405, headers, json.dumps(members).encode())
        await send_response(send, response)
