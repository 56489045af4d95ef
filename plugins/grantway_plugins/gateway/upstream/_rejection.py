"""Rejected requests, and the responses to their callers."""

from __future__ import annotations

import json

from grantway._exceptions import Evidence, LoginNeededError, RequestInvalidError
from grantway_plugins.resource import AccessDeniedError
from grantway_plugins.resource._responses import denied_response, unavailable_response
from grantway_plugins.server._http.wire import WireResponse

_ERRORS = {
    400: "invalid_request",
    401: "invalid_token",
    403: "access_denied",
    501: "invalid_request",
}


class RequestRejectedError(RequestInvalidError):
    """The gateway does not forward an invalid request.

    Attributes:
        status: Status of the response: 400, 401, 403 or 501.
        challenge: ``WWW-Authenticate`` header of the response; empty for none.
        error: Error code in the response; by default that of the status.
        nonce: ``DPoP-Nonce`` header of the response; empty for none.
    """

    code = "request_rejected"

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        challenge: str = "",
        error: str = "",
        nonce: str = "",
        evidence: Evidence | None = None,
    ) -> None:
        super().__init__(message, evidence=evidence)
        self.status = status
        self.challenge = challenge
        self.error = error or _ERRORS.get(status, "invalid_request")
        self.nonce = nonce


def rejection_of(error: AccessDeniedError) -> RequestRejectedError:
    """Return the error of a gateway for a caller that its resource rejects."""
    return RequestRejectedError(
        error.message,
        status=error.status,
        challenge=error.challenge,
        error=error.error,
        nonce=error.nonce,
    )


class ConnectionNeededError(LoginNeededError):
    """The user of a request has to connect an account at a provider.

    Args:
        provider: Name of the provider in the gateway's file.
        title: Name of the provider for people.
        connect_url: Page on which the user can connect an account.
        broken: Whether the user was connected, and the provider rejects the token now.

    Attributes:
        error: Error code in the response: ``connection_required`` or ``connection_broken``.
        provider: Name of the provider in the gateway's file.
        connect_url: Page on which the user can connect an account.
    """

    code = "connection_needed"

    def __init__(self, provider: str, title: str, connect_url: str, *, broken: bool) -> None:
        super().__init__(
            f"The connection to {title} does not work any more: connect the account again at "
            f"{connect_url}"
            if broken
            else f"No account at {title} is connected: connect one at {connect_url}"
        )
        self.error = "connection_broken" if broken else "connection_required"
        self.provider = provider
        self.connect_url = connect_url

    def response(self) -> WireResponse:
        """Return the response to the request."""
        content = {
            "error": self.error,
            "error_description": self.message,
            "provider": self.provider,
            "connect_url": self.connect_url,
        }
        headers = (
            (b"content-type", b"application/json"),
            (b"cache-control", b"no-store"),
            # For proxies that do not return the body of an authorization response, such as nginx.
            (b"connect-url", self.connect_url.encode("ascii")),
        )
        return WireResponse(403, headers, json.dumps(content).encode())


def response_for(error: Exception) -> WireResponse:
    """Return the response to a request that was not forwarded.

    It does not say why there is no token.

    Args:
        error: The error that ``UpstreamAuth.prepare`` raised.

    Returns:
        400, 401, 403 or 501 for an invalid request; otherwise 503, with ``Retry-After`` if the
        provider sent a retry delay.
    """
    if isinstance(error, ConnectionNeededError):
        return error.response()
    if isinstance(error, RequestRejectedError):
        return denied_response(
            error.status, error.error, error.message, error.challenge, error.nonce
        )
    return unavailable_response(
        "The gateway has no token for this request now", getattr(error, "retry_after", None)
    )
