"""A credential as botocore's token provider, for AWS services that accept bearer tokens."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.tokens import FrozenAuthToken

from grantway._processes.copies import OneProcess
from grantway._types.quantity import check_wait
from grantway._types.token import Token
from grantway_plugins.auth._bearer import Bearer, TokenSource
from grantway_plugins.auth._body import Body
from grantway_plugins.auth._exchange import Exchange
from grantway_plugins.auth._origin import invalid
from grantway_plugins.auth._presentation import Answer
from grantway_plugins.auth._step_up import OnStepUp, step_up_tokens

if TYPE_CHECKING:
    import botocore.session

_SENT = "grantway.sent"


class BotocoreTokenProvider(OneProcess):
    """Provides the bearer token for the clients of a botocore session.

    botocore asks for the token with every request, so the credential decides when to refresh it. If
    a service rejects a token with 401, the token is invalidated, and the request is retried once
    with the next token if its body can be sent again. AWS services accept no DPoP tokens.

    Args:
        credential: Credential that provides the tokens; for a pool, ``pool.credential(name)``.
        services: Signing names of the services that the token is for, like ``codecatalyst``; by
            default every service that accepts a bearer token.
        on_step_up: As for ``TokenAuth``, but not async. ``StepUpRequiredError.response`` is the
            parsed response, as in botocore's ``ClientError``.
        origins: As for ``Bearer``; by default every endpoint of those services.
        timeout: Longest wait for a token in seconds; ``math.inf`` for no limit. By default the
            timeout of the grantway client.

    Raises:
        ConfigurationError: As for ``Bearer``. A call of a service raises the exceptions of
            ``Bearer.present`` and ``Credential.token``, and is not sent in that case.
    """

    stays = "it belongs to a botocore session; install one in each process"

    METHOD = "grantway"

    def __init__(
        self,
        credential: TokenSource,
        *,
        services: Collection[str] = (),
        on_step_up: OnStepUp | None = None,
        origins: Collection[str] = (),
        timeout: float | None = None,
    ) -> None:
        self._services = frozenset(services)
        self._bearer = Bearer(origins=origins)
        self._credential = credential
        self._timeout = check_wait(timeout)
        self._step_up = step_up_tokens(credential, on_step_up, self._timeout)
        self._auth_token = CredentialAuthToken(credential, self._bearer, self._timeout)

    def install(self, session: botocore.session.Session) -> None:
        """Make this the first token provider of a session, for clients created afterwards.

        Args:
            session: The botocore session; for boto3, pass it to
                ``boto3.Session(botocore_session=...)``.
        """
        session.get_component("token_provider").insert_before("env", self)
        # Handlers of the general event run after the client's own, which sign the request.
        session.register("request-created", self._signed)
        session.register("needs-retry", self._needs_retry)

    def load_token(self, *, signing_name: str | None = None, **_more: Any) -> Any:
        """Return the token for a client that botocore creates, without sending a request.

        Args:
            signing_name: Signing name of the service, or None for any.
        """
        if self._services and signing_name not in self._services:
            return None
        return self._auth_token

    def __repr__(self) -> str:
        return f"BotocoreTokenProvider({self._credential!r})"

    def _signed(self, request: Any, **_more: Any) -> None:
        """Remember the token of a signed request; botocore calls this before sending it."""
        token = self._auth_token.taken()
        if token is None or request.headers.get("Authorization") != self._bearer.value(token):
            return
        sent: _Sent | None = request.context.get(_SENT)
        exchange = self._exchange(request) if sent is None else sent.exchange
        exchange.sent.token = token
        # A mapping is a form, or means that there is no body.
        body = Body(None if isinstance(request.data, Mapping) else request.data)
        request.context[_SENT] = _Sent(exchange, body, request.method, request.url)

    def _needs_retry(
        self, response: Any, request_dict: dict[str, Any], **_more: Any
    ) -> float | None:
        """Return the delay in seconds before retrying a request; None for no retry."""
        sent: _Sent | None = request_dict["context"].get(_SENT)
        if sent is None or response is None:
            return None
        received, parsed = response
        challenges = received.headers.get("WWW-Authenticate", "")
        answer = Answer(received.status_code, challenges, "", sent.method, sent.url)
        if sent.exchange.next(answer, parsed, sent.rewind) is None:
            return None
        self._auth_token.use(sent.exchange.sent.token)
        return 0.0

    def _exchange(self, request: Any) -> Exchange:
        return Exchange(
            request.method,
            request.url,
            source=self._credential,
            bearer=self._bearer,
            step_up=self._step_up,
            timeout=self._timeout,
        )


@dataclass(frozen=True, slots=True)
class _Sent:
    """A request's token and body, kept in its botocore context."""

    exchange: Exchange
    body: Body
    method: str
    url: str

    def rewind(self) -> bool:
        """Rewind the body, and return whether botocore can send it again."""
        # botocore rewinds to 0, even if the body started elsewhere.
        return self.body.start == 0 and self.body.rewind()


class CredentialAuthToken(OneProcess):
    """A credential with the interface of botocore's ``DeferredRefreshableToken``.

    Args:
        credential: Credential that provides the tokens.
        bearer: Rejects tokens that are not bearer tokens.
        timeout: Longest wait for a token in seconds, or None for the client's timeout.
    """

    stays = "it belongs to a botocore session; install a BotocoreTokenProvider in each process"

    method = "grantway"

    def __init__(self, credential: TokenSource, bearer: Bearer, timeout: float | None) -> None:
        self._credential = credential
        self._bearer = bearer
        self._timeout = timeout
        self._taken = threading.local()

    def get_frozen_token(self) -> FrozenAuthToken:
        """Return the token with which botocore signs a request."""
        token: Token = self._taken.__dict__.pop("next", None) or self._credential.token(
            self._timeout
        )
        if token.token_type.lower() == "dpop":
            raise invalid(
                "token_type",
                "AWS services accept Bearer tokens, not DPoP; use a client without DPoP.",
            )
        self._bearer.value(token)
        self._taken.token = token
        end = token.expires_at
        return _Frozen(
            token.access_token, None if end is None else dt.datetime.fromtimestamp(end, dt.UTC)
        )

    def use(self, token: Token) -> None:
        """Sign the next request of this thread, a retry, with a token."""
        self._taken.next = token

    def taken(self) -> Token | None:
        """Return the token that signed this thread's last request, and forget it."""
        token: Token | None = self._taken.__dict__.pop("token", None)
        return token

    def __repr__(self) -> str:
        return f"CredentialAuthToken({self._credential!r})"


class _Frozen(FrozenAuthToken):  # type: ignore[misc]
    """A token whose repr does not show it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"FrozenAuthToken(token=***, expiration={self.expiration!r})"
