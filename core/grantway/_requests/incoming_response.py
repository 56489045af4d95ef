"""Process the responses of an exchange. Receives nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from grantway._types.callables import is_unfinished
from grantway._types.token import Token
from grantway._wire.response_decoder import refresh_token

from .outgoing_request import OutgoingRequest, contract_error

if TYPE_CHECKING:
    from grantway._transport.http import HttpResponse
    from grantway._wire.provider_response import ProviderResponse

    from .exchange import Exchange


def process_response(exchange: Exchange, response: HttpResponse) -> ProviderResponse:
    """Return the decoded response, with the token if the exchange requested one."""
    dialect = exchange.dialect
    decoded = dialect.decoder.decode(response)
    decoded.attempts = exchange.attempts
    if exchange.grant is None:
        # RFC 7009 section 2.2: ignore the body of a revocation response.
        empty = exchange.step == "revocation" or not response.body.strip()
        if empty and response.succeeded:
            decoded.problem = None
    elif decoded.error is None and decoded.problem is None:
        try:
            decoded.token = dialect.decoder.token(decoded.payload, exchange.sent_at)
            exchange.received = decoded.token
        except ValueError as unreadable:
            decoded.problem, decoded.body = str(unreadable), response.body
            decoded.members = decoded.payload
            exchange.received = _refresh_token_alone(decoded.payload, exchange.sent_at)
    return decoded


def learn(exchange: Exchange, outgoing: OutgoingRequest, response: ProviderResponse) -> bool:
    """Let the client authentication learn from a response; return whether to send once more.

    Raises:
        PluginError: the client authentication failed after a token was issued, or is asynchronous.
    """
    assert outgoing.learn is not None
    try:
        again: object = outgoing.learn(response)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        if exchange.received is None:
            raise
        problem = f"raised {type(error).__name__} after the provider had issued a token"
        raise contract_error(exchange, problem) from error
    if is_unfinished(again):
        raise contract_error(exchange, "has an asynchronous learn")
    # Once a token was issued, a second send would use the code or refresh token twice.
    return bool(again) and exchange.received is None


def _refresh_token_alone(payload: Mapping[str, Any], sent_at: float) -> Token | None:
    """Return a refresh token that came without an access token: it may replace the previous one."""
    rotated = refresh_token(payload.get("refresh_token"))
    if rotated is None:
        return None
    return Token("", expires_in=0, expires_at=sent_at, refresh_token=rotated)
