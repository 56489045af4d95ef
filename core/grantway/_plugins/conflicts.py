"""Resolve conflicts between plugins that register the same name.

The order of loading never decides. For each name:

1. ``prefer`` of the host decides.
2. Otherwise a grant with ``replaces`` wins over the grant that it replaces.
3. Otherwise grantway's own registration stays, and the other plugins are rejected.
4. Otherwise all plugins that register the name are rejected: grantway cannot guess which of two
   third parties should get a caller's secrets.

A rejected plugin is rejected entirely, so that no plugin is half registered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from grantway._exceptions import RegistryError
from grantway._requests.client_auth import STANDARD_METHODS
from grantway._types.plugin_status import APPLICATION, PluginStatus, normal
from grantway._wire.dialect import RFC6749

from .exports import PluginExports
from .kinds import CLIENT_AUTH, DIALECT, GRANT, ISSUER_CLIENT_AUTH, ISSUER_GRANT, Kind
from .selection import VARIABLE, without

#: The distribution whose names third parties cannot take over by accident.
OWN = "grantway"

Key = tuple[Kind, str]
#: Names that the core has without any plugin.
_BUILT_IN = PluginExports(PluginStatus("core", OWN))
_BUILT_IN_NAMES: tuple[Key, ...] = (
    (DIALECT, RFC6749.name),
    *((CLIENT_AUTH, method) for method in STANDARD_METHODS),
    *((ISSUER_CLIENT_AUTH, method) for method in STANDARD_METHODS),
)


class ConflictResolution(NamedTuple):
    """The owner of each registered name.

    Attributes:
        owners: Kind and name to the plugin that owns it.
        values: Kind and name to the registered value.
        conflicts: Kind and name to the reason why no plugin owns it.
        rejected: Reason and exports of each plugin that lost a conflict.
    """

    owners: Mapping[Key, PluginExports]
    values: Mapping[Key, Any]
    conflicts: Mapping[Key, str]
    rejected: tuple[tuple[str, PluginExports], ...]


def resolve_conflicts(
    exports: Sequence[PluginExports], prefer: Mapping[str, str]
) -> ConflictResolution:
    """Assign every name to one plugin, or to none.

    Args:
        exports: The exports of the plugins.
        prefer: grant_type to the plugin or distribution whose grant to use.

    Raises:
        RegistryError: ``prefer`` names a plugin that does not register the grant.
    """
    _check_prefer(exports, prefer)
    rejected: dict[PluginExports, str] = {}
    conflicts: dict[Key, str] = {}
    while True:
        claims = _claims([each for each in exports if each not in rejected])
        owners: dict[Key, tuple[PluginExports, Any]] = {}
        losers: dict[PluginExports, str] = {}
        for key, claimants in claims.items():
            if len(claimants) == 1:
                owners[key] = claimants[0]
                continue
            remaining = _remaining([claimant for claimant, _ in claimants], key, prefer)
            own = [each for each in remaining if _is_own(each)]
            if len(remaining) > 1:
                reason = _reason(key, remaining, stays=bool(own))
                losers |= {each: reason for each in remaining if each not in own}
                conflicts |= {} if own else {key: reason}
            else:
                owners[key] = next(claim for claim in claimants if claim[0] is remaining[0])
        if not losers:
            break
        rejected |= losers
    return ConflictResolution(
        MappingProxyType({key: claim[0] for key, claim in owners.items()}),
        MappingProxyType(
            {key: value for key, (owner, value) in owners.items() if owner is not _BUILT_IN}
        ),
        MappingProxyType(conflicts),
        tuple((reason, each) for each, reason in rejected.items()),
    )


def _claims(exports: Sequence[PluginExports]) -> dict[Key, list[tuple[PluginExports, Any]]]:
    claims: dict[Key, list[tuple[PluginExports, Any]]] = {
        key: [(_BUILT_IN, None)] for key in _BUILT_IN_NAMES
    }
    for each in exports:
        for kind, name, value in each.names():
            claims.setdefault((kind, name), []).append((each, value))
    return claims


def _remaining(
    claimants: Sequence[PluginExports], key: Key, prefer: Mapping[str, str]
) -> list[PluginExports]:
    """Return the plugins that remain after ``prefer`` and ``replaces`` were applied."""
    kind, name = key
    if kind in {GRANT, ISSUER_GRANT} and name in prefer:
        preferred = [each for each in claimants if each.status.goes_by(prefer[name])]
        if preferred:
            return preferred
    replaced = {normal(each.replaces(kind, name)) for each in claimants} - {""}
    return [
        each
        for each in claimants
        if normal(each.status.distribution or APPLICATION) not in replaced
        # Within one distribution, ``replaces`` does not identify one of the two.
        or normal(each.replaces(kind, name)) == normal(each.status.distribution or APPLICATION)
    ] or list(claimants)


def _is_own(exports: PluginExports) -> bool:
    return normal(exports.status.distribution) == OWN


def _reason(key: Key, claimants: Sequence[PluginExports], *, stays: bool) -> str:
    kind, name = key
    claimants = sorted(claimants, key=lambda each: not _is_own(each))
    registered_by = " and ".join(
        f"{each.status.owner} ({each.status.name})" if each is not _BUILT_IN else OWN
        for each in claimants
    )
    others = [each.status for each in claimants if not _is_own(each)]
    outcome = (
        "grantway's own is used."
        if stays
        else "Neither is used, because the order of loading never decides."
    )
    last = others[-1]
    named = last.distribution or last.name
    remedies = []
    if last.distribution:
        chosen = without(last, named)
        remedies.append(f"To exclude {named}, set {VARIABLE}={chosen} in the environment.")
    if kind in {GRANT, ISSUER_GRANT}:
        first = claimants[0].status.distribution or APPLICATION
        remedies.append(
            f"A program can choose with prefer={{{name!r}: {named!r}}}, "
            f"and the author of a plugin with replaces={first!r}."
        )
    elif not remedies:
        remedies.append("To fix it, give one of them another name.")
    return (
        f"The {kind.label} {name!r} is registered by {registered_by}. {outcome} "
        f"{' '.join(remedies)}"
    )


def _check_prefer(exports: Sequence[PluginExports], prefer: Mapping[str, str]) -> None:
    for grant_type, chosen in prefer.items():
        owners = [
            each.status
            for each in exports
            if any((kind, name) == (GRANT, grant_type) for kind, name, _ in each.names())
        ]
        if not any(status.goes_by(chosen) for status in owners):
            paths = ", ".join(status.path for status in owners) or "no plugin"
            raise RegistryError(
                f"prefer: {chosen!r} does not register the grant {grant_type!r}; registered by: "
                f"{paths}."
            )
