"""Protect ASGI applications, such as those of Starlette, with access tokens."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from grantway._exceptions import ConfigurationError
from grantway._processes.copies import OneProcess
from grantway._types.callables import kind_of
from grantway_plugins.server._http.asgi import (
    Receive,
    Scope,
    Send,
    send_denial,
    send_response,
)

from ._caller import verified_async
from ._errors import AccessDeniedError, VerificationUnavailableError
from ._protected_resource import ProtectedResource
from ._public_paths import PublicPaths
from ._requirement import Requirement
from ._responses import metadata_response, rejection
from ._server_requests import AsgiRequest, below

App = Callable[[Scope, Receive, Send], Awaitable[None]]


class ResourceMetadata(OneProcess):
    """An ASGI application that returns the metadata of a resource (RFC 9728 section 3).

    Mount it at ``resource.metadata_path``. ``ResourceMiddleware`` includes it.

    Args:
        resource: The resource.
    """

    def __init__(self, resource: ProtectedResource) -> None:
        self._document = json.dumps(resource.metadata()).encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond to one request."""
        await send_response(send, metadata_response(self._document, scope["method"]))


class ResourceMiddleware(OneProcess):
    """ASGI middleware that passes on only requests with a valid access token.

    It verifies HTTP requests and WebSocket handshakes, and returns the metadata of the resource at
    its well-known path. The caller is in ``scope["state"]["token"]``, which Starlette calls
    ``request.state.token``. Bodies are not read.

    A second middleware for a part of the application, such as one of a route, may require more.
    It uses the result of the first.

    Put middleware for CORS in front, because preflight requests have no token.

    Args:
        app: The application.
        resource: Verifies the callers.
        requirement: What all requests need in addition to a valid token, or a function that returns
            it for the scope of a request.
        public: Paths for which no token is needed, such as ``/health``. One that ends with ``/*``
            includes all paths below it. A mounted application compares the rest of the path.

    Raises:
        ConfigurationError: The requirement or a public path is invalid.
    """

    def __init__(
        self,
        app: App,
        resource: ProtectedResource,
        *,
        requirement: Requirement | Callable[[Scope], Requirement] | None = None,
        public: Iterable[str] = (),
    ) -> None:
        self._app, self._resource = app, resource
        given: Any = requirement
        if given is not None and not isinstance(given, Requirement) and not callable(given):
            rule = f"must be a Requirement, or a function that returns one, not {kind_of(given)}"
            raise ConfigurationError(f"requirement: {rule}.", errors={"requirement": [rule]})
        fixed = Requirement() if requirement is None else requirement
        self._required = (lambda _scope: fixed) if isinstance(fixed, Requirement) else fixed
        self._public = PublicPaths(public)
        self._metadata, self._metadata_path = ResourceMetadata(resource), resource.metadata_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Verify the caller of one request, and call the application."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        path = local = scope["path"]
        if (root := scope.get("root_path", "").rstrip("/")) and below(path, root):
            local = path[len(root) :] or "/"
        if self._metadata_path in (path, local) and scope["type"] == "http":
            await self._metadata(scope, receive, send)
            return
        if not self._public.include(local):
            request, requirement = AsgiRequest(scope), self._required(scope)
            try:
                token = await verified_async(self._resource, request, requirement)
            except (AccessDeniedError, VerificationUnavailableError) as error:
                await send_denial(scope, send, rejection(error))
                return
            scope.setdefault("state", {})["token"] = token
        await self._app(scope, receive, send)
