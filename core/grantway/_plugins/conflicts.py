"""Resolve conflicts between plugins that register the same name.

The order of loading never decides. For each name:

1. ``prefer`` of the host decides.
2. Otherwise a grant with ``replaces`` wins over the grant that it replaces.
3. Otherwise grantway's own registration stays.
4. Otherwise no registration of the name is used: grantway cannot guess which of two third parties
   should get a caller's secrets.

A plugin that loses a name keeps its other names. The two parts of a grant belong together: a plugin
that loses a grant to a conflict also loses the issuer grant of the same name.
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
from .kinds import (
    CLIENT_AUTH,
    DIALECT,
    GRANT,
    ISSUER_CLIENT_AUTH,
    ISSUER_GRANT,
    LOGIN_FLOW,
    TENANT_RULE,
    Kind,
)
from .selection import VARIABLE, without

#: The distribution whose names third parties cannot take over by accident.
OWN = "grantway"

Key = tuple[Kind, str]
#: Grants that ``grantway login`` supports without a plugin.
_STANDARD_LOGINS = ("authorization_code", "urn:ietf:params:oauth:grant-type:device_code")
#: Names that grantway has without any plugin.
_BUILT_IN = PluginExports(PluginStatus("core", OWN))
_BUILT_IN_NAMES: tuple[Key, ...] = (
    (DIALECT, RFC6749.name),
    *((CLIENT_AUTH, method) for method in STANDARD_METHODS),
    *((TENANT_RULE, rule) for rule in ("claim", "header", "host", "path", "single")),
    *((ISSUER_CLIENT_AUTH, method) for method in STANDARD_METHODS),
    *((LOGIN_FLOW, grant_type) for grant_type in _STANDARD_LOGINS),
)


class ConflictResolution(NamedTuple):
    """The owner of each registered name.

    Attributes:
        owners: Kind and name to the plugin that owns it.
        values: Kind and name to the registered value.
        conflicts: Kind and name to the reason why no plugin owns it.
        lost: Exports of each plugin that lost names, to the reasons.
    """

    owners: Mapping[Key, PluginExports]
    values: Mapping[Key, Any]
    conflicts: Mapping[Key, str]
    lost: Mapping[PluginExports, tuple[str, ...]]


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
    owners: dict[Key, PluginExports] = {}
    conflicts: dict[Key, str] = {}
    lost: dict[PluginExports, dict[Key, str]] = {}
    claims = _claims(exports)
    for key in sorted(claims, key=lambda key: key[0] is not GRANT):  # grants first
        kind, name = key
        claimants = list(claims[key])
        if kind is ISSUER_GRANT:
            claimants = [each for each in claimants if (GRANT, name) not in lost.get(each, ())]
        owner, losers = _settled(key, claimants, prefer)
        for each, reason in losers.items():
            lost.setdefault(each, {})[key] = reason
        if owner is not None:
            owners[key] = owner
        elif losers:
            conflicts[key] = next(iter(losers.values()))
    return ConflictResolution(
        MappingProxyType(owners),
        MappingProxyType(
            {key: claims[key][owner] for key, owner in owners.items() if owner is not _BUILT_IN}
        ),
        MappingProxyType(conflicts),
        MappingProxyType({each: tuple(reasons.values()) for each, reasons in lost.items()}),
    )


def _claims(exports: Sequence[PluginExports]) -> dict[Key, dict[PluginExports, Any]]:
    """Return the plugins that register each name, with the values."""
    claims: dict[Key, dict[PluginExports, Any]] = {
        key: {_BUILT_IN: None} for key in _BUILT_IN_NAMES
    }
    for each in exports:
        for kind, name, value in each.names():
            claims.setdefault((kind, name), {})[each] = value
    return claims


def _settled(
    key: Key, claimants: Sequence[PluginExports], prefer: Mapping[str, str]
) -> tuple[PluginExports | None, dict[PluginExports, str]]:
    """Return the owner of a name, or None, and for each plugin that loses it the reason."""
    losers: dict[PluginExports, str] = {}
    if len(claimants) == 1:
        return claimants[0], losers
    while True:
        remaining = _remaining(claimants, key, prefer)
        if len(remaining) < 2:  # noqa: PLR2004 - two plugins conflict
            return (remaining[0] if remaining else None), losers
        own = [each for each in remaining if _is_own(each)][:1]
        reason = _reason(key, remaining, stays=bool(own))
        losers |= {each: reason for each in remaining if each not in own}
        # If the plugins that replace a grant conflict, the replaced grant stays.
        claimants = [each for each in claimants if each not in losers]


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
