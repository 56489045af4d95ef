"""A registry that holds what a test put there, whatever else is installed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

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
        self, plugin: object, *, issuer: IssuerGrant | None = None, name: str | None = None
    ) -> Registry:
        """Register a plugin.

        Args:
            plugin: A grant, or a module or object whose functions are marked with
                ``grantway.hookimpl``.
            issuer: The issuer grant, where ``plugin`` is a grant.
            name: What the plugin is called in errors; by default the module or class.

        Returns:
            The registry that has it, which every client without one of its own uses too.

        Raises:
            RegistryError: it cannot be used; says why. Nothing was changed.
            TypeError: ``issuer`` is given with something that is no grant.
        """
        if isinstance(plugin, Grant):
            process.register(plugin, issuer=issuer)
        elif issuer is not None:
            raise TypeError("issuer: only with a grant; a plugin brings it through its hooks.")
        else:
            named: str = getattr(plugin, "__name__", type(plugin).__name__)
            process.register_plugin(name or named, plugin)
        return self.registry

    @property
    def registry(self) -> Registry:
        """What is registered now."""
        return process.default_registry()


@contextmanager
def isolated_registry(installed: Iterable[str] = (OWN,)) -> Iterator[Register]:
    """Within the block, the process has only these plugins and those that the block registers.

    Args:
        installed: Distributions whose installed plugins are loaded all the same; by default
            grantway's own, and with that no stranger's.

    Raises:
        RegistryError: one of them is not installed, or is broken.
    """
    with process.set_aside():
        process.reload(only=installed, strict=True)
        yield Register()
