"""Responses to callers when the provider returned no token."""

from __future__ import annotations

import math
from collections.abc import Mapping

from grantway._exceptions import (
    ConfigurationError,
    ConnectionFailedError,
    GrantwayError,
    InternalServerException,
    InvalidClientException,
    InvalidDpopProofError,
    OutcomeUnknownError,
    ProviderPausedError,
    ProviderUnavailableError,
    RequestInvalidError,
    SecretUnavailableError,
    TemporarilyUnavailableError,
    TokenError,
    TransportError,
    UseDpopNonceError,
)
from grantway._transport.http import SERVER_FAULT
from grantway._types.grant import Grant, Replay
from grantway._wire.dialect import Dialect as UpstreamDialect
from grantway_plugins.server._http.denial import Denial
from grantway_plugins.server._http.parameters import error_description, invalid_parameters
from grantway_plugins.server._http.wire import (
    WireFormat,
    WireRequest,
    WireResponse,
    denial_response,
)

_MAX_CODE_LENGTH = 100
#: Parameters of grants that poll, so that a lost response does no harm.
_POLLED = frozenset({"auth_req_id", "device_code"})
_FIRST_ERROR_STATUS = 400
_UNAVAILABLE = "The provider is not available and issued nothing"
#: The provider rejected the gateway's credentials; the caller's were already accepted here.
_GATEWAY_CREDENTIAL_ERRORS = (InvalidClientException, InvalidDpopProofError, UseDpopNonceError)


def error_response(
    error: GrantwayError, request: WireRequest, grant: Grant, upstream: UpstreamDialect
) -> WireResponse | Denial:
    """Return the response for a failed upstream call, in the caller's wire format.

    Args:
        error: The error that the call raised.
        request: The caller's request.
        grant: The requested grant.
        upstream: Dialect of the provider, for its replay window.
    """
    if isinstance(error, RequestInvalidError) and not isinstance(error, ConfigurationError):
        return invalid_parameters(error.errors, request).denial
    if isinstance(error, TokenError):
        return _token_error_response(error, request, grant, upstream)
    if isinstance(error, (ProviderUnavailableError, ProviderPausedError)):
        return unavailable_response(request, _UNAVAILABLE, error.retry_after)
    if isinstance(error, SecretUnavailableError):
        return unavailable_response(request, "The gateway cannot read its own secret")
    if isinstance(error, TransportError):
        return _transport_error_response(error, request, grant, upstream)
    # An invalid configuration, or an exception of a plugin's middleware.
    return _server_error(request, 500, "The gateway failed")


def unavailable_response(
    request: WireRequest, reason: str, retry_after: float | None = None
) -> WireResponse:
    """Return a 503 response, after which the same request may be sent again.

    Args:
        request: The caller's request. Its dialect selects the error code.
        reason: The reason, without a full stop.
        retry_after: Retry delay in seconds; None if unknown.
    """
    error = "server_error" if request.dialect is WireFormat.AWS else "temporarily_unavailable"
    headers: Mapping[bytes, bytes] = (
        {} if retry_after is None else {b"retry-after": str(math.ceil(retry_after)).encode()}
    )
    denial = Denial(error, f"{reason}; the same request may be sent again")
    return denial_response(denial, request.dialect, status=503, headers=tuple(headers.items()))


def retry_advice(grant: Grant, upstream: UpstreamDialect) -> str:
    """Return advice for a caller whose request has an unknown outcome."""
    if grant.replay is Replay.SAFE:
        return "the same request may be sent again"
    if _POLLED & set(grant.names.wire.values()):
        return "poll again after the interval"
    if "refresh_token" in grant.names.wire.values():
        window = (
            f" within {upstream.replay_window:g} seconds"
            if grant.replay is Replay.WINDOWED and upstream.replay_window
            else ""
        )
        return (
            f"keep the refresh token and send it once more{window}; if it is rejected, log in again"
        )
    return "do not send the same request again, because its credentials may be used up; start over"


def _token_error_response(
    error: TokenError, request: WireRequest, grant: Grant, upstream: UpstreamDialect
) -> WireResponse | Denial:
    if isinstance(error, _GATEWAY_CREDENTIAL_ERRORS):
        return _server_error(request, 502, "The provider rejected the gateway's credentials")
    if isinstance(error, InternalServerException):
        return _server_error(request, 502, f"The provider failed; {retry_advice(grant, upstream)}")
    if isinstance(error, TemporarilyUnavailableError):
        return unavailable_response(request, _UNAVAILABLE)
    code = error_description(error.error)[:_MAX_CODE_LENGTH]
    description = error_description(error.error_description or "The provider rejected the request")
    return Denial(
        code, description, None if error.reason is None else error_description(error.reason)
    )


def _transport_error_response(
    error: TransportError, request: WireRequest, grant: Grant, upstream: UpstreamDialect
) -> WireResponse:
    if isinstance(error, ConnectionFailedError):
        return unavailable_response(
            request, "The provider could not be reached and nothing was sent"
        )
    status = error.evidence.status
    if isinstance(error, OutcomeUnknownError):
        server_failed = status is not None and status >= SERVER_FAULT
        problem = "The provider failed" if server_failed else "The provider's response was lost"
        description = f"{problem} and the outcome is unknown; {retry_advice(grant, upstream)}"
        return _server_error(request, 504 if status is None else 502, description)
    problem = "The provider did not respond like a token endpoint"
    if status is not None and status < _FIRST_ERROR_STATUS:
        problem = f"{problem}; {retry_advice(grant, upstream)}"
    return _server_error(request, 502, problem)


def _server_error(request: WireRequest, status: int, description: str) -> WireResponse:
    return denial_response(Denial("server_error", description), request.dialect, status=status)
