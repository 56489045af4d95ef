"""The default registry of this process, built on first use and replaced atomically.

A call keeps the registry that it started with; the next call uses the new one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from types import MappingProxyType
from typing import Any, NamedTuple

from grantway._exceptions import ConfigurationError, PluginLoadError, RegistryError
from grantway._secrets.params import Params
from grantway._types.grant import Grant, IssuerGrant
from grantway._types.plugin_status import PluginStatus, source_of

from .building import build_registry
from .exports import PluginExports
from .failures import forget_reports, not_loaded, reason_of
from .plugin_settings import PluginSettings
from .registry import Registry
from .selection import names_of

#: Returns an error about settings in the terms of the file that has them.
Explain = Callable[[ConfigurationError], ConfigurationError]


class _State(NamedTuple):
    """The default registry and its parts.

    Attributes:
        application: What the program registered, by name.
        options: Arguments of ``build_registry`` for the installed plugins.
        explain: Explains errors about settings, or None.
        installed: The registry of the installed plugins; None if it has to be built.
        current: The registry of the installed plugins and the program.
    """

    application: Mapping[str, PluginExports] = MappingProxyType({})
    options: Mapping[str, Any] = MappingProxyType({})
    explain: Explain | None = None
    installed: Registry | None = None
    current: Registry | None = None


class _Process:
    """Holds the state of this process, which is replaced as a whole."""

    state = _State()


_lock = threading.Lock()


def default_registry() -> Registry:
    """Return the registry of this process: installed plugins and what the program registered."""
    current = _Process.state.current
    if current is not None:
        return current
    with _lock:
        return _Process.state.current or _assemble(_Process.state)


def register(grant: Grant, *, issuer: IssuerGrant | str | None = None) -> None:
    """Register a grant for this process. Clients that use the default registry find it.

    Args:
        grant: The grant.
        issuer: The issuer's part of the grant, or a reference to it like ``module:attribute``, if
            the embedded issuer should support the grant.

    Raises:
        GrantInvalidError: the grant is invalid. Nothing was changed.
        GrantConflictError: a plugin registers the same grant_type, and ``replaces`` is not set.
    """
    grant_type = getattr(grant, "grant_type", None)
    status = PluginStatus(f"{grant_type}", source="grantway.register")
    sides = {} if issuer is None else {f"{grant_type}": issuer}
    _add(PluginExports.of_grants(status, [grant], sides))


def configure(
    settings: Mapping[str, Mapping[str, Any]], explain: Explain | None = None
) -> Callable[[], None]:
    """Set the settings of installed plugins. The next use of the registry builds it with them.

    Args:
        settings: Name of a plugin -> its settings, as for ``build_registry``.
        explain: Returns an error about the settings in the terms of their file.

    Returns:
        A function that restores the previous settings.
    """
    with _lock:
        kept = _Process.state
        changed = _Process.state.options.get("settings", {}) != settings
        options = {**_Process.state.options, "settings": Params(settings)}
        _Process.state = _Process.state._replace(explain=explain, options=options)
        if changed:
            _Process.state = _Process.state._replace(installed=None, current=None)

    def restore() -> None:
        with _lock:
            _Process.state = kept

    return restore


def register_plugin(
    name: str, plugin: object, *, settings: Mapping[str, Any] = MappingProxyType({})
) -> None:
    """Register a module or object with hooks for this process.

    Args:
        name: The plugin's name in errors and for ``unregister``.
        plugin: A module or object. Its functions marked with ``grantway.hookimpl`` are called once,
            immediately.
        settings: The settings of the plugin (see ``grantway_register_settings``).

    Raises:
        ConfigurationError: the settings are invalid.
        RegistryError: the plugin is invalid. Nothing was changed.
        GrantConflictError: another plugin registers one of its names.
    """
    source = source_of(plugin)
    status = PluginStatus(name, source=source)
    given = PluginSettings({name: settings} if settings else {})
    try:
        exports = PluginExports.read(status, plugin, settings=given)
        given.check([status])
    except ConfigurationError:
        raise
    except PluginLoadError as error:
        raise not_loaded(replace(status, state="failed", reason=str(error))) from None
    except (RegistryError, KeyboardInterrupt):
        given.raise_errors()
        raise
    except BaseException as error:
        raise not_loaded(replace(status, state="failed", reason=reason_of(error))) from error
    _add(exports)


def unregister(name: str) -> None:
    """Remove what ``register`` or ``register_plugin`` added.

    Args:
        name: The grant_type, or the plugin's name.

    Raises:
        RegistryError: the program registered nothing by that name.
    """
    with _lock:
        application = dict(_Process.state.application)
        if application.pop(name, None) is None:
            known = ", ".join(sorted(application)) or "nothing"
            raise RegistryError(f"The program registered no {name!r}; it registered {known}.")
        _assemble(_Process.state._replace(application=application))


def reload(
    *,
    entry_points: bool = True,
    only: Iterable[str] | None = None,
    block: Iterable[str] = (),
    prefer: Mapping[str, str] = MappingProxyType({}),
    strict: bool = False,
    require: Iterable[str] = (),
    settings: Mapping[str, Mapping[str, Any]] | None = None,
) -> Registry:
    """Discover installed plugins again and replace the registry of the process atomically.

    What the program registered is kept. Calls in progress finish with the old registry. Python does
    not import a module twice, so new code of a loaded plugin requires a new process.

    Args:
        entry_points: As for ``build_registry``.
        only: Load only these plugins.
        block: Load all plugins except these.
        prefer: grant_type -> the plugin whose grant is used.
        strict: Raise for the first plugin that fails.
        require: Plugins that must be loaded.
        settings: Name of a plugin -> its settings; by default those that it has already.

    Returns:
        The new registry.

    Raises:
        ConfigurationError: the settings of a plugin are invalid. The old registry stays in use.
        RegistryError: the registry cannot be built. The old one stays in use.
    """
    options = {
        "entry_points": entry_points,
        "only": None if only is None else names_of("only", only),
        "block": names_of("block", block),
        "prefer": prefer,
        "strict": strict,
        "require": names_of("require", require),
        "settings": Params(
            _Process.state.options.get("settings", {}) if settings is None else settings
        ),
    }
    explain = _Process.state.explain if settings is None else None
    found = _built(options, explain)
    with _lock:
        return _assemble(_Process.state._replace(options=options, explain=explain, installed=found))


@contextmanager
def set_aside() -> Iterator[None]:
    """Replace the registry with an unbuilt one, and restore it on exit.

    For tests: see ``grantway.testing.isolated_registry``.
    """
    forget_reports()
    with _lock:
        kept, _Process.state = _Process.state, _State()
    try:
        yield
    finally:
        with _lock:
            _Process.state = kept


def _add(exports: PluginExports) -> None:
    name = exports.status.name
    with _lock:
        if name in _Process.state.application:
            raise RegistryError(f"{name!r} is registered already; unregister it first.")
        _assemble(
            _Process.state._replace(application={**_Process.state.application, name: exports})
        )


def _built(options: Mapping[str, Any], explain: Explain | None) -> Registry:
    try:
        return build_registry(**options)
    except ConfigurationError as error:
        raise (error if explain is None else explain(error)) from None


def _assemble(state: _State) -> Registry:
    """Build and replace the registry while holding the lock. Change nothing on an error."""
    installed = state.installed
    if installed is None:
        installed = _built(state.options, state.explain)
    current = installed.with_exports([*state.application.values()])
    _Process.state = state._replace(installed=installed, current=current)
    return current
