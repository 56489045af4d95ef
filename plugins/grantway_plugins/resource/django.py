"""Protect the views of Django projects with access tokens.

The setting ``GRANTWAY_RESOURCE`` is a ``ProtectedResource`` or the dotted path of one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any, cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import CsrfViewMiddleware
from django.urls import URLPattern, path
from django.utils.module_loading import import_string
from django.views.decorators.csrf import csrf_exempt

from grantway._processes.copies import OneProcess
from grantway_plugins.server._http.wire import WireResponse

from ._caller import verified, verified_async
from ._errors import AccessDeniedError, VerificationUnavailableError
from ._protected_resource import ProtectedResource
from ._requirement import Requirement
from ._responses import metadata_response, rejection
from ._server_requests import AsgiRequest, WsgiRequest

View = Callable[..., Any]

_SETTING = "GRANTWAY_RESOURCE"
_REJECTED = (AccessDeniedError, VerificationUnavailableError)
_NOTHING = Requirement()


class ResourceMiddleware(OneProcess):
    """Middleware that calls only views of requests with a valid access token.

    The caller is in ``request.token``, a ``VerifiedToken``. Views with ``@token_not_required`` need
    none. Requests with a token are exempt from CSRF checks, if this middleware is in front of
    ``CsrfViewMiddleware``: browsers do not add tokens by themselves.

    Args:
        get_response: The next middleware or the view.

    Raises:
        ImproperlyConfigured: The setting ``GRANTWAY_RESOURCE`` is missing or invalid.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self._get_response = get_response
        self._resource = _configured()
        self.process_view = self._process_view
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)
            self.process_view = self._process_view_async

    def __call__(self, request: HttpRequest) -> Any:
        """Return the response, or a coroutine that returns it."""
        return self._get_response(request)

    def _process_view(
        self, request: HttpRequest, view: View, _args: Any, _kwargs: Any
    ) -> HttpResponse | None:
        if not getattr(view, "grantway_token_required", True):
            return None
        try:
            caller = verified(self._resource, _received(request), _NOTHING)
        except _REJECTED as error:
            return _response(request, rejection(error))
        _accept(request, caller)
        return None

    async def _process_view_async(
        self, request: HttpRequest, view: View, _args: Any, _kwargs: Any
    ) -> HttpResponse | None:
        if not getattr(view, "grantway_token_required", True):
            return None
        try:
            caller = await verified_async(self._resource, _received(request), _NOTHING)
        except _REJECTED as error:
            return _response(request, rejection(error))
        _accept(request, caller)
        return None


def token_required(
    *scopes: str,
    acr_values: Iterable[str] = (),
    max_age: int | None = None,
    resource: ProtectedResource | None = None,
) -> Callable[[View], View]:
    """Return a decorator that calls a view only for requests with a valid access token.

    The view may be a coroutine function. It gets the caller in ``request.token``. Requests with a
    token are exempt from CSRF checks.

    Args:
        *scopes: Scopes that the token must have, all of them.
        acr_values: Accepted authentication context classes, the preferred first (RFC 9470).
        max_age: Maximum age of the user's login in whole seconds.
        resource: Verifies the callers; by default the setting ``GRANTWAY_RESOURCE``.

    Raises:
        ConfigurationError: An argument is invalid; the error names it.
    """
    requirement = Requirement(scopes, tuple(acr_values), max_age)

    def decorate(view: View) -> View:
        @wraps(view)
        def protected(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            try:
                caller = verified(resource or _configured(), _received(request), requirement)
            except _REJECTED as error:
                return _response(request, rejection(error))
            _accept(request, caller)
            return _forgery(request, view) or view(request, *args, **kwargs)

        @wraps(view)
        async def protected_async(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            try:
                used = resource or _configured()
                caller = await verified_async(used, _received(request), requirement)
            except _REJECTED as error:
                return _response(request, rejection(error))
            _accept(request, caller)
            return _forgery(request, view) or await view(request, *args, **kwargs)

        chosen: View = protected_async if _is_async(view) else protected
        chosen.csrf_exempt = True  # type: ignore[attr-defined]
        return chosen

    return decorate


def token_not_required(view: View) -> View:
    """Return a view that is exempt from ``ResourceMiddleware``; the given one is not changed."""

    @wraps(view)
    def exempt(*args: Any, **kwargs: Any) -> Any:
        return view(*args, **kwargs)

    if iscoroutinefunction(view):
        markcoroutinefunction(exempt)
    exempt.grantway_token_required = False  # type: ignore[attr-defined]
    return exempt


def metadata_url(resource: ProtectedResource | None = None) -> URLPattern:
    """Return the URL pattern of the metadata of a resource (RFC 9728), for ``urlpatterns``.

    Args:
        resource: The resource; by default the setting ``GRANTWAY_RESOURCE``.
    """
    described = resource or _configured()
    document = json.dumps(described.metadata()).encode()

    def metadata(request: HttpRequest) -> HttpResponse:
        return _response(request, metadata_response(document, request.method or ""))

    view = csrf_exempt(token_not_required(metadata))
    return cast("URLPattern", path(described.metadata_path.lstrip("/"), view))


def _is_async(view: View) -> bool:
    """Return whether a view is a coroutine function, or the ``dispatch`` of a class of them."""
    owner = getattr(getattr(view, "func", None), "__self__", None)  # given by method_decorator
    return iscoroutinefunction(view) or getattr(owner, "view_is_async", False)


def _configured() -> ProtectedResource:
    """Return the resource of the project's settings."""
    resource = getattr(settings, _SETTING, None)
    if isinstance(resource, str):
        resource = import_string(resource)
    if not isinstance(resource, ProtectedResource):
        raise ImproperlyConfigured(
            f"{_SETTING} must be a ProtectedResource or the dotted path of one."
        )
    return resource


def _received(request: HttpRequest) -> AsgiRequest | WsgiRequest:
    scope = getattr(request, "scope", None)
    return WsgiRequest(request.META) if scope is None else AsgiRequest(scope)


def _accept(request: Any, caller: object) -> None:
    """Keep the caller of a request, which needs no CSRF check if it has a token."""
    request.token = caller
    if _has_token(request):
        request._dont_enforce_csrf_checks = True  # noqa: SLF001 - Django has no other way


def _has_token(request: HttpRequest) -> bool:
    """Return whether a verified request has a token instead of a certificate."""
    authorization = request.META.get("HTTP_AUTHORIZATION", "").lower()
    return bool(authorization.startswith(("bearer ", "dpop ")))


def _forgery(request: HttpRequest, view: View) -> Any:
    """Return the response to a forged request, or None.

    Browsers send client certificates by themselves, so a request without a token gets the CSRF
    check from which its view is exempt.
    """
    if _has_token(request):
        return None
    check = CsrfViewMiddleware(lambda _request: HttpResponse())
    check.process_request(request)
    return check.process_view(request, view, (), {})


def _response(request: HttpRequest, response: WireResponse) -> HttpResponse:
    body = b"" if request.method == "HEAD" else response.body  # not every server removes it
    made = HttpResponse(body, status=response.status)
    del made["Content-Type"]
    for name, value in response.headers:
        made[name.decode()] = value.decode()
    if response.body:
        made["Content-Length"] = str(len(response.body))
    return made
