"""A registry for tests, isolated from installed plugins."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

from grantway._plugins import default_registry as process
from grantway._plugins.conflicts import OWN
from grantway._plugins.registry import Registry
from grantway._types.grant import Grant, IssuerGrant


class Register:
    """Registers plugins for a test. Call it with a grant, or with a module or object with hooks.

    ::

        register(COUPON, issuer=Coupons())
        register(my_package.plugin)
    """

    def __call__(
        self,
        plugin: object,
        *,
        issuer: IssuerGrant | str | None = None,
        name: str | None = None,
        settings: Mapping[str, Any] = MappingProxyType({}),
    ) -> Registry:
        """Register a plugin.

        Args:
            plugin: A grant, or a module or object whose functions are marked with
                ``grantway.hookimpl``.
            issuer: The issuer grant, or a reference to it, if ``plugin`` is a grant.
            name: Name of the plugin in errors; by default that of the module or class.
            settings: The settings of the plugin.

        Returns:
            The new default registry, which clients use by default.

        Raises:
            RegistryError: The plugin cannot be used. Nothing has changed.
            TypeError: ``issuer`` is given, but ``plugin`` is not a grant.
        """
        if isinstance(plugin, Grant):
            process.register(plugin, issuer=issuer)
        elif issuer is not None:
            raise TypeError(
                "issuer: use it only with a grant; a plugin registers its issuer grants by a hook."
            )
        else:
            named: str = getattr(plugin, "__name__", type(plugin).__name__)
            process.register_plugin(name or named, plugin, settings=settings)
        return self.registry

    @property
    def registry(self) -> Registry:
        """The current default registry."""
        return process.default_registry()


@contextmanager
def isolated_registry(installed: Iterable[str] = (OWN,)) -> Iterator[Register]:
    """Limit the process to these plugins and those registered within the ``with`` block.

    Args:
        installed: Distributions whose plugins are loaded; by default only grantway.

    Raises:
        RegistryError: One of them is not installed, or one of its plugins fails to load.
    """
    with process.set_aside():
        process.reload(only=installed, strict=True)
        yield Register()
