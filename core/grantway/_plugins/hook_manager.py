"""Find the hooks of a plugin with pluggy, without examining what cannot be a hook."""

from __future__ import annotations

from types import FunctionType, MethodType, ModuleType

import pluggy

from grantway import hookspecs

#: The attribute with which ``grantway.hookimpl`` marks a function.
MARK = f"{hookspecs.PROJECT}_impl"
#: Types of hooks that are no plain functions.
_ROUTINES = frozenset({MethodType, classmethod, staticmethod})


def hook_manager() -> pluggy.PluginManager:
    """Return a plugin manager with the hook specifications and no plugin."""
    manager = _PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    return manager


class _PluginManager(pluggy.PluginManager):
    """A plugin manager for one plugin at a time.

    pluggy examines each attribute of a plugin, and all plugins for each hook, which takes longer
    than the rest of reading a plugin.
    """

    def register(self, plugin: object, name: str | None = None) -> str | None:
        if isinstance(plugin, ModuleType):
            plugin = _marked(plugin)
        return super().register(plugin, name)

    def parse_hookimpl_opts(self, plugin: object, name: str) -> pluggy.HookimplOpts | None:
        return None if name.startswith("__") else super().parse_hookimpl_opts(plugin, name)

    def get_hookcallers(self, plugin: object) -> list[pluggy.HookCaller]:
        return [caller for caller in vars(self.hook).values() if caller.get_hookimpls()]


class _Functions:
    """An object whose only attributes are functions."""

    def __init__(self, functions: dict[str, FunctionType]) -> None:
        vars(self).update(functions)

    def __dir__(self) -> list[str]:
        return [*vars(self)]


def _marked(module: ModuleType) -> object:
    """Return the marked functions of a module, or the module if it has hooks of another type."""
    marked: dict[str, FunctionType] = {}
    for name, value in [*vars(module).items()]:
        kind = type(value)  # `isinstance` takes longer for each other type
        if kind is FunctionType:
            if hasattr(value, MARK):
                marked[name] = value
        elif kind in _ROUTINES:
            return module
    return _Functions(marked)
