"""Rejected requests, and the responses to their callers."""

from __future__ import annotations

import json
import math

from grantway._exceptions import Evidence, RequestInvalidError
from grantway_plugins.server._http.wire import WireResponse

_WORDS = {
    400: "invalid_request",
    401: "invalid_token",
    403: "access_denied",
    501: "invalid_request",
}


class RequestRefusedError(RequestInvalidError):
    """A request that the gateway does not forward, by its sender's fault.

    Attributes:
        status: 400, 401, 403 or 501.
        challenge: ``WWW-Authenticate`` of the answer, or empty.
    """

    code = "request_refused"

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        challenge: str = "",
        evidence: Evidence | None = None,
    ) -> None:
        super().__init__(message, evidence=evidence)
        self.status = status
        self.challenge = challenge


def response_for(error: Exception) -> WireResponse:
    """What the sender of a request is told that was not forwarded: never why there is no token.

    Args:
        error: What ``UpstreamAuth.prepare`` raised.

    Returns:
        400, 401, 403 or 501 where the sender is at fault. Else 503, with ``Retry-After`` where the
        provider said when to come back.
    """
    headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
    if isinstance(error, RequestRefusedError):
        if error.challenge:
            headers.append((b"www-authenticate", error.challenge.encode("ascii")))
        told = {"error": _WORDS[error.status], "error_description": error.message}
        return WireResponse(error.status, tuple(headers), json.dumps(told).encode())
    seconds = getattr(error, "retry_after", None)
    if seconds is not None:
        headers.append((b"retry-after", str(max(1, math.ceil(seconds))).encode()))
    told = {
        "error": "temporarily_unavailable",
        "error_description": "The gateway has no token for this request now",
    }
    return WireResponse(503, tuple(headers), json.dumps(told).encode())
