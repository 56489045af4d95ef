"""The input and the results of a grant's decision at the issuer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from grantway._processes.copies import Value
from grantway._secrets.params import Params
from grantway._types.quantity import check_seconds
from grantway_plugins.issuer._settings import IssuerSettings
from grantway_plugins.issuer._storage.records import RegisteredClient, TokenFamily
from grantway_plugins.server._http.denial import Denial

from .randomness import new_id


@dataclass(frozen=True, slots=True)
class GrantRequest:
    """A token request with an authenticated client and valid parameters.

    Attributes:
        params: RFC names to values.
        client: The authenticated client, registered for this grant.
        now: Seconds since the epoch.
        steady_now: The same, from a clock that never runs backwards. Measure with it how long ago
            something happened; compare expiry times with ``now``.
        settings: The operator's choices.
    """

    params: Params
    client: RegisteredClient
    now: float
    steady_now: float
    settings: IssuerSettings

    def issue(
        self,
        *,
        subject: str,
        scope: tuple[str, ...] | None = None,
        lifetime: float | None = None,
        refresh_token: bool = True,
        audience: tuple[str, ...] = (),
        members: Mapping[str, str] = MappingProxyType({}),
        origin: TokenFamily | None = None,
    ) -> Issue | Denial:
        """Return a decision that starts a new approval, or a denial if the scope is too wide.

        Args:
            subject: The subject of the tokens.
            scope: The scopes to issue; by default the requested ones, or all that the client is
                registered for.
            lifetime: Seconds that the approval lasts; by default the operator's ``refresh_family``.
            refresh_token: Whether to issue a refresh token.
            audience: Audience of the access token; empty for any.
            members: More members of the answer, RFC names.
            origin: The family of the exchanged token. Revoking that login
                revokes this one as well.
        """
        if lifetime is not None:
            check_seconds("lifetime", lifetime)
        issued = scope or tuple(self.params.get("scope") or ()) or self.client.scope
        if not set(issued) <= set(self.client.scope):
            return Denial("invalid_scope", "scope asks for more than the client is registered for")
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
        family: The approval they belong to.
        scope: The access token's scopes, no wider than the family's.
        new: Whether the family begins here.
        refresh_token: Whether a client that may refresh gets a refresh token.
        audience: Audience of the access token, as introspection reports it; empty for any.
        members: More members of the answer, RFC names. They cannot take the place of the tokens'.
    """

    family: TokenFamily
    scope: tuple[str, ...]
    new: bool = False
    refresh_token: bool = True
    audience: tuple[str, ...] = ()
    members: Mapping[str, str] = field(default_factory=dict)
