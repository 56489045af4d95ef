"""The issuer as every endpoint sees it: its settings, grants and clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from grantway.exceptions import ConfigurationError
from grantway.grant import Grant
from grantway.registry import default_registry

from .decision import IssuerGrant
from .grants import STANDARD
from .settings import IssuerSettings

Clock = Callable[[], float]


@dataclass(frozen=True)
class IssuedGrant:
    """A grant from both sides: the schema that its client uses too, and the issuer's decision."""

    grant: Grant
    decision: IssuerGrant
    names: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        """Know the parameters; an unknown one on the wire is ignored (RFC 6749 section 3.2)."""
        object.__setattr__(self, "names", frozenset(self.grant.schema.fields))


@dataclass(frozen=True)
class Issuer:
    """What every endpoint needs to decide.

    Attributes:
        settings: The operator's choices.
        grants: grant_type -> the grant from both sides.
        clock: Seconds since the epoch.
    """

    settings: IssuerSettings
    grants: Mapping[str, IssuedGrant]
    clock: Clock = time.time


def issued_grants(
    grants: Mapping[str, Grant] | None = None,
    decisions: Mapping[str, IssuerGrant] = STANDARD,
) -> Mapping[str, IssuedGrant]:
    """Join the registered grants with the issuer's decisions.

    Args:
        grants: grant_type -> grant; by default all registered ones.
        decisions: grant_type -> decision. A grant without one is not offered.

    Raises:
        ConfigurationError: a decision's grant is not registered.
    """
    registered = default_registry().grants if grants is None else grants
    missing = sorted(set(decisions) - set(registered))
    if missing:
        raise ConfigurationError(
            f"The issuer decides {', '.join(missing)}, which no plugin registered; "
            "reinstall grantway, or pass grants that hold them"
        )
    return MappingProxyType(
        {name: IssuedGrant(registered[name], decision) for name, decision in decisions.items()}
    )
