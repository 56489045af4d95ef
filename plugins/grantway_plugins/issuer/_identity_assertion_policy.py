"""Which clients get identity assertions (ID-JAG) for another authorization server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from marshmallow import ValidationError

from grantway._exceptions import ConfigurationError
from grantway._processes.copies import Value
from grantway._types.fields import Scope
from grantway._types.quantity import check_seconds
from grantway_plugins._jose.url_rule import url_problem

from ._resource import is_resource
from ._trust import patterns


@dataclass(frozen=True)
class IdentityAssertionPolicy(Value):
    """Permits clients to act for users at another authorization server.

    A client exchanges a user's ID token for an identity assertion (ID-JAG,
    draft-ietf-oauth-identity-assertion-authz-grant), and the assertion at the other server for an
    access token. The user is not asked: this policy is the consent.

    Attributes:
        audience: Issuer identifier of the other server.
        clients: Client id at this issuer -> id of the same client at the other server. The clients
            must be confidential and registered for token exchange.
        scopes: Scopes of the other server that the clients may request. A request without a scope
            gets all of them. Empty issues assertions without a scope, so that the other server
            decides.
        resources: Resources of the other server (RFC 8707) that the clients may request. A request
            without a resource gets all of them. Empty issues assertions without a resource, so that
            the other server decides.
        users: Patterns of the ``sub`` of users for whom the clients may act; ``*`` stands for any
            characters but ``:`` and ``/``, and ``**`` for any characters.
        claims: Claims of the user in the assertion, such as ``email`` and ``email_verified``, if
            the last login reported them.
        lifetime: Lifetime of an assertion, in seconds, at most 3600.

    Raises:
        ConfigurationError: a field is invalid; the error names it.
    """

    audience: str
    clients: Mapping[str, str] = field(hash=False)
    scopes: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    users: tuple[str, ...] = ("**",)
    claims: tuple[str, ...] = ()
    lifetime: float = 300.0

    def __post_init__(self) -> None:
        """Validate the fields."""
        problem = url_problem("audience", self.audience)
        if problem or set("?#") & set(self.audience):
            raise _invalid("audience", problem or "must have no query or fragment")
        clients: object = self.clients
        if not isinstance(clients, Mapping) or not all(
            isinstance(each, str) and each for each in (*clients, *clients.values())
        ):
            raise _invalid("clients", "must map client ids here to client ids there")
        if not self.clients:
            raise _invalid("clients", 'must name a client, like {"agent": "agent-at-files"}')
        for name in ("scopes", "resources", "users", "claims"):
            value: object = getattr(self, name)
            if not isinstance(value, tuple) or not all(isinstance(v, str) and v for v in value):
                raise _invalid(name, "must be a tuple of strings")
        if self.scopes:
            try:
                Scope().deserialize(self.scopes)
            except ValidationError as invalid:
                raise _invalid("scopes", str(invalid.messages[0])) from None
        if not all(map(is_resource, self.resources)):
            raise _invalid("resources", "must contain absolute URIs without fragment")
        for problem in filter(None, map(patterns.problem_of, self.users)):
            raise _invalid("users", f"has an invalid pattern: it {problem}")
        check_seconds("IdentityAssertionPolicy.lifetime", self.lifetime, least=1, most=3600.0)


def check_policies(policies: object, issuer: str | None) -> None:
    """Check the policies of an issuer.

    Raises:
        ConfigurationError: one is not an ``IdentityAssertionPolicy``, names this issuer as
            audience, or has the audience and a client of another one.
    """
    name = "identity_assertions"
    if not isinstance(policies, tuple) or not all(
        isinstance(each, IdentityAssertionPolicy) for each in policies
    ):
        raise _invalid(name, "must be a tuple of IdentityAssertionPolicy")
    pairs = [(each.audience, client) for each in policies for client in each.clients]
    twice = next((pair for pair in pairs if pairs.count(pair) > 1), None)
    if twice is not None:
        raise _invalid(name, f"has two policies of {twice[1]} for {twice[0]}; combine them")
    if any(each.audience == issuer for each in policies):
        raise _invalid(name, "must not have this issuer as audience: it knows its users itself")


def _invalid(name: str, rule: str) -> ConfigurationError:
    return ConfigurationError(f"IdentityAssertionPolicy.{name}: {rule}.", errors={name: [rule]})
