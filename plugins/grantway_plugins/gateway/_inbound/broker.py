"""Broker: forwards callers' token requests to a provider with the gateway's credentials."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from grantway._exceptions import (
    ConfigurationError,
    GrantwayError,
    RequestInvalidError,
    TokenError,
)
from grantway._plugins.registry import Registry
from grantway._processes.copies import OneProcess
from grantway._requests.client import Client
from grantway._secrets.hidden_arguments import hides_arguments
from grantway._secrets.masked import Masked
from grantway._secrets.redaction import scrub
from grantway._transport.deadline import Deadline
from grantway._types.grant import Grant
from grantway._types.quantity import check_seconds
from grantway._types.token import Token
from grantway_grants.device_code import GRANT_TYPE as DEVICE_CODE
from grantway_plugins.server._http.denial import Denial, DenialError
from grantway_plugins.server._http.parameters import (
    grant_type_of,
    params_of,
    unsupported_grant_type,
)
from grantway_plugins.server._http.wire import (
    WireFormat,
    WireRequest,
    WireResponse,
    camel,
    denial_response,
    json_response,
)

from .binding import Binding
from .binding_keys import Keys, binding_keys
from .clients import ClientHashes, ClientRule, Principal, authenticated, client_rule
from .device_authorization import DeviceAuthorization, device_params
from .upstream_errors import error_response, unavailable_response
from .workers import QueueFullError, Workers

if TYPE_CHECKING:
    from grantway_plugins.stores.encrypted._keys import KeySource

#: Retry delay for callers that were rejected because the gateway is busy, in seconds.
RETRY_AFTER = 1.0

_log = logging.getLogger("grantway.gateway")


class Broker(OneProcess):
    """Forwards authenticated callers' token requests to a provider with the gateway's credentials.

    The caller's client ID and secret are checked here and not forwarded. The provider receives the
    parameters in the grant's schema and the credentials of ``client``.

    Args:
        client: Client of the provider. Keep it open as long as the broker is used.
        clients: Callers to accept: a function of client ID and secret (None if none was sent)
            that returns True or a ``Principal``, or a mapping from client IDs to
            ``ClientHashes``. By default every caller is rejected.
        timeout: Time limit in seconds for one request, including the wait for a thread and all
            attempts.
        threads: Largest number of concurrent requests to the provider under ASGI. Under WSGI the
            server's threads are used.
        waiting: Largest number of requests that wait for a thread; more are rejected with status
            503.
        keys: Keys that bind refresh tokens and device codes to their caller: 32 bytes each or
            their base64 encoding, newest first. Every process of a gateway needs the same keys. By
            default one key is derived from the client's secret. Pass keys if that secret changes,
            because refresh tokens sealed with another key are rejected.
        redirect_uris: Client IDs mapped to their redirect URIs. Required to accept authorization
            codes if ``clients`` maps more than one client; a function returns them in
            ``Principal``.
        upstream: Identifier of the provider in the binding; by default its issuer or token
            endpoint. Callers must log in again when it changes.

    Raises:
        ConfigurationError: An argument is invalid; the error names it. Also if ``client`` has no
            ``client_secret`` and ``keys`` is not passed.
    """

    @hides_arguments
    def __init__(
        self,
        client: Client,
        *,
        clients: ClientRule | Mapping[str, ClientHashes] | None = None,
        timeout: float = 30.0,
        threads: int = 40,
        waiting: int = 80,
        keys: Keys | KeySource | None = None,
        redirect_uris: Mapping[str, Iterable[str]] | None = None,
        upstream: str | None = None,
    ) -> None:
        check_seconds("timeout", timeout)
        self._client = client
        self._rule = client_rule(clients, redirect_uris)
        named = upstream or client.provider.issuer or client.provider.token_endpoint
        self._binding = Binding(
            binding_keys(Masked(keys), client.auth), f"{client.client_id} {named}"
        )
        self._timeout = timeout
        self._workers = Workers(threads, waiting)
        self._repeatable: tuple[Registry, frozenset[str]] | None = None

    @property
    def repeatable(self) -> frozenset[str]:
        """Parameters that may be repeated, of the currently registered grants."""
        registry = self._client.registry
        if self._repeatable is None or self._repeatable[0] is not registry:
            grants = registry.grants.usable().values()
            each = (grant.names.all_of(grant.repeatable) for grant in grants)
            self._repeatable = registry, frozenset().union(*each)
        return self._repeatable[1]

    @property
    def device_authorization(self) -> DeviceAuthorization:
        """Backend for device logins whose codes are bound to the caller (RFC 8628)."""
        return DeviceAuthorization(self)

    def bind(self, client_id: str, refresh_token: str) -> str:
        """Return a sealed refresh token that this caller can present here.

        Use it after a login that was completed elsewhere with the gateway's client.

        Args:
            client_id: Client ID of the caller.
            refresh_token: The refresh token that the provider issued.
        """
        return self._binding.seal("refresh_token", client_id, refresh_token)

    def respond(self, request: WireRequest) -> WireResponse | Denial:
        """Request a token from the provider; may block.

        Raises:
            DenialError: The request was rejected. Nothing was sent.
        """
        return self._token(request, Deadline(self._timeout))

    async def arespond(self, request: WireRequest) -> WireResponse | Denial:
        """Request a token in a thread. Respond with 503 at once if too many requests are waiting.

        Raises:
            DenialError: The request was rejected. Nothing was sent.
        """
        return await self._in_thread(self._token, request)

    def authorize_device(self, request: WireRequest) -> WireResponse | Denial:
        """Request a device code from the provider; may block.

        Raises:
            DenialError: The request was rejected. Nothing was sent.
        """
        return self._device(request, Deadline(self._timeout))

    async def aauthorize_device(self, request: WireRequest) -> WireResponse | Denial:
        """Request a device code in a thread. Respond with 503 if too many requests are waiting.

        Raises:
            DenialError: The request was rejected. Nothing was sent.
        """
        return await self._in_thread(self._device, request)

    async def _in_thread(
        self, call: Callable[[WireRequest, Deadline], WireResponse | Denial], request: WireRequest
    ) -> WireResponse | Denial:
        deadline = Deadline(self._timeout)
        try:
            return await self._workers.run(lambda: call(request, deadline))
        except QueueFullError:
            return _busy(request)

    def _token(self, request: WireRequest, deadline: Deadline) -> WireResponse | Denial:
        principal = authenticated(request, self._rule)
        grant_type = grant_type_of(request)
        dispatcher = self._client.dispatcher()  # one registry for the whole call
        grant = _grant(principal, grant_type, dispatcher.registry)
        params = params_of(grant, request)
        self._binding.open_params(grant, params, principal)
        if deadline.remaining() <= 0:
            return _busy(request)
        try:
            token, _ = dispatcher.token(grant, params, self._client.auth, deadline)
        except GrantwayError as error:
            _log_failure(error, dispatcher.provider.host, grant_type)
            return error_response(error, request, grant, dispatcher.dialect)
        return json_response(200, self._members(token, request, principal), request.dialect)

    def _device(self, request: WireRequest, deadline: Deadline) -> WireResponse | Denial:
        principal = authenticated(request, self._rule)
        dispatcher = self._client.dispatcher()
        grant = _grant(principal, DEVICE_CODE, dispatcher.registry)
        params = device_params(request, dispatcher.dialect)
        if deadline.remaining() <= 0:
            return _busy(request)
        if dispatcher.provider.device_authorization_endpoint is None:
            raise DenialError("invalid_request", "The provider does not support device logins")
        try:
            response = dispatcher.call(
                "device_authorization", params, self._client.auth, deadline
            ).payload
        except GrantwayError as error:
            _log_failure(error, dispatcher.provider.host, "device_authorization")
            return error_response(error, request, grant, dispatcher.dialect)
        members = dict(_safe_members(response, self._client.auth.secrets()))
        code = members.get("device_code")
        if not isinstance(code, str) or not code:
            _log.warning("%s sent no device code in its response", dispatcher.provider.host)
            denial = Denial("server_error", "The provider sent no device code in its response")
            return denial_response(denial, request.dialect, status=502)
        members["device_code"] = self._binding.seal("device_code", principal.client_id, code)
        if request.dialect is WireFormat.AWS:
            members = {camel(name): value for name, value in members.items()}
        return json_response(200, members, request.dialect)

    def _members(self, token: Token, request: WireRequest, principal: Principal) -> dict[str, Any]:
        """Return the members of the token response in the caller's wire format."""
        scope = None if token.scope is None else " ".join(token.scope)
        members: dict[str, Any] = {
            **dict(_safe_members(token.extra, self._client.auth.secrets())),
            "access_token": token.access_token,
            "token_type": token.token_type,
            "expires_in": token.expires_in,
            "refresh_token": token.refresh_token,
            "id_token": token.id_token,
            "scope": scope,
        }
        members = self._binding.seal_members(
            {name: value for name, value in members.items() if value is not None},
            principal.client_id,
        )
        if request.dialect is WireFormat.RFC:
            return members
        if token.scope is not None:
            members["scope"] = list(token.scope)
        return {camel(name): value for name, value in members.items()}

    def __repr__(self) -> str:
        return f"Broker({self._client!r})"


