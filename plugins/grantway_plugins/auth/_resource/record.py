"""What is stored about a resource, so that another process neither discovers nor logs in."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Self

from grantway._exceptions import GrantwayError
from grantway._requests.provider import Provider
from grantway._types.token import Token

#: The ``token_type`` of a record, which distinguishes it from tokens in the same store.
TOKEN_TYPE = "protected-resource"
_VERSION = 1
#: Logins that may follow each other at once, and seconds after which there may be another one.
BURST, LOGIN_INTERVAL = 10, 30.0
#: The attributes of a provider that are stored.
_MEMBERS = (
    "token_endpoint",
    "issuer",
    "authorization_endpoint",
    "device_authorization_endpoint",
    "registration_endpoint",
    "revocation_endpoint",
    "resource",
)


def same_issuer_and_resource(one: Provider, other: Provider) -> bool:
    """Return whether two providers issue the same tokens: for one resource, by one issuer."""
    return (one.issuer, one.resource) == (other.issuer, other.resource)


@dataclass(frozen=True, slots=True)
class ResourceRecord:
    """The provider of a resource, and the logins there. It contains no secret.

    Attributes:
        provider: The provider, with the resource and the scopes that it names.
        registered_scope: The scope with which the client registered itself.
        requested_scope: The scope that the last login requested.
        requested_at: Unix time of the last login, or 0.
        failure: Identifier and description of the last login if it failed; otherwise empty.
        former_keys: Keys of the tokens of former issuers.
        rate_limit_time: Unix time to which each login adds ``LOGIN_INTERVAL``, and which is not in
            the past then: the theoretical arrival time of the generic cell rate algorithm (GCRA).
    """

    provider: Provider
    registered_scope: tuple[str, ...] = ()
    requested_scope: tuple[str, ...] = ()
    requested_at: float = 0.0
    failure: tuple[str, str] = ("", "")
    former_keys: tuple[str, ...] = ()
    rate_limit_time: float = 0.0

    def to_token(self) -> Token:
        """Return the record in the form in which stores keep it."""
        provider = self.provider
        members = {name: getattr(provider, name) for name in _MEMBERS}
        extra = {
            "version": _VERSION,
            "provider": {name: value for name, value in members.items() if value is not None},
            "metadata": dict(provider.metadata),
            "scope": list(provider.scope),
            "registered_scope": list(self.registered_scope),
            "requested_scope": list(self.requested_scope),
            "requested_at": self.requested_at,
            "failure": list(self.failure),
            "former_keys": list(self.former_keys),
            "rate_limit_time": self.rate_limit_time,
        }
        return Token(provider.issuer or provider.token_endpoint, TOKEN_TYPE, extra=extra)

    @classmethod
    def of(cls, stored: Token | None) -> Self | None:
        """Return the record in a token, or None if this version cannot read it."""
        if stored is None or stored.token_type != TOKEN_TYPE:
            return None
        extra: Mapping[str, Any] = stored.extra
        if extra.get("version") != _VERSION:
            return None
        try:
            identifier, description = extra["failure"]
            return cls(
                Provider(
                    **extra["provider"],
                    metadata=MappingProxyType(dict(extra["metadata"])),
                    scope=tuple(extra["scope"]),
                ),
                registered_scope=tuple(extra["registered_scope"]),
                requested_scope=tuple(extra["requested_scope"]),
                requested_at=float(extra["requested_at"]),
                failure=(identifier, description),
                former_keys=tuple(extra["former_keys"]),
                rate_limit_time=float(extra["rate_limit_time"]),
            )
        except (GrantwayError, KeyError, TypeError, ValueError):
            return None

    def moved_to(self, provider: Provider, token_key: str) -> ResourceRecord:
        """Return the record for another issuer, to which no other value applies.

        Args:
            provider: The provider.
            token_key: Key of the token of the present provider, or empty.
        """
        former = tuple(dict.fromkeys(filter(None, [*self.former_keys, token_key])))
        return ResourceRecord(provider, former_keys=former, rate_limit_time=self.rate_limit_time)

    def with_attempt(self) -> ResourceRecord:
        """Return the record at the start of a login."""
        now = time.time()
        # The clock may have been ahead.
        before = min(max(self.rate_limit_time, now), now + BURST * LOGIN_INTERVAL)
        return replace(self, rate_limit_time=before + LOGIN_INTERVAL)

    @property
    def wait(self) -> float:
        """Seconds until another login may begin; 0 or less if that is now."""
        return self.with_attempt().rate_limit_time - time.time() - BURST * LOGIN_INTERVAL

    def with_login(self, scope: tuple[str, ...]) -> ResourceRecord:
        """Return the record after a login that requested a scope."""
        return replace(self, requested_scope=scope, requested_at=time.time(), failure=("", ""))
