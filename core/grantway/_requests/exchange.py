"""The exchange that middleware sees, and the innermost step that sends the request."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from grantway._exceptions import Attempt, Evidence, PluginError
from grantway._processes.copies import OneProcess
from grantway._secrets.error_members import Members, members_of
from grantway._secrets.redaction import scrub, texts
from grantway._transport.http import HttpRequest, Transport
from grantway._types.callables import is_async, is_unfinished, kind_of
from grantway._types.grant import Params
from grantway._types.token import Token
from grantway._wire.dialect import Dialect, ProviderResponse, refresh_token

if TYPE_CHECKING:
    from grantway._transport.deadline import Deadline
    from grantway._types.event import Event
    from grantway._types.grant import Grant

    from .client_auth import ClientAuth
    from .computed_parameters import ComputedParams
    from .provider import Provider


@dataclass(slots=True, eq=False)
class Exchange(OneProcess):
    """One request to one endpoint, from the first attempt to the last.

    Attributes:
        step: The endpoint: ``token``, ``device_authorization``, ``revocation``, ...
        url: The URL of the endpoint.
        host: The provider's host, for errors and events.
        grant: The grant, or None for an endpoint that takes no grant.
        params: Validated parameters, as ``Grant.load`` returned them.
        client: The client authentication.
        dialect: Encodes the request and decodes the response.
        deadline: The deadline of the whole call.
        attempts: Number of sends started so far.
        sent_at: Unix time of the latest send.
        emit: Calls the observers; None if there are none.
        call_id: The identifier of the call in its events.
        most_attempts: Most sends, or None for the client's policy. Middleware may lower it during
            the call; a waiting retry is then not sent.
        on_refusal: Called when the provider is busy (429, 503), before the decision to retry, with
            the Retry-After in seconds or None.
        history: The attempts of a call that was retried, in order.
        proofs: Secrets in the client authentication of the latest send.
        effective_at: Monotonic time of the first send that the provider may have processed, or
            None while there was none.
        received: The token as the provider issued it. If the call fails later, its error carries
            this token.
        computed: Computes parameters for each send; None if all are constant.
        earlier_secrets: Secrets of the previous sends.
    """

    stays = "it belongs to one request"

    step: str
    url: str
    host: str
    grant: Grant | None
    params: Params = field(repr=False)
    client: ClientAuth
    dialect: Dialect
    deadline: Deadline
    attempts: int = 0
    sent_at: float = 0.0
    emit: Callable[[Event], None] | None = None
    call_id: int = 0
    most_attempts: int | None = None
    on_refusal: Callable[[float | None], None] | None = None
    history: list[Attempt] = field(default_factory=list)
    proofs: tuple[str, ...] = field(default=(), repr=False)
    effective_at: float | None = None
    received: Token | None = None
    computed: ComputedParams | None = field(default=None, repr=False)
    earlier_secrets: tuple[str, ...] = field(default=(), repr=False)

    @property
    def grant_type(self) -> str | None:
        """The grant type, or None."""
        return self.grant.grant_type if self.grant is not None else None

    def evidence(self, answer: ProviderResponse | None = None) -> Evidence:
        """Return the evidence about the call so far."""
        headers = self.shown(answer.headers) if answer is not None else {}
        return Evidence(
            status=answer.status if answer is not None else None,
            request_id=headers.get("x-amzn-requestid") or headers.get("x-request-id"),
            provider=self.host,
            grant_type=self.grant_type,
            step=self.step,
            attempts=max(1, self.attempts),
            headers=headers,
            history=tuple(self.history),
            members=members_of(answer.members, self.secrets()) if answer is not None else Members(),
        )

    def secrets(self) -> list[str]:
        """Return every secret value in this request, for redaction."""
        grant = self.grant
        names = grant.names.all_of(grant.secret) if grant is not None else ()
        own = [text for name in names if name in self.params for text in texts(self.params[name])]
        own += self.params.extra_secrets
        return [*own, *self.client.secrets(), *self.proofs, *self.earlier_secrets]

    def shown(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Return the headers of a response without private headers and sent secrets."""
        secrets = self.secrets()
        return {name: scrub(value, secrets) for name, value in public_headers(headers).items()}


#: Response headers that may hold a secret.
_PRIVATE_HEADERS = frozenset({"set-cookie", "authorization", "location", "dpop-nonce"})


def public_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that hold no secret."""
    return {name: value for name, value in headers.items() if name not in _PRIVATE_HEADERS}


@dataclass(slots=True)
class OutgoingRequest(OneProcess):
    """A request while the client's proof is added to it; a new one for every send.

    Attributes:
        url: The URL. Client authentication may change it to another endpoint of the same provider
            (RFC 8705 section 5).
        fields: The body, RFC names to values.
        headers: The request headers.
        step: Which endpoint: ``token``, ``device_authorization``, ...
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


