"""Prepare the requests of an exchange. Sends nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from grantway._exceptions import PluginError
from grantway._processes.copies import OneProcess
from grantway._secrets.params import Params
from grantway._transport.http import HttpRequest
from grantway._types.callables import is_async, is_unfinished, kind_of
from grantway._wire.provider_response import ProviderResponse

if TYPE_CHECKING:
    from .exchange import Exchange
    from .provider import Provider


@dataclass(slots=True, eq=False)
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


def prepare_request(exchange: Exchange, provider: Provider) -> tuple[OutgoingRequest, HttpRequest]:
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
    outgoing = OutgoingRequest(
        exchange.url, fields, dialect.encoder.headers.copy(), exchange.step, provider
    )
    authenticate: Callable[[OutgoingRequest], object] = exchange.client.authenticate
    returned = authenticate(outgoing)
    if returned is not None or outgoing.learn is not None or type(outgoing.secrets) is not tuple:
        _check_authentication(exchange, outgoing, returned)
    exchange.proofs = outgoing.secrets
    encoded = dialect.encoder.encode(outgoing.fields)
    return outgoing, HttpRequest("POST", outgoing.url, outgoing.headers, encoded)


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
        raise contract_error(exchange, problem, "Nothing was sent: the")


def contract_error(exchange: Exchange, problem: str, start: str = "The") -> PluginError:
    """Return the error for client authentication that broke its contract."""
    kind = type(exchange.client)
    return PluginError(
        f"{start} client authentication {kind.__module__}.{kind.__qualname__} {problem}.",
        plugin=kind.__module__,
    )
