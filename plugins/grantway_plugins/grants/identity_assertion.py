"""Enterprise-managed authorization: identity assertions (ID-JAG) instead of user logins.

A client exchanges the user's ID token at the identity provider (IdP) for an identity assertion, and
the assertion at the authorization server of a resource for an access token
(draft-ietf-oauth-identity-assertion-authz-grant, MCP's extension of the same name).
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from grantway._credentials.credential import Credential
from grantway._exceptions import (
    ConfigurationError,
    Evidence,
    GrantwayError,
    LoginNeededError,
    OutcomeUnknownError,
    ResponseInvalidError,
    UnknownTokenError,
)
from grantway._processes.copies import OneProcess
from grantway._processes.driving import drive, drive_async
from grantway._requests.client import Client
from grantway._secrets.params import Params
from grantway._secrets.redaction import printable
from grantway._types.token import Token

from . import jwt_bearer, token_exchange
from ._identity_assertion_check import problem_of
from ._subject_token import SubjectToken, subject_token, subject_token_async
from .token_exchange import ID_JAG

#: The IdP's error if the user must log in again, and its members (RFC 9470).
_STEP_UP, _OF_STEP_UP = "insufficient_user_authentication", ("acr_values", "max_age")


@dataclass(frozen=True, slots=True)
class _Request:
    """A token request of a client; ``of_user`` adds the user's token."""

    client: Client
    arguments: Mapping[str, Any] = field(repr=False)
    of_user: bool = False


_Steps = Generator[_Request, Token, Token]


class IdentityAssertionLogin(OneProcess):
    """Gets tokens for a resource without user interaction, from the user's login at an IdP.

    ::

        company = idp.credential(grant_type="authorization_code", subject="alice", store=store)
        login = IdentityAssertionLogin(idp, subject_token=company)
        token = login(client, scope="files:read", resource="https://mcp.example.com/mcp")

    Each call exchanges the user's ID token at the IdP for an assertion (RFC 8693), and the
    assertion at the client's provider for an access token (RFC 7523). The ID token is sent to the
    IdP only. An assertion is sent only to the provider that it names, and is not returned. If a
    response is lost, both requests are sent once more, with a new assertion: an ID token may be
    exchanged several times.

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
            scope: Scopes to request; by default those of the provider. The IdP may grant fewer.
            resource: The resource that the token is for (RFC 8707); by default the provider's.
            extra: Parameters of another login that the resource requires, such as ``max_age`` (RFC
                9470). Only the user can log in again.

        Raises:
            LoginNeededError: the user has to log in at the IdP again, because the login has expired
                or the IdP or the resource requires another one.
            TokenError: the IdP or the authorization server rejected the request. A note of the
                error says if it was the IdP, which may not permit this access.
            ResponseInvalidError: the IdP returned no identity assertion, or one for another
                audience, client or resource. It was not sent.
            ConfigurationError: the client's provider has no ``issuer``.
            RequestInvalidError: ``subject_token`` is an asynchronous function.
        """
        return drive(self._login(client, scope, resource, extra), self._send)

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
        return await drive_async(self._login(client, scope, resource, extra), self._send_async)

    def _login(
        self,
        client: Client,
        scope: Sequence[str] | str | None,
        resource: str | Sequence[str] | None,
        extra: Mapping[str, Any] | None,
    ) -> _Steps:
        if extra:
            raise self._login_needed(extra, client)
        scope = scope or client.provider.scope
        resource = resource or client.provider.resource
        try:
            return (yield from self._requests(client, scope, resource))
        except OutcomeUnknownError:
            if self._type != token_exchange.ID_TOKEN:
                raise
        return (yield from self._requests(client, scope, resource))

    def _requests(
        self,
        client: Client,
        scope: Sequence[str] | str | None,
        resource: str | Sequence[str] | None,
    ) -> _Steps:
        issuer = client.provider.issuer
        if issuer is None:
            raise ConfigurationError(
                "client: its provider has no issuer, which identity assertions name; discover the "
                "provider, or set Provider.issuer."
            )
        exchange = {
            "grant_type": token_exchange.GRANT_TYPE,
            "subject_token_type": self._type,
            "requested_token_type": ID_JAG,
            "audience": self._audience or issuer,
            **_given(scope=scope, resource=resource),
        }
        with self._naming_idp(issuer):
            token = yield _Request(self._idp, exchange, of_user=True)
        self._check(token, client, resource)
        asked = _given(scope=_narrowed(scope, token.scope), resource=resource)
        asked["grant_type"] = jwt_bearer.GRANT_TYPE
        return (yield _Request(client, Params(asked, assertion=token.access_token)))

    def _send(self, request: _Request) -> Token:
        if not request.of_user:
            return request.client.create_token(**request.arguments)
        return request.client.create_token(
            # Not in a variable, which reports of errors could show.
            subject_token=subject_token(self._subject_token, self._idp.provider.host),
            **request.arguments,
        )

    async def _send_async(self, request: _Request) -> Token:
        if not request.of_user:
            return await request.client.create_token_async(**request.arguments)
        return await request.client.create_token_async(
            subject_token=await subject_token_async(self._subject_token, self._idp.provider.host),
            **request.arguments,
        )

    def _login_needed(self, extra: Mapping[str, Any], client: Client) -> LoginNeededError:
        asked = " ".join(f"{name}={printable(str(extra[name]))}" for name in sorted(extra))
        return LoginNeededError(
            f"{client.provider.host} requires another login of the user: {asked or 'see its error'}"
            f". Log the user in at {self._idp.provider.host} again with these parameters, then "
            "request another token."
        )

    @contextmanager
    def _naming_idp(self, issuer: str) -> Iterator[None]:
        """Say in an error that it is the identity provider's."""
        try:
            yield
        except GrantwayError as error:
            if isinstance(error, UnknownTokenError) and error.error == _STEP_UP:
                known = {name: error.members[name] for name in _OF_STEP_UP if name in error.members}
                raise self._login_needed(known, self._idp) from error
            error.add_note(
                f"Raised while requesting an identity assertion for {issuer} from the identity "
                f"provider {self._idp.provider.host}, whose administrator decides "
                "which clients get assertions."
            )
            raise

    def _check(self, token: Token, client: Client, resource: str | Sequence[str] | None) -> None:
        """Reject anything but an assertion for this client and its provider.

        The signature is for the authorization server to verify.
        """
        auth, provider = self._idp.auth, self._idp.provider
        bound = getattr(auth, "thumbprint", None) if getattr(auth, "require_bound", False) else None
        expected = {
            "iss": provider.issuer,
            "aud": client.provider.issuer,
            "client_id": client.client_id,
            "cnf": {"jkt": bound} if bound else None,
        }
        resources = [resource] if isinstance(resource, str) else resource or ()
        problem = problem_of(token, expected, resources)
        if problem:
            raise ResponseInvalidError(
                f"The response of the identity provider {provider.host} {problem}. Nothing was "
                f"sent to {client.provider.host}. Check the provider's settings for this client.",
                evidence=Evidence(provider=provider.host, grant_type=token_exchange.GRANT_TYPE),
            )

    def __repr__(self) -> str:
        return f"IdentityAssertionLogin({self._idp.provider.host})"


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value}


def _narrowed(
    scope: Sequence[str] | str | None, granted: Sequence[str] | None
) -> Sequence[str] | None:
    """Return the requested scopes that the IdP granted; all of them if it granted none.

    The server may reject a request for more. The IdP cannot add scopes to the request.
    """
    requested = scope.split() if isinstance(scope, str) else scope or ()
    return [each for each in requested if each in (granted or ())] or requested
