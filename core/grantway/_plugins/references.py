"""Registered objects that are named by a reference and imported on first use."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from grantway._exceptions import PluginLoadError
from grantway._types.plugin_status import PluginStatus

from .entry_points import load_object
from .failures import not_loaded, reason_of, report_failures

T = TypeVar("T")


class References(Mapping[str, T]):
    """Name -> registered object. Iterating over the names imports nothing.

    Args:
        registered: Name -> object, or a reference to one, like ``module:attribute``.
        owner: Returns the plugin that registered a name.
        check: Called with the name and object of a reference; raises an error to reject it.
    """

    def __init__(
        self,
        registered: Mapping[str, T | str],
        owner: Callable[[str], PluginStatus],
        check: Callable[[str, Any], None],
    ) -> None:
        self._registered = registered
        self._owner = owner
        self._check = check
        self._loaded: dict[str, T] = {}

    def __getitem__(self, name: str) -> T:
        """Return an object, which a reference imports once.

        Raises:
            KeyError: no plugin registered the name.
            PluginLoadError: the reference cannot be imported, or names something else.
        """
        found = self._loaded.get(name)
        if found is None:
            found = self._loaded[name] = self._load(name, self._registered[name])
        return found

    def _load(self, name: str, found: T | str) -> T:
        if not isinstance(found, str):
            return found
        try:
            loaded: T = load_object(found)
            self._check(name, loaded)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise not_loaded(self._failed(name, error)) from error
        return loaded

    def usable(self) -> dict[str, T]:
        """Return all objects by name. A warning is logged for those that cannot be imported."""
        found: dict[str, T] = {}
        for name in self:
            try:
                found[name] = self[name]
            except PluginLoadError as error:
                cause = error.__cause__ or error
                status = self._failed(name, cause)
                report_failures([status], {status.path: cause})
        return found

    def _failed(self, name: str, error: BaseException) -> PluginStatus:
        return replace(self._owner(name), state="failed", reason=reason_of(error))

    def __contains__(self, name: object) -> bool:
        return name in self._registered

    def __iter__(self) -> Iterator[str]:
        return iter(self._registered)

    def __len__(self) -> int:
        return len(self._registered)
