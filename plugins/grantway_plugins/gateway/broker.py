"""Token requests settled by a provider behind the gateway, under the gateway's own name."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from typing import Any

from grantway.client import Client
from grantway.deadline import Deadline
from grantway.exceptions import (
    ConfigurationError,
    GrantwayError,
    RequestInvalidError,
    TokenError,
)
from grantway.quantity import check_seconds
from grantway.redaction import scrub
from grantway.registry import Registry
from grantway.token import Token
from grantway_plugins.issuer.decision import Denial, Refusal
from grantway_plugins.issuer.parameters import grant_type_of, params_of, unsupported
from grantway_plugins.issuer.wire import Answer, Dialect, WireRequest, answer_json, camel

from .clients import ClientRule, authenticated, client_rule
from .upstream_errors import told, unavailable
from .workers import Full, Workers

#: Seconds after which a caller that was turned away may ask again.
SHED_FOR = 1.0

_log = logging.getLogger(__name__)


class Broker:
    """Asks a provider as the gateway, for callers that the gateway knows.

    A caller's own client id and secret are checked here and go no further; upstream goes what the
    grant's schema keeps, with the credentials of ``client``.

    Args:
        client: Asks the provider. Keep it open as long as the broker is used.
        clients: Who may ask: a function of client id and secret (None where none was sent) that
            gives True or a ``Principal``; or a mapping of client ids to what ``hash_secret`` gave,
            None for a client without a secret. By default nobody may.
        timeout: Seconds for one request, over the wait for a thread and all attempts upstream.
        threads: Calls upstream at once, under ASGI. Under WSGI the server's threads count.
        waiting: Requests that may wait for a thread; more are turned away with status 503.

    Raises:
        ConfigurationError: an argument cannot work; names it.
    """

    def __init__(
        self,
        client: Client,
        *,
        clients: ClientRule | Mapping[str, str | None] | None = None,
        timeout: float = 30.0,
        threads: int = 40,
        waiting: int = 80,
    ) -> None:
        check_seconds("timeout", timeout)
        self._client = client
        self._rule = client_rule(clients)
        self._timeout = timeout
        self._workers = Workers(threads, waiting)
        self._repeatable: tuple[Registry, frozenset[str]] | None = None

    @property
    def repeatable(self) -> frozenset[str]:
        """Parameters that may stand more than once, of whichever grant is registered now."""
        registry = self._client.registry
        if self._repeatable is None or self._repeatable[0] is not registry:
            each = (grant.names.all_of(grant.repeatable) for grant in registry.grants.values())
            self._repeatable = registry, frozenset().union(*each)
        return self._repeatable[1]

    def settle(self, request: WireRequest) -> Answer | Denial:
        """Ask the provider, and wait.

        Raises:
            Refusal: nothing was sent.
        """
        return self._settle(request, Deadline(self._timeout))

    async def asettle(self, request: WireRequest) -> Answer | Denial:
        """Ask the provider in a thread; turned away at once where too many wait already.

        Raises:
            Refusal: nothing was sent.
        """
        deadline = Deadline(self._timeout)
        try:
            return await self._workers.run(lambda: self._settle(request, deadline))
        except Full:
            return unavailable(request, "The gateway is busy and nothing was done", SHED_FOR)

    def _settle(self, request: WireRequest, deadline: Deadline) -> Answer | Denial:
        principal = authenticated(request, self._rule)
        grant_type = grant_type_of(request)
        dispatcher = self._client.dispatcher  # one registry for the whole call
        grant = dispatcher.registry.grants.get(grant_type)
        if grant is None:
            raise unsupported(dispatcher.registry.grants)
        if principal.grant_types is not None and grant_type not in principal.grant_types:
            raise Refusal("unauthorized_client", f"The client may not use {grant_type}")
        params = params_of(grant, request)
        if deadline.remaining() <= 0:
            return unavailable(request, "The gateway was busy and nothing was sent", SHED_FOR)
        try:
            token, _ = dispatcher.token(grant, params, self._client.auth, deadline)
        except GrantwayError as error:
            _note(error, dispatcher.provider.host, grant_type)
            return told(error, request, grant, dispatcher.dialect)
        return answer_json(200, self._members(token, request), request.dialect)

    def _members(self, token: Token, request: WireRequest) -> dict[str, Any]:
        """The token as the caller's dialect names it, with what else the provider said."""
        scope = None if token.scope is None else " ".join(token.scope)
        members: dict[str, Any] = {
            **dict(_harmless(token.extra, self._client.auth.secrets())),
            "access_token": token.access_token,
            "token_type": token.token_type,
            "expires_in": token.expires_in,
            "refresh_token": token.refresh_token,
            "id_token": token.id_token,
            "scope": scope,
        }
        members = {name: value for name, value in members.items() if value is not None}
        if request.dialect is Dialect.RFC:
            return members
        if token.scope is not None:
            members["scope"] = list(token.scope)
        return {camel(name): value for name, value in members.items()}

    def __repr__(self) -> str:
        return f"Broker({self._client!r})"


def _harmless(extra: Mapping[str, Any], secrets: Iterable[str]) -> Iterable[tuple[str, Any]]:
    """What a provider added to its answer, but for what cannot travel or holds our secrets."""
    kept = tuple(secrets)
    for name, value in extra.items():
        try:
            written = json.dumps([name, value], allow_nan=False)
        except (TypeError, ValueError, RecursionError):
            continue
        if scrub(written, kept) == written:
            yield name, value


def _note(error: GrantwayError, provider: str, grant_type: str) -> None:
    """Log a failure that its caller cannot mend."""
    if isinstance(error, RequestInvalidError) and not isinstance(error, ConfigurationError):
        return
    level = logging.INFO if isinstance(error, TokenError) else logging.WARNING
    _log.log(level, "%s gave no token for %s: %s", provider, grant_type, error.code)
