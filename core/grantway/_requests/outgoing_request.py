"""Prepare the requests of an exchange and interpret their responses, without sending anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from grantway._exceptions import PluginError
from grantway._processes.copies import OneProcess
from grantway._secrets.params import Params
from grantway._transport.http import HttpRequest, HttpResponse
from grantway._types.callables import is_async, is_unfinished, kind_of
from grantway._types.token import Token
from grantway._wire.dialect import ProviderResponse, refresh_token

if TYPE_CHECKING:
    from .exchange import Exchange
    from .provider import Provider


@dataclass(slots=True)
class OutgoingRequest(OneProcess):
    """A request to which the client authentication is added; a new one for every send.

    Attributes:
        url: The URL. Client authentication may change it to another endpoint of the same provider
            (RFC 8705 section 5).
        fields: The body, RFC names to values.
        headers: The request headers.
        step: The endpoint: ``token``, ``device_authorization``, ...
        provider: The provider.
        secrets: Secrets in the client authentication, such as a signed assertion, for redaction.
        learn: Called with the response, for authentication that depends on it, such as a nonce.
            Return True to send again with a new request; ignored once a token was issued.
    """

    stays = "it belongs to one request"

    url: str
    fields: dict[str, Any] = field(repr=False)
    headers: dict[str, str] = field(repr=False)
    step: str
    provider: Provider
    secrets: tuple[str, ...] = field(default=(), repr=False)
    learn: Callable[[ProviderResponse], bool] | None = None


def prepare(exchange: Exchange, provider: Provider) -> tuple[OutgoingRequest, HttpRequest]:
    """Return the next request of an exchange, authenticated and encoded.

    Raises:
        PluginError: the client authentication broke its contract.
        RequestInvalidError: a parameter cannot be computed or encoded.
    """
    if exchange.attempts:
        exchange.earlier_secrets = tuple(dict.fromkeys(exchange.secrets()))
    if exchange.computed is not None:
        exchange.computed.recompute(exchange.params)
    fields = Params()
    if exchange.grant is not None:
        fields["grant_type"] = exchange.grant.grant_type
        fields.update(exchange.grant.names.on_wire(exchange.params))
    else:
        fields.update(exchange.params)
    dialect = exchange.dialect
    outgoing = OutgoingRequest(exchange.url, fields, dict(dialect.headers), exchange.step, provider)
    authenticate: Callable[[OutgoingRequest], object] = exchange.client.authenticate
    _check_authentication(exchange, outgoing, authenticate(outgoing))
    exchange.proofs = outgoing.secrets
    encoded = dialect.encode(outgoing.fields)
    return outgoing, HttpRequest("POST", outgoing.url, outgoing.headers, encoded)


def process(exchange: Exchange, response: HttpResponse) -> ProviderResponse:
    """Return the decoded response, with the token if the exchange requested one."""
    dialect = exchange.dialect
    decoded = dialect.decode(response)
    decoded.attempts = exchange.attempts
    if exchange.grant is None:
        # RFC 7009 section 2.2: ignore the body of a revocation response.
        empty = exchange.step == "revocation" or not response.body.strip()
        if empty and response.succeeded:
            decoded.problem = None
    elif decoded.error is None and decoded.problem is None:
        try:
            decoded.token = dialect.token(decoded.payload, exchange.sent_at)
            exchange.received = decoded.token
        except ValueError as unreadable:
            decoded.problem, decoded.body = str(unreadable), response.body
            decoded.members = decoded.payload
            exchange.received = _refresh_token_alone(decoded.payload, exchange.sent_at)
    return decoded


def wants_retry(exchange: Exchange, outgoing: OutgoingRequest, response: ProviderResponse) -> bool:
    """Pass a response to the client authentication, and return whether to send once more.

    Raises:
        PluginError: the client authentication failed after a token was issued, or is asynchronous.
    """
    if outgoing.learn is None:
        return False
    try:
        again: object = outgoing.learn(response)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        if exchange.received is None:
            raise
        problem = f"raised {type(error).__name__} after the provider had issued a token"
        raise _contract_error(exchange, problem) from error
    if is_unfinished(again):
        raise _contract_error(exchange, "has an asynchronous learn")
    # Once a token was issued, a second send would use the code or refresh token twice.
    return bool(again) and exchange.received is None


def _check_authentication(exchange: Exchange, outgoing: OutgoingRequest, returned: object) -> None:
    """Reject client authentication that broke its contract, before anything is sent."""
    problem = ""
    secrets: object = outgoing.secrets
    if returned is not None and is_unfinished(returned):
        problem = "has an asynchronous authenticate"
    elif returned is not None and returned is not outgoing:
        problem = (
            f"returned {kind_of(returned)} from authenticate; change the request that it is passed"
        )
    elif not isinstance(secrets, tuple):
        problem = f"set secrets of the request to {kind_of(secrets)}, not a tuple of strings"
    elif outgoing.learn is not None and is_async(outgoing.learn):
        problem = "set learn of the request to an asynchronous function"
    if problem:
        raise _contract_error(exchange, problem, "Nothing was sent: the")


def _contract_error(exchange: Exchange, problem: str, start: str = "The") -> PluginError:
    kind = type(exchange.client)
    return PluginError(
        f"{start} client authentication {kind.__module__}.{kind.__qualname__} {problem}.",
        plugin=kind.__module__,
    )


def _refresh_token_alone(payload: Mapping[str, Any], sent_at: float) -> Token | None:
    """Return a refresh token that came without an access token: it may replace the previous one."""
    rotated = refresh_token(payload.get("refresh_token"))
    if rotated is None:
        return None
    return Token("", expires_in=0, expires_at=sent_at, refresh_token=rotated)