class Wire:
    """The innermost step of the chain: authenticate the client, encode, send, decode."""

    def __init__(self, transport: Transport, provider: Provider) -> None:
        self._transport = transport
        self._provider = provider

    def __call__(self, exchange: Exchange) -> ProviderResponse:
        """Send the request, and once more if the client authentication asks for it."""
        draft, answer = self._send(exchange)
        if _learn(exchange, draft, answer):
            draft, answer = self._send(exchange)
            _learn(exchange, draft, answer)
        return answer

    def _send(self, exchange: Exchange) -> tuple[OutgoingRequest, ProviderResponse]:
        if exchange.attempts:
            exchange.earlier_secrets = tuple(dict.fromkeys(exchange.secrets()))
        if exchange.computed is not None:
            exchange.computed.recompute(exchange.params)
        # Params hides its values, so that a traceback with locals shows no secret.
        fields = Params()
        if exchange.grant is not None:
            fields["grant_type"] = exchange.grant.grant_type
            fields.update(exchange.grant.names.on_wire(exchange.params))
        else:
            fields.update(exchange.params)
        dialect = exchange.dialect
        draft = OutgoingRequest(
            exchange.url, fields, dict(dialect.headers), exchange.step, self._provider
        )
        authenticate: Callable[[OutgoingRequest], object] = exchange.client.authenticate
        _check_proof(exchange, draft, authenticate(draft))
        exchange.proofs = draft.secrets
        exchange.attempts += 1
        exchange.sent_at = time.time()
        response = self._transport.send(
            HttpRequest("POST", draft.url, draft.headers, dialect.encode(draft.fields)),
            exchange.deadline,
        )
        if exchange.grant is None:
            answer = dialect.decode(response)
            if response.succeeded and (
                # RFC 7009 section 2.2: ignore the body of a revocation response.
                exchange.step == "revocation" or not response.body.strip()
            ):
                answer.problem = None
        else:
            answer = dialect.decode(response)
            if answer.error is None and answer.problem is None:
                try:
                    exchange.received = answer.token = dialect.token(
                        answer.payload, exchange.sent_at
                    )
                except ValueError as unreadable:
                    answer.problem, answer.body = str(unreadable), response.body
                    answer.members = answer.payload
                    exchange.received = _refresh_token_alone(answer.payload, exchange.sent_at)
        answer.attempts = exchange.attempts
        return draft, answer


def _check_proof(exchange: Exchange, draft: OutgoingRequest, returned: object) -> None:
    """Reject client authentication that broke its contract, before anything is sent."""
    broken = ""
    secrets: object = draft.secrets
    if is_unfinished(returned):
        broken = "has an asynchronous authenticate"
    elif returned is not None and returned is not draft:
        broken = f"returned {kind_of(returned)} from authenticate; change the draft it is given"
    elif not isinstance(secrets, tuple):
        broken = f"set draft.secrets to {kind_of(secrets)}, not a tuple of strings"
    elif is_async(draft.learn):
        broken = "set draft.learn to an asynchronous function"
    if broken:
        proof = type(exchange.client)
        raise PluginError(
            f"Nothing was sent: the client authentication {proof.__module__}.{proof.__qualname__} "
            f"{broken}.",
            plugin=proof.__module__,
        )


def _learn(exchange: Exchange, draft: OutgoingRequest, answer: ProviderResponse) -> bool:
    """Pass the response to the client authentication. Return whether to send again."""
    if draft.learn is None:
        return False
    proof = type(exchange.client)
    named = f"The client authentication {proof.__module__}.{proof.__qualname__}"
    try:
        learned: object = draft.learn(answer)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        if exchange.received is None:
            raise
        raise PluginError(
            f"{named} raised {type(error).__name__} after the provider had issued a token.",
            plugin=proof.__module__,
        ) from error
    if is_unfinished(learned):
        raise PluginError(f"{named} has an asynchronous learn.", plugin=proof.__module__)
    # Once a token was issued, a second send would use the code or refresh token twice.
    return bool(learned) and exchange.received is None


def _refresh_token_alone(payload: Mapping[str, Any], sent_at: float) -> Token | None:
    """Return a refresh token that came without an access token: it may replace the previous one."""
    rotated = refresh_token(payload.get("refresh_token"))
    if rotated is None:
        return None
    return Token("", expires_in=0, expires_at=sent_at, refresh_token=rotated)
