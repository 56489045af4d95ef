"""The verified caller of a request, which several parts of an application may check."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any, Protocol

from grantway._processes.copies import OneProcess

from ._protected_resource import ProtectedResource
from ._request import ResourceRequest
from ._requirement import Requirement
from ._verified_token import VerifiedToken

#: Key of the verified caller, a ``VerifiedToken``, in the ASGI scope or the WSGI environ.
CALLER = "grantway.caller"
#: Key of the resource that verified it, and of the credentials.
_VERIFICATION = "grantway.verification"


class ServerRequest(ResourceRequest, Protocol):
    """A request with the ASGI scope or the WSGI environ."""

    @property
    def context(self) -> MutableMapping[str, Any]:
        """The scope or the environ."""
        ...

    @property
    def credentials(self) -> object:
        """The values of ``Authorization`` as the server gave them."""
        ...


class _Verification(OneProcess):
    """The resource that verified credentials. Its repr, which debug pages show, omits them."""

    stays = "it belongs to one request"

    __slots__ = ("credentials", "resource")

    def __init__(self, resource: ProtectedResource, credentials: object) -> None:
        self.resource, self.credentials = resource, credentials


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
    found: _Verification | None = request.context.get(_VERIFICATION)
    # An application may use a copy of the scope for a request with another token.
    if found is None or found.resource is not resource or found.credentials != request.credentials:
        return None
    caller: VerifiedToken = request.context[CALLER]
    resource.check(caller, requirement)
    return caller


def _keep(
    resource: ProtectedResource, request: ServerRequest, caller: VerifiedToken
) -> VerifiedToken:
    request.context[_VERIFICATION] = _Verification(resource, request.credentials)
    request.context[CALLER] = caller
    return caller
