"""Input and output of an issuer grant's ``decide`` method."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from grantway._processes.copies import Value
from grantway._secrets.params import Params
from grantway._types.quantity import check_seconds
from grantway_plugins.issuer._settings import IssuerSettings
from grantway_plugins.issuer._storage.records import (
    AccessTokenRecord,
    RegisteredClient,
    TokenFamily,
)
from grantway_plugins.issuer._trust.trusted_token import RejectedToken, TrustedToken
from grantway_plugins.server._http.denial import Denial
from grantway_plugins.server._http.headers import Headers

from .randomness import new_id
from .resources import target_denial
from .tokens.access_token import find_access_token

if TYPE_CHECKING:
    from grantway_plugins.issuer._keys.ring import KeyRing
    from grantway_plugins.issuer._storage.transaction import Transaction


@dataclass(frozen=True, slots=True)
class GrantRequest:
    """A token request with an authenticated client and valid parameters.

    Attributes:
        params: Parameters by RFC name.
        client: The authenticated client, which is registered for this grant.
        now: Current time in seconds since the epoch. Compare expiry times with it.
        steady_now: The same, from a clock that never runs backwards. Use it to measure how long ago
            something happened.
        settings: Settings of the issuer.
        headers: Headers of the request; names are case-insensitive. The repr omits the values.
        peer: Address that sent the request: the connection's, or the one that a trusted proxy
            forwards. Empty if unknown.
        trusted: Tokens of trusted issuers in the parameters ``assertion`` and ``subject_token``, by
            parameter. A parameter that is not a JWT is missing.
        confirmation: Key to which the access token will be bound, as the members of the ``cnf``
            claim (RFC 7800 section 3.1), such as ``jkt`` (RFC 9449). Empty for a bearer token.
        resources: Requested resources (RFC 8707), which become the audience of the access token
            unless the decision sets one.
        keys: Signing keys of the issuer, or None.
    """

    params: Params
    client: RegisteredClient
    now: float
    steady_now: float
    settings: IssuerSettings
    headers: Headers = field(default_factory=Headers)
    peer: str = ""
    trusted: Mapping[str, TrustedToken | RejectedToken] = field(default_factory=dict, repr=False)
    confirmation: Mapping[str, str] = field(default_factory=dict)
    resources: tuple[str, ...] = ()
    keys: KeyRing | None = field(default=None, repr=False)

    def access_token(self, token: str, transaction: Transaction) -> AccessTokenRecord | None:
        """Return an access token of this issuer, which may be a JWT, or None if it is unknown.

        Check whether it has expired and whether its family was revoked.
        """
        return find_access_token(
            token, transaction, keys=self.keys, url=self.settings.url, now=self.now
        )

    def issue(
        self,
        *,
        subject: str,
        scope: tuple[str, ...] | None = None,
        lifetime: float | None = None,
        refresh_token: bool = True,
        audience: tuple[str, ...] = (),
        members: Mapping[str, Any] = MappingProxyType({}),
        origin: TokenFamily | None = None,
    ) -> Issue | Denial:
        """Return a decision to issue tokens of a new family, or a denial if the scope is too wide.

        Args:
            subject: Subject of the tokens.
            scope: Scopes to issue; by default the requested ones, or all that the client is
                registered for.
            lifetime: Lifetime of the family, in seconds; by default the setting ``refresh_family``.
            refresh_token: Whether to issue a refresh token.
            audience: Audience of the access token; empty for any.
            members: Additional members of the response, by RFC name, as JSON values.
            origin: The family of an exchanged token. Revoking that login revokes the new tokens as
                well.
        """
        if lifetime is not None:
            check_seconds("lifetime", lifetime)
        issued = scope or tuple(self.params.get("scope") or ()) or self.client.scope
        if not set(issued) <= set(self.client.scope):
            return Denial("invalid_scope", "scope exceeds the scopes that the client registered")
        denial = target_denial(self, (), issued, audience)
        if denial is not None:
            return denial
        family = TokenFamily(
            family_id=new_id(),
            client_id=self.client.client_id,
            subject=subject,
            scope=issued,
            expires_at=self.now + (lifetime or self.settings.lifetimes.refresh_family),
            origin=None if origin is None else origin.origin or origin.family_id,
        )
        return Issue(
            family,
            issued,
            new=True,
            refresh_token=refresh_token,
            audience=audience,
            members=members,
        )


@dataclass(frozen=True, slots=True)
class Issue(Value):
    """A decision to issue tokens.

    Attributes:
        family: Token family of the tokens.
        scope: Scopes of the access token, a subset of the family's.
        new: Whether the family is new.
        refresh_token: Whether to issue a refresh token to a client that may use one.
        audience: Audience of the access token, as introspection reports it; empty for any.
        members: Additional members of the response, by RFC name, as JSON values. They do not
            override the standard ones.
        signed: Whether to issue a JWT for the audience instead of an access token of this issuer,
            which ``IssuerSettings.keys`` or ``signing_keys`` must enable. It cannot be revoked.
        claims: Claims of such a JWT, which replace the default ones.
        typ: The ``typ`` of such a JWT.
    """

    family: TokenFamily
    scope: tuple[str, ...]
    new: bool = False
    refresh_token: bool = True
    audience: tuple[str, ...] = ()
    members: Mapping[str, Any] = field(default_factory=dict)
    signed: bool = False
    claims: Mapping[str, Any] = field(default_factory=dict)
    typ: str = "JWT"
