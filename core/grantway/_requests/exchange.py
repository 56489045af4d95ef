"""An exchange: one request to one endpoint with all its attempts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from grantway._exceptions import Attempt, Evidence
from grantway._processes.copies import OneProcess
from grantway._secrets.error_members import Members, members_of
from grantway._secrets.redaction import scrub, texts

if TYPE_CHECKING:
    from grantway._secrets.params import Params
    from grantway._transport.deadline import Deadline
    from grantway._types.event import Event
    from grantway._types.grant import Grant
    from grantway._types.token import Token
    from grantway._wire.dialect import Dialect
    from grantway._wire.provider_response import ProviderResponse

    from .cached_source import CachedSource
    from .client_auth import ClientAuth
    from .computed_parameters import ComputedParams, Sources


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
        fetched: Secret source -> the value of the latest send.
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
    fetched: dict[CachedSource, str] = field(default_factory=dict, repr=False)

    @property
    def grant_type(self) -> str | None:
        """The grant type, or None."""
        return self.grant.grant_type if self.grant is not None else None

    def event(
        self,
        kind: Literal["start", "attempt", "retry", "end"],
        milliseconds: float,
        *,
        outcome: str = "",
        wait: float = 0.0,
        status: int | None = None,
    ) -> Event:
        """Return an event of this call; see ``Event`` for the arguments."""
        from grantway._types.event import Event  # noqa: PLC0415 - only observers need it

        return Event(
            kind=kind,
            call_id=self.call_id,
            step=self.step,
            provider=self.host,
            grant_type=self.grant_type,
            attempt=self.attempts,
            milliseconds=milliseconds,
            outcome=outcome,
            wait=wait,
            status=status,
        )

    def evidence(self, response: ProviderResponse | None = None) -> Evidence:
        """Return the evidence about the call so far."""
        headers = self.shown(response.headers) if response is not None else {}
        return Evidence(
            status=response.status if response is not None else None,
            request_id=headers.get("x-amzn-requestid") or headers.get("x-request-id"),
            provider=self.host,
            grant_type=self.grant_type,
            step=self.step,
            attempts=max(1, self.attempts),
            headers=headers,
            history=tuple(self.history),
            members=(
                members_of(response.members, self.secrets()) if response is not None else Members()
            ),
        )

    def secrets(self) -> list[str]:
        """Return every secret value in this request, for redaction."""
        grant = self.grant
        names = grant.names.all_of(grant.secret) if grant is not None else ()
        own = [text for name in names if name in self.params for text in texts(self.params[name])]
        own += self.params.extra_secrets
        return [*own, *self.client.secrets(), *self.proofs, *self.earlier_secrets]

    def secret_sources(self, part: Literal["client", "params"] | None = None) -> Sources:
        """Return the secret sources of the client authentication and of the parameters.

        Args:
            part: Return only those of this part.
        """
        client: Sources = getattr(self.client, "secret_sources", ())
        params = () if self.computed is None else self.computed.sources
        if part is None:
            return (*client, *params)
        return client if part == "client" else params

    def shown(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Return the headers of a response without private headers and sent secrets."""
        secrets = self.secrets()
        return {name: scrub(value, secrets) for name, value in public_headers(headers).items()}


#: Response headers that may hold a secret.
_PRIVATE_HEADERS = frozenset({"set-cookie", "authorization", "location", "dpop-nonce"})


def public_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that hold no secret."""
    return {name: value for name, value in headers.items() if name not in _PRIVATE_HEADERS}
