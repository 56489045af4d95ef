"""Load the extensions of plugins, and leave out those that fail or conflict."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from grantway._exceptions import PluginError
from grantway._plugins.kinds import ISSUER_EXTENSION
from grantway._plugins.registry import Registry
from grantway._types.callables import kind_of
from grantway._types.issuer_plugins import IssuerExtension
from grantway_plugins.issuer._decisions.plugin_calls import call_plugin
from grantway_plugins.issuer._settings import IssuerSettings

from .additions import Additions, Endpoint, Page

T = TypeVar("T")

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
    """What the extensions add to one issuer.

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
    loaded: list[tuple[OfferedExtension, _Claims]] = []
    for each in offered:
        try:
            claims = _Claims.of(each, settings)
            claims.check(paths, metadata)
        except PluginError as error:
            _leave_out(each, error.message)
        else:
            loaded.append((each, claims))
    kept = []
    for each, claims in loaded:
        others = [(other, theirs) for other, theirs in loaded if other is not each]
        conflict = next(
            (f"{what} of {other.named}" for other, theirs in others for what in claims & theirs), ""
        )
        if conflict:
            _leave_out(each, f"it conflicts with {conflict}; uninstall or block one of the plugins")
        else:
            kept.append((each, claims))
    return Served(
        {path: (one, each) for each, claims in kept for path, one in claims.endpoints.items()},
        {path: (one, each) for each, claims in kept for path, one in claims.pages.items()},
        {name: value for _, claims in kept for name, value in claims.metadata.items()},
    )


def _leave_out(extension: OfferedExtension, why: str) -> None:
    _log.warning("Not serving %s: %s", extension.named, why)


class _Claims:
    """The checked additions of one extension, by path and name."""

    def __init__(
        self,
        endpoints: Mapping[str, Endpoint],
        pages: Mapping[str, Page],
        metadata: Mapping[str, Any],
    ) -> None:
        self.endpoints, self.pages, self.metadata = endpoints, pages, metadata

    @classmethod
    def of(cls, offered: OfferedExtension, settings: IssuerSettings) -> _Claims:
        """Call an extension.

        Raises:
            PluginError: it failed or returned something invalid.
        """
        found = call_plugin(
            f"extend of the issuer extension {offered.name}",
            offered.plugin,
            offered.extension.extend,
            settings,
            returns=(Additions,),
        )
        try:
            return cls(
                _by_path(found.endpoints, Endpoint),
                _by_path(found.pages, Page),
                _metadata(found.metadata),
            )
        except _InvalidError as error:
            raise PluginError(str(error), plugin=offered.plugin) from None

    def check(self, paths: Collection[str], metadata: Collection[str]) -> None:
        """Reject additions that conflict with the issuer's own, or with each other.

        Raises:
            PluginError: names the path or entry.
        """
        for path in (*self.endpoints, *self.pages):
            if path in paths or path.startswith("/static/"):
                raise PluginError(f"the issuer itself serves {path}; use another path")
            if path in self.endpoints and path in self.pages:
                raise PluginError(f"it has an endpoint and a page at {path}; use another path")
        for name in self.metadata:
            if name in metadata:
                raise PluginError(
                    f"the issuer itself sets the metadata entry {name}, which extensions cannot "
                    "change; use another name"
                )

    def __and__(self, other: _Claims) -> Iterator[str]:
        """Yield the names of what both add."""
        mine, theirs = {**self.endpoints, **self.pages}, {**other.endpoints, **other.pages}
        yield from (f"the path {path}" for path in mine if path in theirs)
        for name, value in self.metadata.items():
            if name in other.metadata and other.metadata[name] != value:
                yield f"the metadata entry {name}"


class _InvalidError(Exception):
    """An invalid addition."""


def _by_path(additions: object, kind: type[T]) -> dict[str, T]:
    if not isinstance(additions, Iterable):
        raise _InvalidError(f"its list of {kind.__name__} objects is {kind_of(additions)}")
    found: dict[str, T] = {}
    for each in additions:
        if not isinstance(each, kind):
            raise _InvalidError(f"one of its {kind.__name__} objects is {kind_of(each)}")
        path: str = each.path  # type: ignore[attr-defined]
        if path in found:
            raise _InvalidError(f"it has two {kind.__name__} objects for {path}; use one")
        found[path] = each
    return found


def _metadata(entries: object) -> dict[str, Any]:
    if not isinstance(entries, Mapping):
        raise _InvalidError(f"its metadata is {kind_of(entries)}, not a mapping")
    try:
        encoded = json.dumps(dict(entries), allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        encoded = None
    if encoded is None:
        raise _InvalidError("its metadata is not a JSON object")
    copied: dict[str, Any] = json.loads(encoded)
    return copied
