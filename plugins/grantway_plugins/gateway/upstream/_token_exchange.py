"""Exchange of the caller's token for one that the upstream accepts (RFC 8693)."""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Self

from grantway._credentials.credential import Credential
from grantway._credentials.credential_config import CredentialConfig
from grantway._credentials.pool import CredentialPool
from grantway._credentials.token_request import TokenRequest
from grantway._exceptions import (
    ConfigurationError,
    GrantwayError,
    InvalidGrantException,
    InvalidRequestException,
)
from grantway._processes.copies import OneProcess
from grantway._requests.client import Client
from grantway._secrets.params import Params
from grantway._types.token import Token
from grantway_plugins._jwt import unverified_expiry
from grantway_plugins.grants.token_exchange import ACCESS_TOKEN, GRANT_TYPE

from ._rejection import RequestRejectedError

#: RFC 6750 section 2.1.
_BEARER = re.compile(r"[Bb][Ee][Aa][Rr][Ee][Rr] +([A-Za-z0-9._~+/-]+=*)")
_LONGEST = 16_384
_NOT_ACCEPTED = "The bearer token was not accepted"
#: Errors with which a provider rejects the subject token (RFC 8693 section 2.2.2).
_REJECTIONS = (InvalidGrantException, InvalidRequestException)
_OURS = frozenset({"subject_token", "subject_token_type"})


class TokenExchange(OneProcess):
    """Exchanges callers' bearer tokens; the ``credential`` of a route with ``incoming="exchange"``.

    Exchanged tokens are cached under a keyed hash of the caller's token and the tenant. If the
    caller's token is a JWT with ``exp``, its exchanged token is not used after that time. The JWT
    is not verified here, because ``exp`` can only shorten the use; the provider verifies it.

    Args:
        client: Client of the provider that exchanges the tokens, or a function that returns the
            client of a tenant.
        subject_token_type: Token type of the callers' tokens.
        entries: Largest number of cached tokens.
        **params: More parameters of the grant, such as ``audience`` and ``scope``.

    Raises:
        ConfigurationError: An argument is invalid.
        RequestInvalidError: A parameter does not match the grant's schema.
    """

    stays = "it holds tokens of this process; create one in the process that uses it"

    def __init__(
        self,
        client: Client | Callable[[str], Client],
        *,
        subject_token_type: str = ACCESS_TOKEN,
        entries: int = 10_000,
        **params: Any,
    ) -> None:
        if taken := _OURS & params.keys():
            raise ConfigurationError(f"{', '.join(sorted(taken))}: is set by each request.")
        self._client = client
        self._params = {"subject_token_type": subject_token_type, **params}
        self._pool = CredentialPool(self._make, entries=entries)
        self._key = secrets.token_bytes(32)
        if isinstance(client, Client):
            # Report an invalid parameter now instead of in the first request.
            client.registry.grant(GRANT_TYPE).load({"subject_token": "x", **self._params})

    def credential(self, tenant: str, authorization: str) -> Credential:
        """Return the credential of the exchanged token.

        Args:
            tenant: Tenant of the request.
            authorization: The caller's ``Authorization`` header.

        Raises:
            RequestRejectedError: The header contains no bearer token (401).
        """
        found = _BEARER.fullmatch(authorization)
        if found is None or len(authorization) > _LONGEST:
            raise RequestRejectedError("A bearer token is needed", status=401, challenge="Bearer")
        incoming = found[1]
        text = f"{tenant}\0{incoming}".encode("ascii")
        name = hashlib.blake2b(text, key=self._key, digest_size=32).hexdigest()
        return self._pool.credential(_Name(name, tenant, incoming))

    def __len__(self) -> int:
        return len(self._pool)

    def __repr__(self) -> str:
        return f"TokenExchange({self._client!r})"

    def _make(self, name: str) -> Credential:
        assert isinstance(name, _Name)  # only credential() uses the pool
        client = self._client if isinstance(self._client, Client) else self._client(name.tenant)
        config = _Config(
            client,
            grant_type=GRANT_TYPE,
            params=Params({**self._params, "subject_token": name.incoming}),
            extra=Params(),
            refresh=Params(),
            store=None,
            freshness=None,
            on_token=None,
            name=str(name),
        )
        return _ExchangedCredential(config, unverified_expiry(name.incoming))


class _Name(str):
    """The name of a pool entry, with the tenant and the token from which it was computed."""

    __slots__ = ("incoming", "tenant")
    incoming: str
    tenant: str

    def __new__(cls, name: str, tenant: str, incoming: str) -> Self:
        made = super().__new__(cls, name)
        made.tenant, made.incoming = tenant, incoming
        return made


class _Config(CredentialConfig):
    """Repeats the exchange each time: a refresh token could outlive the caller's permission."""

    __slots__ = ()

    def request(self, last: Token | None) -> TokenRequest:
        """See ``CredentialConfig.request``."""
        request = super().request(last)
        return _ExchangeRequest(request.grant_type, request.params, request.extra)


class _ExchangeRequest(TokenRequest):
    """Drops the refresh token of the response."""

    __slots__ = ()

    def complete(self, token: Token) -> Token:
        """See ``TokenRequest.complete``."""
        return replace(token, refresh_token=None)


class _ExchangedCredential(Credential):
    """The credential of an exchanged token; fails after the caller's token has expired.

    Args:
        config: Configuration of the exchange.
        incoming_expiry: Unix time at which the caller's token expires; infinity if unknown.
    """

    __slots__ = ("_incoming_expiry",)

    def __init__(self, config: CredentialConfig, incoming_expiry: float) -> None:
        super().__init__(config)
        self._incoming_expiry = incoming_expiry

    def token_at_once(self) -> Token | None:
        """See ``Credential.token_at_once``."""
        return None if time.time() >= self._incoming_expiry else super().token_at_once()

    def token(self, timeout: float | None = None) -> Token:
        """See ``Credential.token``."""
        self._check_incoming()
        if self.fresh:
            return super().token(timeout)
        self._check_rejected()
        rejection: GrantwayError
        try:
            token = super().token(timeout)
        except _REJECTIONS as error:
            rejection = error
        else:
            self._check_incoming()
            return token
        raise _rejected(_NOT_ACCEPTED, rejection)

    async def token_async(self, timeout: float | None = None) -> Token:  # noqa: ASYNC109 - as token()
        """See ``Credential.token_async``."""
        self._check_incoming()
        if self.fresh:
            return await super().token_async(timeout)
        self._check_rejected()
        rejection: GrantwayError
        try:
            token = await super().token_async(timeout)
        except _REJECTIONS as error:
            rejection = error
        else:
            self._check_incoming()
            return token
        raise _rejected(_NOT_ACCEPTED, rejection)

    def _check_incoming(self) -> None:
        if time.time() >= self._incoming_expiry:
            raise _rejected("The bearer token has expired")

    def _check_rejected(self) -> None:
        """Raise the provider's rejection again while no new request is allowed."""
        error = self.last_error
        if isinstance(error, _REJECTIONS) and self._state.pause > 0:
            raise _rejected(_NOT_ACCEPTED, error)


def _rejected(message: str, error: GrantwayError | None = None) -> RequestRejectedError:
    return RequestRejectedError(
        message,
        status=401,
        challenge=f'Bearer error="invalid_token", error_description="{message}"',
        evidence=None if error is None else error.evidence,
    )
