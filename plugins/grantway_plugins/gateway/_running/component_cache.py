"""The components of a gateway, reused on a reload if their configuration is unchanged."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from grantway._credentials.fingerprint import fingerprint

T = TypeVar("T")


class ComponentCache:
    """Components keyed by a hash of their configuration.

    Args:
        before: The cache before the reload; unchanged components are taken from it.
    """

    def __init__(self, before: ComponentCache | None = None) -> None:
        self._before: dict[str, Any] = {} if before is None else before._components  # noqa: SLF001 - same class
        self._components: dict[str, Any] = {}

    def get(self, kind: str, configuration: Mapping[str, Any], create: Callable[[], T]) -> T:
        """Return the component with this configuration, and create it if it does not exist.

        Args:
            kind: Kind of component.
            configuration: Everything that the component depends on. Only its hash is kept.
            create: Creates the component.
        """
        key = f"{kind} {fingerprint(configuration)}"
        if key not in self._components:
            self._components[key] = self._before[key] if key in self._before else create()
        component: T = self._components[key]
        return component

    def close(self, after: ComponentCache | None = None) -> None:
        """Close the components that have a method ``close``.

        Args:
            after: The cache that replaces this one. Its components stay open.
        """
        for close in self._methods("close", after):
            close()

    async def close_async(self, after: ComponentCache | None = None) -> None:
        """Do the same without blocking, and close what components opened on this event loop."""
        for close in self._methods("close_async", after):
            await close()
        await asyncio.to_thread(self.close, after)

    def _methods(self, name: str, after: ComponentCache | None) -> list[Callable[[], Any]]:
        used = () if after is None else {id(each) for each in after._components.values()}  # noqa: SLF001 - same class
        unused = [each for each in self._components.values() if id(each) not in used]
        return [getattr(each, name) for each in unused if hasattr(each, name)]

    def forget_before(self) -> None:
        """Drop the components of the cache before the reload, once all are created."""
        self._before = {}
