"""Protect the views of Flask applications with access tokens."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

from flask import Blueprint, Flask, Response, current_app, g, request

from grantway._processes.copies import OneProcess
from grantway_plugins.server._http.wire import WireResponse

from ._caller import verified
from ._errors import AccessDeniedError, VerificationUnavailableError
from ._protected_resource import ProtectedResource
from ._requirement import Requirement
from ._responses import metadata_response, rejection
from ._server_requests import WsgiRequest

View = Callable[..., Any]


class FlaskResource(OneProcess):
    """A Flask extension that verifies the callers of views.

    The caller is in ``g.token``, a ``VerifiedToken``. The extension adds a route for the metadata
    of the resource (RFC 9728), and handlers for ``AccessDeniedError`` and
    ``VerificationUnavailableError``, which an application can replace.

    Args:
        resource: Verifies the callers.
        app: The application; None if ``init_app`` is called later.
    """

    def __init__(self, resource: ProtectedResource, app: Flask | None = None) -> None:
        self._resource = resource
        self._document = json.dumps(resource.metadata()).encode()
        self._endpoint = f"grantway_metadata{resource.metadata_path.replace('.', '_')}"
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Add the route for the metadata and the error handlers to an application."""
        app.add_url_rule(
            self._resource.metadata_path,
            self._endpoint,
            self._metadata,
            methods=["GET", "HEAD", "OPTIONS"],
            provide_automatic_options=False,
        )
        for error in (AccessDeniedError, VerificationUnavailableError):
            app.register_error_handler(error, _rejected)

    def require(
        self, *scopes: str, acr_values: Iterable[str] = (), max_age: int | None = None
    ) -> Callable[[View], View]:
        """Return a decorator that calls a view only for requests with a valid token.

        Put it below the decorator of the route. Views may be coroutine functions.

        Args:
            *scopes: Scopes that the token must have, all of them.
            acr_values: Accepted authentication context classes, the preferred first (RFC 9470).
            max_age: Maximum age of the user's login in whole seconds.

        Raises:
            ConfigurationError: An argument is invalid; the error names it.
        """
        requirement = Requirement(scopes, tuple(acr_values), max_age)

        def decorate(view: View) -> View:
            @wraps(view)
            def protected(*args: Any, **kwargs: Any) -> Any:
                self._verify(requirement)
                return current_app.ensure_sync(view)(*args, **kwargs)

            return protected

        return decorate

    def protect(
        self,
        target: Flask | Blueprint,
        *scopes: str,
        acr_values: Iterable[str] = (),
        max_age: int | None = None,
        public: Iterable[str] = (),
    ) -> None:
        """Require a valid token for all views of an application or a blueprint.

        Responses to OPTIONS that Flask creates itself need no token, because browsers send none in
        CORS preflight requests.

        Args:
            target: The application or the blueprint.
            *scopes: Scopes that the token must have, all of them.
            acr_values: Accepted authentication context classes, the preferred first (RFC 9470).
            max_age: Maximum age of the user's login in whole seconds.
            public: Endpoints for which no token is needed, such as ``static``.

        Raises:
            ConfigurationError: An argument is invalid; the error names it.
        """
        requirement = Requirement(scopes, tuple(acr_values), max_age)
        open_endpoints = frozenset(public) | {self._endpoint}

        def check() -> None:
            if request.endpoint in open_endpoints:
                return
            automatic = getattr(request.url_rule, "provide_automatic_options", False)
            if request.method != "OPTIONS" or not automatic:
                self._verify(requirement)

        target.before_request(check)

    def _verify(self, requirement: Requirement) -> None:
        g.token = verified(self._resource, WsgiRequest(request.environ), requirement)

    def _metadata(self) -> Response:
        return _response(metadata_response(self._document, request.method))


def _rejected(error: AccessDeniedError | VerificationUnavailableError) -> Response:
    return _response(rejection(error))


def _response(response: WireResponse) -> Response:
    headers = [(name.decode(), value.decode()) for name, value in response.headers]
    return Response(response.body, response.status, headers)
