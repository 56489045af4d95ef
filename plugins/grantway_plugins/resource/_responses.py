"""Responses of a protected resource: rejections, and its metadata (RFC 6750, RFC 9728)."""

from __future__ import annotations

import json
import logging
import math

from grantway_plugins.server._http.wire import Header, WireResponse

from ._errors import AccessDeniedError, VerificationUnavailableError

_JSON: Header = (b"content-type", b"application/json")
_NO_STORE: Header = (b"cache-control", b"no-store")
#: Pages of any site may read the metadata: it is public, and clients in browsers need it.
_ANY_SITE: Header = (b"access-control-allow-origin", b"*")
_METADATA: tuple[Header, ...] = (_JSON, (b"cache-control", b"max-age=300"), _ANY_SITE)
#: For requests with additional headers, such as those of MCP clients.
_PREFLIGHT: tuple[Header, ...] = (
    _ANY_SITE,
    (b"access-control-allow-methods", b"GET"),
    (b"access-control-allow-headers", b"*"),
)
_METHODS = "GET, HEAD, OPTIONS"

_log = logging.getLogger("grantway.resource")


def error_response(
    status: int, error: str, description: str, headers: tuple[Header, ...] = ()
) -> WireResponse:
    """Return a response with an OAuth error as JSON."""
    content = {"error": error, "error_description": description}
    return WireResponse(status, (_JSON, _NO_STORE, *headers), json.dumps(content).encode())


def denied_response(
    status: int, error: str, description: str, challenge: str, nonce: str
) -> WireResponse:
    """Return the response to a request that must not use the resource.

    Args:
        status: The status.
        error: The error code.
        description: The description of the error.
        challenge: ``WWW-Authenticate``; empty for none.
        nonce: ``DPoP-Nonce``; empty for none.
    """
    given = ((b"www-authenticate", challenge), (b"dpop-nonce", nonce))
    headers = tuple((name, value.encode("ascii")) for name, value in given if value)
    return error_response(status, error, description, headers)


def unavailable_response(description: str, retry_after: float | None) -> WireResponse:
    """Return the response to a request that may succeed later.

    Args:
        description: The description of the error.
        retry_after: Delay in seconds after which the caller may try again, or None.
    """
    seconds = () if retry_after is None else (retry_seconds(retry_after),)
    headers = tuple((b"retry-after", str(each).encode()) for each in seconds)
    return error_response(503, "temporarily_unavailable", description, headers)


def retry_seconds(retry_after: float) -> int:
    """Return the value of ``Retry-After``."""
    return max(1, math.ceil(retry_after))


def rejection(error: AccessDeniedError | VerificationUnavailableError) -> WireResponse:
    """Return the response to a request that was not accepted; log why none can be verified."""
    if isinstance(error, AccessDeniedError):
        code = error.error or "invalid_token"
        return denied_response(error.status, code, error.message, error.challenge, error.nonce)
    _log.warning("A request got status 503: %s", error.message)
    return unavailable_response(
        "The access token cannot be verified at the moment", error.retry_after
    )


def metadata_response(document: bytes, method: str) -> WireResponse:
    """Return the response to a request for the metadata of the resource.

    Args:
        document: The metadata as JSON.
        method: The method of the request.
    """
    if method in {"GET", "HEAD"}:
        return WireResponse(200, _METADATA, document)
    if method == "OPTIONS":
        return WireResponse(204, _PREFLIGHT, b"")
    allow = (b"allow", _METHODS.encode())
    return error_response(405, "invalid_request", f"Use {_METHODS}", (allow,))
