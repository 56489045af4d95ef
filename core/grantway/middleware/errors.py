"""From what a provider said to the exception that means it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from grantway.exceptions import (
    TOKEN_ERRORS,
    OutcomeUnknownError,
    ProviderUnavailableError,
    ResponseInvalidError,
    TokenError,
    TransportError,
    UnknownTokenError,
)
from grantway.redaction import scrub

if TYPE_CHECKING:
    from grantway.dialect import Answer, WireError
    from grantway.exchange import Exchange

    from . import Next

#: Code on the wire -> class, for the codes that have a class in core.
STANDARD: Mapping[str, type[TokenError]] = {kind.wire: kind for kind in TOKEN_ERRORS}
#: What a person can do about a code.
_ADVICE = {
    "invalid_request": "check the parameters against what this provider documents",
    "invalid_client": "check client_id, client_secret and the client authentication method; the "
    "registration may have expired",
    "invalid_grant": "the code or refresh token is spent, expired, revoked or another client's; "
    "log in again",
    "unauthorized_client": "allow this grant in the client's registration",
    "unsupported_grant_type": "this provider does not know the grant",
    "invalid_scope": "ask for scopes that the client is registered for",
    "authorization_pending": "poll again after the interval",
    "slow_down": "add five seconds to the interval",
    "access_denied": "the person or a policy refused",
    "expired_token": "start the device login again",
    "server_error": "the provider failed; whether it carried out the request is not known",
}
_REFUSED = frozenset({429, 503})
_SERVER_FAULT = 500


def refusal_class(code: str, more: Mapping[str, type[TokenError]]) -> type[TokenError]:
    """The class of an error code; ``UnknownTokenError`` for one that has none.

    Args:
        code: The code on the wire.
        more: The registry's classes, which stand behind the standard ones.
    """
    return STANDARD.get(code) or more.get(code) or UnknownTokenError


class MapErrors:
    """Raises the exception for an answer that is not a success."""

    def __init__(self, more: Mapping[str, type[TokenError]]) -> None:
        self._more = more

    def __call__(self, exchange: Exchange, call_next: Next) -> Answer:
        """Pass a success through; raise anything else."""
        try:
            answer = call_next(exchange)
        except TransportError as error:
            seen = error.evidence
            error.evidence = replace(exchange.evidence(), status=seen.status, headers=seen.headers)
            raise
        if answer.error is not None:
            raise self._refusal(exchange, answer, answer.error)
        if answer.problem is not None:
            raise _unusable(exchange, answer, answer.problem)
        return answer

    def _refusal(
        self, exchange: Exchange, answer: Answer, said: WireError
    ) -> TransportError | TokenError:
        secrets = exchange.secrets()
        code = scrub(said.code, secrets)
        kind = refusal_class(code, self._more)
        if kind is UnknownTokenError and answer.status in _REFUSED:
            return _unavailable(exchange, answer, f"it said {code}")
        description = scrub(said.description, secrets) if said.description else None
        where = f"{exchange.host} refused the {exchange.step} request"
        words = f": {description}" if description and description != code else ""
        advice = f" ({_ADVICE[code]})" if code in _ADVICE else ""
        return kind(
            f"{where} with {code}{words}{advice}",
            error=code,
            error_description=description,
            error_uri=said.uri,
            reason=said.reason,
            evidence=exchange.evidence(answer),
        )


def _unusable(exchange: Exchange, answer: Answer, problem: str) -> TransportError:
    if answer.status in _REFUSED:
        return _unavailable(exchange, answer, problem)
    shown = answer.excerpt(exchange.secrets())
    quoted = f" It began: {shown}" if shown else ""
    if answer.status >= _SERVER_FAULT:
        return OutcomeUnknownError(
            f"{exchange.host} failed with status {answer.status}: {problem}. Whether the request "
            f"was carried out is not known; the refresh token that you hold is untouched.{quoted}",
            excerpt=shown,
            evidence=exchange.evidence(answer),
        )
    return ResponseInvalidError(
        f"{exchange.host} answered the {exchange.step} request with status {answer.status}, but "
        f"{problem}. Check that the endpoint is right and no proxy or login page stands before "
        f"it.{quoted}",
        excerpt=shown,
        evidence=exchange.evidence(answer),
    )


def _unavailable(exchange: Exchange, answer: Answer, problem: str) -> ProviderUnavailableError:
    wait = answer.retry_after
    when = f"in {wait:g} s" if wait is not None else "later"
    return ProviderUnavailableError(
        f"{exchange.host} refused the {exchange.step} request with status {answer.status} "
        f"({problem}). It was not carried out; try again {when}.",
        retry_after=wait,
        excerpt=answer.excerpt(exchange.secrets()),
        evidence=exchange.evidence(answer),
    )
