"""Verify the access tokens of MCP servers that use the MCP Python SDK or FastMCP.

Neither is imported: ``McpTokenVerifier`` has the methods that the SDK's protocol ``TokenVerifier``
declares.
"""

from __future__ import annotations

import math
from typing import Any, Generic, Protocol, TypeVar

from grantway._processes.copies import OneProcess

from ._errors import AccessDeniedError
from ._protected_resource import ProtectedResource
from ._request import ReceivedRequest

Result_co = TypeVar("Result_co", covariant=True)


class AccessTokenType(Protocol[Result_co]):
    """The class ``AccessToken`` of the SDK or of FastMCP."""

    def __call__(
        self,
        *,
        token: str,
        client_id: str,
        scopes: list[str],
        expires_at: int | None,
        resource: str | None,
        subject: str | None,
        claims: dict[str, Any],
    ) -> Result_co:
        """Return an access token with these attributes."""
        ...


class McpTokenVerifier(OneProcess, Generic[Result_co]):
    """Verifies bearer tokens for the MCP Python SDK and FastMCP.

    Tokens that are bound to a key are rejected, because the SDK passes on no proof. To accept them,
    use ``ResourceMiddleware`` instead, around an application of the SDK without a verifier.

    Args:
        resource: Verifies the tokens. They must name it as audience, unless ``AcceptedIssuer``
            lists other audiences. Create it with ``dpop=False`` if it writes challenges or
            metadata, so that clients do not bind their tokens.
        result: The class of the result: ``AccessToken`` of ``mcp.server.auth.provider`` or of
            ``fastmcp.server.auth``.
    """

    def __init__(self, resource: ProtectedResource, result: AccessTokenType[Result_co]) -> None:
        self._resource, self._result = resource, result

    async def verify_token(self, token: str) -> Result_co | None:
        """Return the token if it is valid, otherwise None.

        Args:
            token: The access token.

        Raises:
            VerificationUnavailableError: The token cannot be verified at the moment.
        """
        request = ReceivedRequest("POST", "/", [("authorization", f"Bearer {token}")])
        try:
            caller = await self._resource.verify_async(request)
        except AccessDeniedError:
            return None
        return self._result(
            token=token,
            client_id=caller.client_id or caller.subject or "",
            scopes=sorted(caller.scope),
            expires_at=None if math.isinf(caller.expires_at) else int(caller.expires_at),
            resource=self._resource.resource,
            subject=caller.subject,
            claims={**caller.claims, "iss": caller.issuer},
        )
