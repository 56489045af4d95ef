"""A credential as botocore's bearer token, for AWS services that take one."""

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
from grantway_plugins.auth._bearer import Bearer, Presentation, TokenSource
from grantway_plugins.auth._body import Body

if TYPE_CHECKING:
    import botocore.session

_SENT = "grantway.sent"


class BotocoreTokenProvider(OneProcess):
    """Gives the clients of a session their bearer token, and another where it is refused.

    It stands in the chain of token providers, where ``sso`` stands too. botocore asks for the
    token with every request, so it is renewed as the credential says and not as botocore does.
    A token that a service refuses with 401 is invalidated, and the request sent once more with
    the next one, if its body can be sent again.

    Args:
        credential: What gives the tokens; of a pool, ``pool.credential(name)``.
        services: Signing names of the services that the token is meant for, like
            ``codecatalyst``; by default every service that takes a bearer token.
        origins: As for ``Bearer``; by default every endpoint of those services.
        timeout: Seconds to wait for a token at most; ``math.inf`` waits without end. By default
            the grantway client's.

    Raises:
        ConfigurationError: as for ``Bearer``. A call of a service raises what ``Bearer.present``
            and ``Credential.token`` raise, and is not sent then.
    """

    stays = "it belongs to a botocore session; install one in each process"

    METHOD = "grantway"

    def __init__(
        self,
        credential: TokenSource,
        *,
        services: Collection[str] = (),
        origins: Collection[str] = (),
        timeout: float | None = None,
    ) -> None:
        self._services = frozenset(services)
        self._bearer = Bearer(origins=origins)
        self._credential = credential
        self._auth_token = CredentialAuthToken(credential, self._bearer, check_wait(timeout))

    def install(self, session: botocore.session.Session) -> None:
        """Put it first in a session's chain, for the clients that are made from then on.

        Args:
            session: botocore's; boto3 takes it as ``boto3.Session(botocore_session=...)``.
        """
        session.get_component("token_provider").insert_before("env", self)
        # The general name is called after the client's own, which signs the request.
        session.register("request-created", self._signed)
        session.register("needs-retry", self._needs_retry)

    def load_token(self, *, signing_name: str | None = None, **_more: Any) -> Any:
        """Called by botocore when it makes a client; sends nothing.

        Args:
            signing_name: The service; None asks for a token of any.
        """
        if self._services and signing_name not in self._services:
            return None
        return self._auth_token

    def __repr__(self) -> str:
        return f"BotocoreTokenProvider({self._credential!r})"

    def _signed(self, request: Any, **_more: Any) -> None:
        """Called with every request of the session, about to be sent."""
        token = self._auth_token.taken()
        if token is None or request.headers.get("Authorization") != self._bearer.value(token):
            return
        sent: _Sent | None = request.context.get(_SENT)
        sending = self._bearer.present(request.url) if sent is None else sent.sending
        sending.header(token)
        # A mapping is a form, or stands for no body.
        body = Body(None if isinstance(request.data, Mapping) else request.data)
        request.context[_SENT] = _Sent(sending, body)

    def _needs_retry(
        self, response: Any, request_dict: dict[str, Any], **_more: Any
    ) -> float | None:
        """Called with every answer: None, or the seconds to wait before the request goes again."""
        sent: _Sent | None = request_dict["context"].get(_SENT)
        if sent is None or response is None:
            return None
        status, headers = response[0].status_code, response[0].headers
        if not sent.sending.rejected(status, headers.get("WWW-Authenticate", "")):
            return None
        self._credential.invalidate(sent.sending.token)
        # botocore rewinds to 0, wherever the body began.
        return 0.0 if sent.body.start == 0 and sent.body.rewind() else None


@dataclass(frozen=True, slots=True)
class _Sent:
    """What is known of a request, in its botocore context."""

    sending: Presentation
    body: Body


class CredentialAuthToken(OneProcess):
    """botocore's view of a credential, in place of its ``DeferredRefreshableToken``.

    Args:
        credential: What gives the tokens.
        bearer: Refuses those that are not presented as bearer tokens.
        timeout: Seconds to wait for a token at most.
    """

    stays = "it belongs to a botocore session; install a BotocoreTokenProvider in each process"

    method = "grantway"

    def __init__(self, credential: TokenSource, bearer: Bearer, timeout: float | None) -> None:
        self._credential = credential
        self._bearer = bearer
        self._timeout = timeout
        self._taken = threading.local()

    def get_frozen_token(self) -> FrozenAuthToken:
        """Called by botocore to sign a request."""
        token = self._credential.token(self._timeout)
        self._bearer.value(token)
        self._taken.token = token
        end = token.expires_at
        return _Frozen(
            token.access_token, None if end is None else dt.datetime.fromtimestamp(end, dt.UTC)
        )

    def taken(self) -> Token | None:
        """The token that signed the last request of this thread, once."""
        token: Token | None = self._taken.__dict__.pop("token", None)
        return token

    def __repr__(self) -> str:
        return f"CredentialAuthToken({self._credential!r})"


class _Frozen(FrozenAuthToken):  # type: ignore[misc]
    """A token that does not print."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"FrozenAuthToken(token=***, expiration={self.expiration!r})"
