"""Map responses to exceptions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from grantway._exceptions import (
    TOKEN_ERRORS,
    InternalServerException,
    OutcomeUnknownError,
    PluginError,
    ProviderUnavailableError,
    ResponseInvalidError,
    TemporarilyUnavailableError,
    TokenError,
    TransportError,
    UnknownTokenError,
)
from grantway._secrets.redaction import printable, scrub
from grantway._transport.http import REFUSED
from grantway._transport.transient import failed_status, is_refused

if TYPE_CHECKING:
    from grantway._requests.exchange import Exchange
    from grantway._wire.dialect import ProviderResponse, WireError

    from . import Next

#: Error code -> class, for the standard codes.
STANDARD: Mapping[str, type[TokenError]] = {kind.wire: kind for kind in TOKEN_ERRORS}
#: Every error code of the OAuth registry -> advice. A code without a class becomes
#: ``UnknownTokenError`` or the class that a plugin registered.
REGISTERED: Mapping[str, str] = MappingProxyType(
    {
        # RFC 6749: the token endpoint and the authorization endpoint
        "invalid_request": "check the parameters against what this provider documents",
        "invalid_client": "check client_id, client_secret and the client authentication method; "
        "the registration may have expired",
        "invalid_grant": "the code or refresh token is used, expired, revoked or another "
        "client's; log in again",
        "unauthorized_client": "allow this grant in the client's registration",
        "unsupported_grant_type": "this provider does not know the grant",
        "invalid_scope": "ask for scopes that the client is registered for",
        "access_denied": "the user or a policy denied the request",
        "unsupported_response_type": "this provider does not offer the authorization code flow",
        "server_error": "the provider failed; it may have processed the request",
        "temporarily_unavailable": "try again later",
        # RFC 8628: device authorization
        "authorization_pending": "poll again after the interval",
        "slow_down": "add five seconds to the interval",
        "expired_token": "start the device login again",
        # RFC 7009: revocation
        "unsupported_token_type": "this provider cannot revoke this kind of token",
        # RFC 8693 and 8707: token exchange, resource indicators
        "invalid_target": "ask for a resource or audience that the client may use",
        # RFC 6750 and 9470: using a token
        "invalid_token": "get another access token",
        "insufficient_scope": "log in again and ask for more scope",
        "insufficient_user_authentication": "log in again with the acr_values that were asked for",
        # OpenID Connect Core and its extensions
        "interaction_required": "log in at a browser, without prompt=none",
        "login_required": "log in at a browser, without prompt=none",
        "consent_required": "log in at a browser and consent, without prompt=none",
        "account_selection_required": "log in at a browser and choose an account",
        "unmet_authentication_requirements": "log in with the acr_values that were asked for",
        "registration_not_supported": "leave out the parameter registration",
        # RFC 9101 and 9126: signed and pushed requests
        "invalid_request_uri": "push the request again; it may be used once and expires soon",
        "invalid_request_object": "check the key and the claims of the signed request",
        "request_not_supported": "send the parameters without a signed request",
        "request_uri_not_supported": "send the parameters without request_uri",
        # RFC 9449: DPoP
        "invalid_dpop_proof": "check this machine's clock and the key of the proof",
        "use_dpop_nonce": "repeat the request with the nonce of the DPoP-Nonce header",
        # RFC 7591: registration
        "invalid_redirect_uri": "register a redirect URI that this provider accepts",
        "invalid_client_metadata": "correct the field that the provider names",
        "invalid_software_statement": "get another software statement",
        "unapproved_software_statement": "have the software statement approved by this provider",
        # RFC 9396: rich authorization requests
        "invalid_authorization_details": "check authorization_details against the provider's types",
        # RFC 9200: ACE
        "unsupported_pop_key": "use a kind of key that this provider supports",
        "incompatible_ace_profiles": "use an ACE profile that this provider supports",
        # OpenID CIBA
        "expired_login_hint_token": "get another login_hint_token",
        "unknown_user_id": "the hint names a user that this provider does not know",
        "missing_user_code": "ask the user for the user code",
        "invalid_user_code": "ask the user for the user code again",
        "invalid_binding_message": "use a shorter binding_message of plain characters",
        "transaction_failed": "start the authentication again",
        # UMA 2.0
        "need_info": "provide the claims that the provider requests",
        "request_denied": "the resource's owner refused",
        "request_submitted": "ask again later; the resource's owner has to decide",
    }
)
#: Classes that add no information to a 425, 429 or 503 status.
_NOT_TODAY = (UnknownTokenError, TemporarilyUnavailableError)


def refusal_class(code: str, more: Mapping[str, type[TokenError]]) -> type[TokenError]:
    """Return the class of an error code; ``UnknownTokenError`` by default.

    Args:
        code: The error code.
        more: The registry's classes, which do not override the standard ones.
    """
    return STANDARD.get(code) or more.get(code) or UnknownTokenError


class MapErrors:
    """Raises the exception for an unsuccessful response."""

    def __init__(self, more: Mapping[str, type[TokenError]]) -> None:
        self._more = more

    def __call__(self, exchange: Exchange, call_next: Next) -> ProviderResponse:
        """Return a successful response; raise an exception for any other."""
        try:
            answer = call_next(exchange)
        except TransportError as error:
            seen = error.evidence
            # The target of a redirect may contain sent values.
            error.message = scrub(error.message, exchange.secrets())
            error.args = (error.message,)
            error.evidence = replace(
                exchange.evidence(), status=seen.status, headers=exchange.shown(seen.headers)
            )
            raise
        if answer.error is not None:
            raise self._refusal(exchange, answer, answer.error)
        if answer.problem is not None:
            raise _unusable(exchange, answer, answer.problem)
        return answer

    def _refusal(
        self, exchange: Exchange, answer: ProviderResponse, said: WireError
    ) -> TransportError | TokenError:
        secrets = exchange.secrets()
        kind = refusal_class(said.code, self._more)
        # Do not redact a known code, even if a secret happens to be part of it.
        code = scrub(said.code, secrets) if kind is UnknownTokenError else said.code
        # If a header names the error, as at AWS, it is a real error code.
        named = exchange.dialect.error.header is not None
        if answer.status in REFUSED and (
            kind in _NOT_TODAY or (kind is InternalServerException and not named)
        ):
            return _unavailable(exchange, answer, f"it said {printable(code)}")
        if failed_status(answer.status) and kind is UnknownTokenError and not named:
            # Web frameworks use "error" for their own failures, which are not OAuth codes.
            return _unusable(exchange, answer, f"it said {printable(code)}")
        description = scrub(said.description, secrets) if said.description else None
        where = f"{exchange.host} refused the {exchange.step} request"
        words = f": {printable(description)}" if description and description != code else ""
        advice = f" ({REGISTERED[code]})" if code in REGISTERED else ""
        evidence = exchange.evidence(answer)
        try:
            return kind(
                f"{where} with {printable(code)}{words}{advice}",
                error=code,
                error_description=description,
                error_uri=scrub(said.uri, secrets) if said.uri else None,
                reason=scrub(said.reason, secrets) if said.reason else None,
                evidence=evidence,
            )
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise PluginError(
                f"{where} with {printable(code)}, and the plugin's class for that code, "
                f"{kind.__module__}.{kind.__qualname__}, raised {type(error).__name__}.",
                plugin=kind.__module__,
                evidence=evidence,
            ) from error


def _unusable(exchange: Exchange, answer: ProviderResponse, problem: str) -> TransportError:
    if is_refused(answer.status, "", answer.headers, answer.members):
        return _unavailable(exchange, answer, problem)
    shown = answer.excerpt(exchange.secrets())
    quoted = f" It began: {shown}" if shown else ""
    if failed_status(answer.status):
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


def _unavailable(
    exchange: Exchange, answer: ProviderResponse, problem: str
) -> ProviderUnavailableError:
    wait = answer.retry_after
    when = f"in {wait:g} s" if wait is not None else "later"
    return ProviderUnavailableError(
        f"{exchange.host} refused the {exchange.step} request with status {answer.status} "
        f"({problem}). It was not carried out; try again {when}.",
        retry_after=wait,
        excerpt=answer.excerpt(exchange.secrets()),
        evidence=exchange.evidence(answer),
    )
