"""The user of a request to the pages or the API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.requests import Request

from grantway_plugins.gateway._connections.user import User
from grantway_plugins.gateway.upstream._asgi_middleware import request_context
from grantway_plugins.gateway.upstream._rejection import RequestRejectedError, rejection_of
from grantway_plugins.resource import AccessDeniedError

if TYPE_CHECKING:
    from grantway_plugins.resource import ProtectedResource

#: Claims with the name of a user, best first.
_NAMES = ("name", "preferred_username", "email")
_SHOWN = 200


@dataclass(frozen=True, slots=True)
class ApiCallers:
    """Identifies the users of the JSON API by their verified tokens.

    Attributes:
        inbound: Verifies tokens.
    """

    inbound: ProtectedResource

    async def user(self, request: Request) -> User:
        """Return the user of a request's access token.

        Raises:
            RequestRejectedError: The request has no token, or one that is not accepted.
            VerificationUnavailableError: The token cannot be verified at the moment.
        """
        context = request_context(request.scope)
        try:
            caller = await self.inbound.verify_async(context)
        except AccessDeniedError as error:
            rejection = rejection_of(error)
        else:
            # Browsers send client certificates unasked, so a page could act with another user's.
            if not context.header("authorization"):
                message = "An access token is needed in the Authorization header"
                raise RequestRejectedError(message, status=401, challenge="Bearer")
            if caller.subject:
                return User(caller.issuer, caller.subject, name_in(caller.claims))
            rejection = RequestRejectedError("The access token names no user", status=403)
        raise rejection


def name_in(claims: Mapping[str, Any]) -> str:
    """Return the name of a user for pages; empty if the claims have none."""
    named = [claims[name] for name in _NAMES if isinstance(claims.get(name), str)]
    return "".join(each for each in named[0] if each.isprintable())[:_SHOWN] if named else ""
