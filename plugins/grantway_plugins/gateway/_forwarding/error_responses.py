"""Responses of the gateway to requests that it cannot forward."""

from __future__ import annotations

import json

from grantway_plugins.server._http.wire import WireResponse

INVALID = "invalid_request"
_CLOSE = (b"connection", b"close")


def error_response(status: int, code: str, message: str, *, close: bool = False) -> WireResponse:
    """Return an error.

    Args:
        status: Status of the response.
        code: Value of ``error``.
        message: Value of ``error_description``.
        close: Whether to close the connection, because the body is not read.
    """
    headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
    if close:
        headers.append(_CLOSE)
    members = {"error": code, "error_description": message}
    return WireResponse(status, tuple(headers), json.dumps(members).encode())


def no_route() -> WireResponse:
    """Return the response to a request that no route matches."""
    return error_response(404, "not_found", "No route matches this host and path")


def too_many(whose: str = "") -> WireResponse:
    """Return the response to a request over a limit."""
    message = " ".join(["Too many requests", *([whose] if whose else []), "are in progress"])
    response = error_response(503, "temporarily_unavailable", message, close=True)
    return WireResponse(503, (*response.headers, (b"retry-after", b"1")), response.body)
