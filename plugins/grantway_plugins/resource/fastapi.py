"""Protect the routes of FastAPI applications with access tokens."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from fastapi import APIRouter, HTTPException
from fastapi.openapi.models import HTTPBearer
from fastapi.requests import HTTPConnection
from fastapi.security import SecurityScopes
from fastapi.security.base import SecurityBase
from starlette.routing import Route

from grantway._processes.copies import OneProcess

from ._caller import verified_async
from ._errors import AccessDeniedError, VerificationUnavailableError
from ._protected_resource import ProtectedResource
from ._requirement import Requirement
from ._responses import rejection
from ._server_requests import AsgiRequest
from ._verified_token import VerifiedToken
from .asgi import ResourceMetadata

_KNOWN = 1024


class ResourceToken(OneProcess, SecurityBase):
    """A dependency that returns the caller of a request, a ``VerifiedToken``.

    Use it with ``Depends``, or with ``Security`` to require scopes. The OpenAPI schema describes it
    as an HTTP bearer scheme. A request that is not accepted raises ``HTTPException`` with the
    challenge in its headers.

    Args:
        resource: Verifies the callers.
        acr_values: Accepted authentication context classes, the preferred first (RFC 9470).
        max_age: Maximum age of the user's login in whole seconds.
        scheme_name: Name of the security scheme in the OpenAPI schema.
        description: Description of the security scheme.

    Raises:
        ConfigurationError: An argument is invalid; the error names it.
    """

    def __init__(
        self,
        resource: ProtectedResource,
        *,
        acr_values: Iterable[str] = (),
        max_age: int | None = None,
        scheme_name: str = "AccessToken",
        description: str | None = None,
    ) -> None:
        self.scheme_name = scheme_name
        self.model = HTTPBearer(description=description)
        self._resource = resource
        login = Requirement(acr_values=tuple(acr_values), max_age=max_age)

        @lru_cache(_KNOWN)
        def requirement(scopes: tuple[str, ...]) -> Requirement:
            return Requirement(scopes, login.acr_values, login.max_age)

        self._requirement = requirement

    async def __call__(
        self, connection: HTTPConnection, security_scopes: SecurityScopes
    ) -> VerifiedToken:
        """Return the caller of a request.

        Raises:
            HTTPException: The request must be rejected.
        """
        requirement = self._requirement(tuple(security_scopes.scopes))
        request = AsgiRequest(connection.scope)
        try:
            return await verified_async(self._resource, request, requirement)
        except (AccessDeniedError, VerificationUnavailableError) as error:
            response = rejection(error)
            description = error.message if isinstance(error, AccessDeniedError) else None
        headers = {name.decode(): value.decode() for name, value in response.headers}
        headers.pop("content-type")
        raise HTTPException(response.status, description, headers)


def metadata_router(resource: ProtectedResource) -> APIRouter:
    """Return a router with the metadata of a resource (RFC 9728), for ``app.include_router``."""
    return APIRouter(routes=[Route(resource.metadata_path, ResourceMetadata(resource))])
