"""The caller's token, exchanged for one that is good upstream (RFC 8693)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import math
import re
import secrets
import time
from collections.abc import Callable, Mapping
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
    ProviderPausedError,
    WaitTimeoutError,
)
from grantway._processes.copies import OneProcess
from grantway._requests.client import Client
from grantway._secrets.params import Params
from grantway._types.token import Token
from grantway_plugins.grants.token_exchange import ACCESS_TOKEN, GRANT_TYPE

from ._refusal import RequestRefusedError

#: RFC 6750 section 2.1.
_BEARER = re.compile(r"[Bb][Ee][Aa][Rr][Ee][Rr] +([A-Za-z0-9._~+/-]+=*)")
_LONGEST = 16_384
_NO = "The bearer token was not accepted"
#: By which a provider says that the subject token is worth nothing (RFC 8693 section 2.2.2).
_WORTHLESS = (InvalidGrantException, InvalidRequestException)
_OURS = frozenset({"subject_token", "subject_token_type"})


class TokenExchange(OneProcess):
    """Makes of a caller's bearer token another: the ``credential`` of a route that exchanges.

    What was exchanged is kept for the caller's token and the tenant together, by a keyed hash of
    both, and is never given out after the caller's token has ended, where that is a JWT and tells.
    (The JWT is not verified here, so its ``exp`` can only shorten. The provider judges it.)

    Args:
        client: Of the provider that exchanges; or a function that gives the client of a tenant.
        subject_token_type: What the callers' tokens are.
        entries: Exchanged tokens that are kept at most.
        **params: More parameters of the grant, such as ``audience`` and ``scope``.

    Raises:
        ConfigurationError: an argument cannot work.
        RequestInvalidError: a parameter breaks the grant's schema.
    """

    stays = "it holds tokens of this process; make one in the process that uses it"

    def __init__(
        self,
        client: Client | Callable[[str], Client],
        *,
        subject_token_type: str = ACCESS_TOKEN,
        entries: int = 10_000,
        **params: Any,
    ) -> None:
        if taken := _OURS & params.keys():
            raise ConfigurationError(f"{', '.join(sorted(taken))}: comes with each request.")
        self._client = client
        self._params = {"subject_token_type": subject_token_type, **params}
        self._pool = CredentialPool(self._make, entries=entries)
        self._key = secrets.token_bytes(32)
        if isinstance(client, Client):
            # What cannot work is said now, and not to the first caller.
            client.registry.grant(GRANT_TYPE).load({"subject_token": "x", **self._params})

    def credential(self, tenant: str, authorization: str) -> Credential:
        """What gives the exchanged token.

        Args:
            tenant: Whose request it is.
            authorization: The caller's ``Authorization``.

        Raises:
            RequestRefusedError: it holds no bearer token (401).
        """
        found = _BEARER.fullmatch(authorization)
        if found is None or len(authorization) > _LONGEST:
            raise RequestRefusedError("A bearer token is needed", status=401, challenge="Bearer")
        incoming = found[1]
        text = f"{tenant}\0{incoming}".encode("ascii")
        name = hashlib.blake2b(text, key=self._key, digest_size=32).hexdigest()
        return self._pool.credential(_Name(name, tenant, incoming))

    def __len__(self) -> int:
        return len(self._pool)

    def __repr__(self) -> str:
        return f"TokenExchange({self._client!r})"

    def _make(self, name: str) -> Credential:
        assert isinstance(name, _Name)  # credential() is all that asks the pool
        client = self._client if isinstance(self._client, Client) else self._client(name.tenant)
        config = _Config(
            client,
            grant_type=GRANT_TYPE,
            params=Params({**self._params, "subject_token": name.incoming}),
            extra=None,
            refresh=None,
            store=None,
            freshness=None,
            on_token=None,
            name=str(name),
        )
        return _Exchanged(config, end_of(name.incoming))


class _Name(str):
    """The name of a pool entry, with the tenant and token that it is made of."""

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


class _Exchanged(Credential):
    """An exchanged token, while the caller's lives.

    Args:
        config: How it is exchanged.
        incoming_end: Unix time at which the caller's token ends; infinite where it does not tell.
    """

    __slots__ = ("_incoming_end",)

    def __init__(self, config: CredentialConfig, incoming_end: float) -> None:
        super().__init__(config)
        self._incoming_end = incoming_end

    def token(self, timeout: float | None = None) -> Token:
        """See ``Credential.token``."""
        self._check_incoming()
        if self.fresh:
            return super().token(timeout)
        self._check_refused()
        problem: GrantwayError
        try:
            token = super().token(timeout)
        except _WORTHLESS as error:
            problem = error
        else:
            self._check_incoming()
            return token
        raise _worthless(_NO, problem)

    async def token_async(self, timeout: float | None = None) -> Token:  # noqa: ASYNC109 - as token()
        """See ``Credential.token_async``."""
        self._check_incoming()
        if self.fresh:
            return await super().token_async(timeout)
        self._check_refused()
        problem: GrantwayError
        try:
            token = await super().token_async(timeout)
        except _WORTHLESS as error:
            problem = error
        else:
            self._check_incoming()
            return token
        raise _worthless(_NO, problem)

    def _check_incoming(self) -> None:
        if time.time() >= self._incoming_end:
            raise _worthless("The bearer token has expired")

    def _check_refused(self) -> None:
        """Raise the provider's rejection again while no new request is allowed."""
        error = self.last_error
        if not isinstance(error, _WORTHLESS):
            return
        paused = False
        try:
            super().token(0.0)
        except ProviderPausedError:
            paused = True
        except WaitTimeoutError:
            return
        except _WORTHLESS:
            paused = True
        if paused:
            raise _worthless(_NO, error)


def end_of(token: str) -> float:
    """The Unix time that a JWT names as its end, unverified; infinite where it names none."""
    parts = token.split(".")
    if len(parts) != 3:  # noqa: PLR2004 - RFC 7515 section 7.1
        return math.inf
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        return math.inf
    end = claims.get("exp") if isinstance(claims, Mapping) else None
    if not isinstance(end, (int, float)) or isinstance(end, bool):
        return math.inf
    try:
        seconds = float(end)
    except OverflowError:
        return math.inf if end > 0 else 0.0
    return math.inf if math.isnan(seconds) else seconds


def _worthless(message: str, error: GrantwayError | None = None) -> RequestRefusedError:
    return RequestRefusedError(
        message,
        status=401,
        challenge=f'Bearer error="invalid_token", error_description="{message}"',
        evidence=None if error is None else error.evidence,
    )
