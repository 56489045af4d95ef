"""Enterprise-managed authorization: identity assertions (ID-JAG) instead of user logins.

A client exchanges the user's ID token at the identity provider (IdP) for an identity assertion, and
the assertion at the authorization server of a resource for an access token
(draft-ietf-oauth-identity-assertion-authz-grant, MCP's extension of the same name).
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from grantway._credentials.credential import Credential
from grantway._exceptions import (
    ConfigurationError,
    Evidence,
    GrantwayError,
    LoginNeededError,
    ResponseInvalidError,
)
from grantway._processes.copies import OneProcess
from grantway._requests.client import Client
from grantway._secrets.redaction import printable
from grantway._types.callables import is_async
from grantway._types.secret_source import SecretSource
from grantway._types.token import Token
from grantway_plugins._jwt import unverified_claims, unverified_expiry, unverified_part

from . import jwt_bearer, token_exchange
from ._fields import ID_JAG_TYP
from .token_exchange import ID_JAG

#: Seconds before the expiry of an ID token at which it is renewed.
_MARGIN = 10.0
#: Accepted difference between the clocks of the client and the IdP, in seconds.
_LEEWAY = 60.0

SubjectToken = str | Credential | SecretSource | Callable[[], str] | Callable[[], Awaitable[str]]


class IdentityAssertionLogin(OneProcess):
    """Gets tokens for a resource without user interaction, from the user's login at an IdP.

    ::

        company = idp.credential(grant_type="authorization_code", subject="alice", store=store)
        login = IdentityAssertionLogin(idp, subject_token=company)
        token = login(client, scope="files:read", resource="https://mcp.example.com/mcp")

    Each call exchanges the user's ID token at the IdP for an assertion (RFC 8693), and the
    assertion at the client's provider for an access token (RFC 7523). The ID token is sent to the
    IdP only. An assertion is sent only to the provider that it names, and is not returned.

    Args:
        idp: The client at the IdP.
        subject_token: The user's ID token: text, a credential of ``idp`` whose login requested the
            scope ``openid``, a secret source, or a function that returns it. ``login_async``
            accepts asynchronous functions as well. The ID token of a credential is renewed by a
            refresh when it has expired.
        subject_token_type: Its type (RFC 8693 section 3), such as ``token_exchange.SAML2`` for a
            SAML assertion in base64url, or ``REFRESH_TOKEN`` if the IdP accepts one.
        audience: What the IdP calls the authorization server of the resource; by default its
            issuer identifier.

    Raises:
        ConfigurationError: a credential is combined with another type than ``ID_TOKEN``.
    """

    stays = "it may hold an ID token; create it in the process that uses it"

    def __init__(
        self,
        idp: Client,
        *,
        subject_token: SubjectToken,
        subject_token_type: str = token_exchange.ID_TOKEN,
        audience: str | None = None,
    ) -> None:
        is_credential = isinstance(subject_token, Credential)
        if is_credential and subject_token_type != token_exchange.ID_TOKEN:
            raise ConfigurationError(
                "subject_token_type: a credential provides ID tokens; omit subject_token_type, or "
                "pass the other token as subject_token."
            )
        self._idp = idp
        self._subject_token = subject_token
        self._type = subject_token_type
        self._audience = audience

    def __call__(
        self,
        client: Client,
        *,
        scope: Sequence[str] | str | None = None,
        resource: str | Sequence[str] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> Token:
        """Return an access token for the user.

        Args:
            client: The client at the authorization server of the resource. Its provider must have
                an ``issuer``.
            scope: Scopes to request; the IdP may grant fewer.
            resource: The resource that the token is for (RFC 8707).
            extra: Parameters of another login that the resource requires, such as ``max_age`` (RFC
                9470). Only the user can log in again.

        Raises:
            LoginNeededError: the user has to log in at the IdP again.
            TokenError: the IdP or the authorization server rejected the request. A note tells if it
                was the IdP, which may not permit this access.
            ResponseInvalidError: the IdP returned no identity assertion, or one for another
                audience, client or resource. It was not sent.
            ConfigurationError: the client's provider has no ``issuer``.
            RequestInvalidError: ``subject_token`` is an asynchronous function.
        """
        self._reject(extra, client)
        exchange = self._exchange(client, scope, resource)
        with self._noting(client):
            token = self._idp.create_token(subject_token=self._subject(), **exchange)
        self._check(token, client, resource)
        return client.create_token(**_redemption(token, scope, resource))

    async def login_async(
        self,
        client: Client,
        *,
        scope: Sequence[str] | str | None = None,
        resource: str | Sequence[str] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> Token:
        """Return an access token without blocking the event loop; see ``__call__``.

        Args:
            client: As for ``__call__``.
            scope: As for ``__call__``.
            resource: As for ``__call__``.
            extra: As for ``__call__``.
        """
        self._reject(extra, client)
        exchange = self._exchange(client, scope, resource)
        with self._noting(client):
            token = await self._idp.create_token_async(
                subject_token=await self._subject_async(), **exchange
            )
        self._check(token, client, resource)
        return await client.create_token_async(**_redemption(token, scope, resource))

    def _reject(self, extra: Mapping[str, Any] | None, client: Client) -> None:
        if extra:
            asked = " ".join(f"{name}={_shown(value)}" for name, value in sorted(extra.items()))
            raise LoginNeededError(
                f"A resource of {client.provider.host} requires another login of the user: {asked}."
                f" Log the user in at {self._idp.provider.host} again with these parameters, then "
                "request another token."
            )

    def _exchange(
        self,
        client: Client,
        scope: Sequence[str] | str | None,
        resource: str | Sequence[str] | None,
    ) -> dict[str, Any]:
        issuer = client.provider.issuer
        if issuer is None:
            raise ConfigurationError(
                "client: its provider has no issuer, which identity assertions name; discover the "
                "provider, or set Provider.issuer."
            )
        asked = {"scope": scope, "resource": resource}
        return {
            "grant_type": token_exchange.GRANT_TYPE,
            "subject_token_type": self._type,
            "requested_token_type": ID_JAG,
            "audience": self._audience or issuer,
            **{name: value for name, value in asked.items() if value},
        }

    def _subject(self) -> Any:
        source = self._subject_token
        if not isinstance(source, Credential):
            return source
        token = source.token()
        if not _lasts(token):
            source.invalidate(token)
            token = source.token()
        return self._id_token(token)

    async def _subject_async(self) -> Any:
        source: Any = self._subject_token
        if isinstance(source, Credential):
            token = await source.token_async()
            if not _lasts(token):
                source.invalidate(token)
                token = await source.token_async()
            return self._id_token(token)
        return await source() if is_async(source) else source

    def _id_token(self, token: Token) -> str:
        if not token.id_token or not _lasts(token):
            problem = "has expired" if token.id_token else "is missing: request the scope openid"
            raise LoginNeededError(
                f"The user's ID token of {self._idp.provider.host} {problem}. Log in there again."
            )
        return token.id_token

    @contextmanager
    def _noting(self, client: Client) -> Iterator[None]:
        try:
            yield
        except GrantwayError as error:
            error.add_note(
                f"Raised while requesting an identity assertion for {client.provider.issuer} from "
                f"the identity provider {self._idp.provider.host}, whose administrator decides "
                "which clients get assertions."
            )
            raise

    def _check(self, token: Token, client: Client, resource: str | Sequence[str] | None) -> None:
        """Reject anything but an assertion for this client and its provider.

        The signature is for the authorization server to verify.
        """
        auth = self._idp.auth
        bound = getattr(auth, "thumbprint", None) if getattr(auth, "require_bound", False) else None
        expected = {
            "iss": self._idp.provider.issuer,
            "aud": client.provider.issuer,
            "client_id": client.client_id,
            "cnf": {"jkt": bound} if bound else None,
        }
        resources = [resource] if isinstance(resource, str) else resource or ()
        problem = _response_problem(token) or _problem_of(token.access_token, expected, resources)
        if problem:
            host = self._idp.provider.host
            raise ResponseInvalidError(
                f"The response of the identity provider {host} {problem}. Nothing was sent to "
                f"{client.provider.host}. Check the identity provider's settings for this client.",
                evidence=Evidence(provider=host, grant_type=token_exchange.GRANT_TYPE),
            )

    def __repr__(self) -> str:
        return f"IdentityAssertionLogin({self._idp.provider.host})"


def _redemption(
    token: Token, scope: Sequence[str] | str | None, resource: str | Sequence[str] | None
) -> dict[str, Any]:
    """Return the arguments that exchange an assertion for an access token."""
    # The IdP may have granted fewer scopes, and the server may reject a request for more.
    asked = {"scope": scope and (token.scope or scope), "resource": resource}
    return {
        "grant_type": jwt_bearer.GRANT_TYPE,
        "assertion": token.access_token,
        **{name: value for name, value in asked.items() if value},
    }


def _lasts(token: Token) -> bool:
    held = token.id_token or ""
    return held != "" and unverified_expiry(held) > time.time() + _MARGIN


def _response_problem(token: Token) -> str:
    issued = token.extra.get("issued_token_type")
    if issued != ID_JAG:
        return f"has the issued_token_type {_shown(issued)}, not {ID_JAG}"
    if token.token_type.lower() != "n_a":
        return f"has the token_type {_shown(token.token_type)}, not N_A"
    return ""


def _problem_of(assertion: str, expected: dict[str, Any], resources: Sequence[str]) -> str:
    """Return why an assertion must not be sent, or an empty string."""
    claims = unverified_claims(assertion)
    if str(unverified_part(assertion.partition(".")[0]).get("typ")).lower() != ID_JAG_TYP:
        return f"is no JWT with the typ {ID_JAG_TYP}"
    for name, value in expected.items():
        found = claims.get(name)
        if value is not None and found != value and not (name == "aud" and found == [value]):
            return f"is an assertion with the {name} {_shown(found)}, not {value}"
    named = claims.get("resource", resources)
    allowed = named if isinstance(named, Sequence) and not isinstance(named, str) else [named]
    missing = [each for each in resources if each not in allowed]
    if missing:
        return f"is an assertion for the resource {_shown(named)}, not {missing[0]}"
    if unverified_expiry(assertion) + _LEEWAY <= time.time():
        return "is an assertion that has expired; compare the clocks"
    return ""


def _shown(value: object) -> str:
    return printable(str(value))
