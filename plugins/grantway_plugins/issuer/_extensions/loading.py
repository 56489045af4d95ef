"""Load the extensions of plugins, and leave out those that fail or conflict."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from grantway._exceptions import PluginError
from grantway._plugins.kinds import ISSUER_EXTENSION
from grantway._plugins.registry import Registry
from grantway._types.issuer_plugins import IssuerExtension
from grantway_plugins.issuer._decisions.plugin_calls import call_plugin
from grantway_plugins.issuer._settings import IssuerSettings

from .additions import Additions, Endpoint, Page

_log = logging.getLogger("grantway.issuer")


@dataclass(frozen=True, slots=True)
class OfferedExtension:
    """An extension and the plugin that registered it."""

    name: str
    plugin: str
    extension: IssuerExtension

    @property
    def named(self) -> str:
        """The name for messages."""
        return f"the issuer extension {self.name} ({self.plugin})"


@dataclass(frozen=True, slots=True)
class Served:
    """The additions of all extensions to one issuer.

    Attributes:
        endpoints: Endpoints with their extensions, by path.
        pages: Pages with their extensions, by path.
        metadata: Entries of the metadata document.
    """

    endpoints: Mapping[str, tuple[Endpoint, OfferedExtension]] = field(default_factory=dict)
    pages: Mapping[str, tuple[Page, OfferedExtension]] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)


def offered_extensions(registry: Registry) -> tuple[OfferedExtension, ...]:
    """Return the registered extensions. Those that cannot be imported are skipped and logged."""
    return tuple(
        OfferedExtension(name, registry.owner_of(ISSUER_EXTENSION, name).named, extension)
        for name, extension in registry.issuer_extensions.usable().items()
    )


def load_extensions(
    offered: Iterable[OfferedExtension],
    settings: IssuerSettings,
    *,
    paths: Collection[str],
    metadata: Collection[str],
) -> Served:
    """Call the extensions and return what they add.

    An extension that fails, or conflicts with the issuer or with another extension, is left out
    entirely, and a warning says why. The order of the extensions never matters.

    Args:
        offered: The extensions.
        settings: Settings of the issuer.
        paths: The issuer's own paths.
        metadata: The names of the issuer's own metadata entries.
    """
    loaded: list[tuple[OfferedExtension, Additions]] = []
    for each in offered:
        try:
            added: Additions = call_plugin(
                "extend", each.plugin, each.extension.extend, settings, returns=(Additions,)
            )
        except PluginError as error:
            _leave_out(each, error.message)
            continue
        if problem := _conflict_with_issuer(added, paths, metadata):
            _leave_out(each, problem)
        else:
            loaded.append((each, added))
    kept: list[tuple[OfferedExtension, Additions]] = []
    for each, added in loaded:
        conflicts = (
            f"{what} of {other.named}"
            for other, theirs in loaded
            if other is not each
            for what in _in_both(added, theirs)
        )
        if conflict := next(conflicts, ""):
            _leave_out(each, f"it conflicts with {conflict}; uninstall or block one of the plugins")
        else:
            kept.append((each, added))
    return Served(
        {one.path: (one, each) for each, added in kept for one in added.endpoints},
        {one.path: (one, each) for each, added in kept for one in added.pages},
        {name: value for _, added in kept for name, value in added.metadata.items()},
    )


def _leave_out(extension: OfferedExtension, why: str) -> None:
    _log.warning("Not serving %s: %s", extension.named, why)


def _paths(added: Additions) -> set[str]:
    return {each.path for each in added.endpoints} | {each.path for each in added.pages}


def _conflict_with_issuer(
    added: Additions, paths: Collection[str], metadata: Collection[str]
) -> str | None:
    """Return what the issuer itself has, and how to fix it; or None."""
    for path in sorted(_paths(added)):
        if path in paths or path.startswith("/static/"):
            return f"the issuer itself serves {path}; use another path"
    for name in added.metadata:
        if name in metadata:
            return (
                f"the issuer itself sets the metadata entry {name}, which extensions cannot "
                "change; use another name"
            )
    return None


def _in_both(added: Additions, others: Additions) -> Iterator[str]:
    """Yield the names of what both add."""
    yield from (f"the path {path}" for path in sorted(_paths(added) & _paths(others)))
    for name, value in added.metadata.items():
        if name in others.metadata and others.metadata[name] != value:
            yield f"the metadata entry {name}"
