"""The token endpoint as an ASGI application, for Starlette, FastAPI or a separate server."""

from __future__ import annotations

from grantway._processes.copies import OneProcess
from grantway_plugins.server._http.asgi import (
    Receive,
    Scope,
    Send,
    peer_of,
    read_body,
    send_response,
)
from grantway_plugins.server._http.incoming_request import IncomingRequest

from .token_endpoint import TokenEndpoint


class AsgiTokenEndpoint(OneProcess):
    """A token endpoint as an ASGI application, at the path where it is mounted.

    Args:
        endpoint: The token endpoint.
    """

    def __init__(self, endpoint: TokenEndpoint) -> None:
        self._endpoint = endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond to one request."""
        if scope["type"] != "http":
            return
        headers = [(name.lower(), value.decode("latin-1")) for name, value in scope["headers"]]
        opened = self._endpoint.open(scope["method"], headers, peer_of(scope))
        if isinstance(opened, IncomingRequest):
            body = await read_body(dict(headers), receive, seconds=self._endpoint.body_seconds)
            opened = await self._endpoint.acomplete(opened, body)
        await send_response(send, opened)
