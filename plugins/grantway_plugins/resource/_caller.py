"""The verified caller of a request, which several parts of an application may check."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any, Protocol

from ._errors import InvalidRequestError
from ._protected_resource import ProtectedResource
from ._request import ResourceRequest
from ._requirement import Requirement
from ._token_cache import digest_of
from ._verified_token import VerifiedToken

#: Key of the verified caller, a ``VerifiedToken``, in the ASGI scope or the WSGI environ.
CALLER = "grantway.caller"
#: Key of the resource that verified it, and of the digest of the header. Tools for debugging show
#: the values of the environ.
_RESOURCE = "grantway.resource"


class ServerRequest(ResourceRequest, Protocol):
    """A request with the ASGI scope or the WSGI environ."""

    @property
    def context(self) -> MutableMapping[str, Any]:
        """The scope or the environ."""
        ...


def verified(
    resource: ProtectedResource, request: ServerRequest, requirement: Requirement
) -> VerifiedToken:
    """Return the caller of a request, and keep it in the scope or the environ.

    A caller that the same resource has verified is not verified again, because a DPoP proof is
    accepted once.

    Raises:
        AccessDeniedError: The request must be rejected with a challenge.
        VerificationUnavailableError: The token cannot be verified at the moment.
    """
    if (caller := _known(resource, request, requirement)) is None:
        caller = _keep(resource, request, resource.verify(request, requirement))
    return caller


async def verified_async(
    resource: ProtectedResource, request: ServerRequest, requirement: Requirement
) -> VerifiedToken:
    """Do the same as ``verified`` without blocking the event loop."""
    if (caller := _known(resource, request, requirement)) is None:
        caller = _keep(resource, request, await resource.verify_async(request, requirement))
    return caller


def _known(
    resource: ProtectedResource, request: ServerRequest, requirement: Requirement
) -> VerifiedToken | None:
    by, digest = request.context.get(_RESOURCE, (None, None))
    # An application may use a copy of the scope for a request with another token.
    if by is not resource or digest != _digest(request):
        return None
    caller: VerifiedToken = request.context[CALLER]
    resource.check(caller, requirement)
    return caller


def _keep(
    resource: ProtectedResource, request: ServerRequest, caller: VerifiedToken
) -> VerifiedToken:
    request.context[_RESOURCE] = resource, _digest(request)
    request.context[CALLER] = caller
    return caller


def _digest(request: ServerRequest) -> bytes | None:
    """Return the digest of the header, or None if it is invalid: ``verify`` then rejects it."""
    try:
        return digest_of(request.header("authorization"))
    except InvalidRequestError:
        return None
