"""The issuer's settings, grants and clocks, which every endpoint uses."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from grantway._exceptions import ConfigurationError
from grantway._plugins.default_registry import default_registry
from grantway._plugins.registry import Registry
from grantway._types.grant import Grant, IssuerGrant
from grantway_plugins.issuer._settings import IssuerSettings
from grantway_plugins.issuer._storage.steady_clock import SteadyClock

Clock = Callable[[], float]

_log = logging.getLogger("grantway.issuer")


@dataclass(frozen=True)
class OfferedGrant:
    """A grant and the issuer's decision about it."""

    grant: Grant
    decision: IssuerGrant


@dataclass(frozen=True)
class Issuer:
    """Settings, grants and clocks of an issuer.

    Attributes:
        settings: The operator's choices.
        grants: grant_type -> the grant from both sides.
        clock: Seconds since the epoch.
        steady_clock: The same, but never running backwards.
        repeatable: Parameters that may be sent more than once.
    """

    settings: IssuerSettings
    grants: Mapping[str, OfferedGrant]
    clock: Clock = time.time
    repeatable: frozenset[str] = field(init=False)
    steady_clock: Clock = field(init=False)

    def __post_init__(self) -> None:
        """Collect the repeatable parameters of all grants and start the steady clock."""
        grants = (issued.grant for issued in self.grants.values())
        each = (grant.names.all_of(grant.repeatable) for grant in grants)
        object.__setattr__(self, "repeatable", frozenset().union(*each))
        object.__setattr__(self, "steady_clock", SteadyClock(self.clock))


def offered_grants(registry: Registry | None = None) -> Mapping[str, OfferedGrant]:
    """Join the registered grants with the issuer's sides of them.

    A grant without an issuer's side is not offered, and neither is one that has nothing else.

    Args:
        registry: Where both come from; by default all installed plugins.

    Raises:
        ConfigurationError: there is no grant to offer.
    """
    registry = registry or default_registry()
    sides = registry.issuer_grants
    lost = sorted(set(sides) - set(registry.grants))
    if lost:
        _log.warning("Not offered, because no plugin registered the grant: %s", ", ".join(lost))
    issued = {
        name: OfferedGrant(registry.grants[name], sides[name])
        for name in sides
        if name in registry.grants
    }
    if not issued:
        raise ConfigurationError(
            "The issuer has no grant to offer: no plugin registers a grant with its issuer's side; "
            "see registry.plugins, or reinstall grantway"
        )
    return MappingProxyType(issued)