def _busy(request: WireRequest) -> WireResponse:
    return unavailable_response(request, "The gateway is busy and sent nothing", RETRY_AFTER)


def _grant(principal: Principal, grant_type: str, registry: Registry) -> Grant:
    """Return the grant.

    Raises:
        DenialError: The grant is not registered, or the caller may not use it.
    """
    grant = registry.grants.get(grant_type)
    if grant is None:
        raise unsupported_grant_type(registry.grants)
    if principal.grant_types is not None and grant_type not in principal.grant_types:
        raise DenialError("unauthorized_client", f"The client may not use {grant_type}")
    return grant


def _safe_members(extra: Mapping[str, Any], secrets: Iterable[str]) -> Iterable[tuple[str, Any]]:
    """Yield a response's extra members, without secrets and values that JSON cannot represent."""
    known = tuple(secrets)
    for name, value in extra.items():
        try:
            written = json.dumps([name, value], allow_nan=False)
        except (TypeError, ValueError, RecursionError):
            continue
        if scrub(written, known) == written:
            yield name, value


def _log_failure(error: GrantwayError, provider: str, grant_type: str) -> None:
    """Log a failure that the caller cannot fix."""
    if isinstance(error, RequestInvalidError) and not isinstance(error, ConfigurationError):
        return
    level = logging.INFO if isinstance(error, TokenError) else logging.WARNING
    _log.log(level, "%s returned no token for %s: %s", provider, grant_type, error.code)
