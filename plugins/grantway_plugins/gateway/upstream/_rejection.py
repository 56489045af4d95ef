"""Rejected requests, and the responses to their callers."""

from __future__ import annotations

import json
import math

from grantway._exceptions import Evidence, RequestInvalidError
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
    """

    code = "request_rejected"

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        challenge: str = "",
        error: str = "",
        evidence: Evidence | None = None,
    ) -> None:
        super().__init__(message, evidence=evidence)
        self.status = status
        self.challenge = challenge
        self.error = error or _ERRORS.get(status, "invalid_request")


def response_for(error: Exception) -> WireResponse:
    """Return the response to a request that was not forwarded.

    It does not say why there is no token.

    Args:
        error: The error that ``UpstreamAuth.prepare`` raised.

    Returns:
        400, 401, 403 or 501 for an invalid request; otherwise 503, with ``Retry-After`` if the
        provider sent a retry delay.
    """
    headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
    if isinstance(error, RequestRejectedError):
        if error.challenge:
            headers.append((b"www-authenticate", error.challenge.encode("ascii")))
        content = {"error": error.error, "error_description": error.message}
        return WireResponse(error.status, tuple(headers), json.dumps(content).encode())
    seconds = getattr(error, "retry_after", None)
    if seconds is not None:
        headers.append((b"retry-after", str(max(1, math.ceil(seconds))).encode()))
    content = {
        "error": "temporarily_unavailable",
        "error_description": "The gateway has no token for this request now",
    }
    return WireResponse(503, tuple(headers), json.dumps(content).encode())
