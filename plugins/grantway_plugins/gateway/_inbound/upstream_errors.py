"""What a caller of the gateway is told when the provider behind it gave no token."""

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

_LONGEST_CODE = 100
#: What a client polls with, so that it asks again whatever became of one answer.
_POLLED = frozenset({"auth_req_id", "device_code"})
_FROM_REFUSED = 400
_NOT_NOW = "The provider is not available and nothing was done"
#: The gateway's own proof was refused; the caller's has been checked here and was good.
_OUR_FAULT = (InvalidClientException, InvalidDpopProofError, UseDpopNonceError)


def told(
    error: GrantwayError, request: WireRequest, grant: Grant, upstream: UpstreamDialect
) -> WireResponse | Denial:
    """Return the response for a failed upstream call, in the caller's wire format.

    Args:
        error: What the call upstream raised.
        request: What the caller asked.
        grant: The grant that was asked for.
        upstream: How the provider speaks, for its replay window.
    """
    if isinstance(error, RequestInvalidError) and not isinstance(error, ConfigurationError):
        return invalid_parameters(error.errors, request).denial
    if isinstance(error, TokenError):
        return _refused(error, request, grant, upstream)
    if isinstance(error, (ProviderUnavailableError, ProviderPausedError)):
        return unavailable(request, _NOT_NOW, error.retry_after)
    if isinstance(error, TransportError):
        return _no_answer(error, request, grant, upstream)
    # A configuration that cannot work, or what a plugin's middleware raised.
    return _failed(request, 500, "The gateway failed")


def unavailable(request: WireRequest, what: str, retry_after: float | None = None) -> WireResponse:
    """Not now, and the same request may be sent again: status 503.

    Args:
        request: Its dialect names the error; AWS has but one for this.
        what: What happened.
        retry_after: Seconds, where they are known.
    """
    error = "server_error" if request.dialect is WireFormat.AWS else "temporarily_unavailable"
    headers: Mapping[bytes, bytes] = (
        {} if retry_after is None else {b"retry-after": str(math.ceil(retry_after)).encode()}
    )
    denial = Denial(error, f"{what}; the same request may be sent again")
    return denial_response(denial, request.dialect, status=503, headers=tuple(headers.items()))


def may_repeat(grant: Grant, upstream: UpstreamDialect) -> str:
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
        return f"keep the refresh token and send it once more{window}; if refused, log in again"
    return "do not send the same request again, because it may be spent; start over"


def _refused(
    error: TokenError, request: WireRequest, grant: Grant, upstream: UpstreamDialect
) -> WireResponse | Denial:
    if isinstance(error, _OUR_FAULT):
        return _failed(request, 502, "The provider refused the gateway's own credentials")
    if isinstance(error, InternalServerException):
        return _failed(request, 502, f"The provider failed; {may_repeat(grant, upstream)}")
    if isinstance(error, TemporarilyUnavailableError):
        return unavailable(request, _NOT_NOW)
    code = error_description(error.error)[:_LONGEST_CODE]
    description = error_description(error.error_description or "The provider refused the request")
    return Denial(
        code, description, None if error.reason is None else error_description(error.reason)
    )


def _no_answer(
    error: TransportError, request: WireRequest, grant: Grant, upstream: UpstreamDialect
) -> WireResponse:
    if isinstance(error, ConnectionFailedError):
        return unavailable(request, "The provider could not be reached and nothing was sent")
    status = error.evidence.status
    if isinstance(error, OutcomeUnknownError):
        failed = status is not None and status >= SERVER_FAULT
        what = "The provider failed" if failed else "The provider's answer was lost"
        said = f"{what} and the outcome is unknown; {may_repeat(grant, upstream)}"
        return _failed(request, 504 if status is None else 502, said)
    what = "The provider did not answer as a token endpoint does"
    if status is not None and status < _FROM_REFUSED:
        what = f"{what}; {may_repeat(grant, upstream)}"
    return _failed(request, 502, what)


def _failed(request: WireRequest, status: int, description: str) -> WireResponse:
    return denial_response(Denial("server_error", description), request.dialect, status=status)
