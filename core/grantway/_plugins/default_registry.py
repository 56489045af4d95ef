"""The default registry of this process, built on first use and replaced atomically.

A call keeps the registry that it started with; the next call uses the new one.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from types import MappingProxyType

from grantway._exceptions import PluginLoadError, RegistryError
from grantway._types.grant import Grant, IssuerGrant
from grantway._types.plugin_status import PluginStatus, source_of

from .exports import PluginExports
from .failures import forget_reports, not_loaded, reason_of
from .registry import Registry, build_registry

_lock = threading.Lock()
_current: Registry | None = None
_installed: Registry | None = None
_application: dict[str, PluginExports] = {}


def default_registry() -> Registry:
    """Return the registry of this process: installed plugins and what the program registered."""
    current = _current
    if current is not None:
        return current
    with _lock:
        return _current if _current is not None else _assemble(_installed, _application)


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


def register_plugin(name: str, plugin: object) -> None:
    """Register a module or object with hooks for this process.

    Args:
        name: The plugin's name in errors and for ``unregister``.
        plugin: A module or object. Its functions marked with ``grantway.hookimpl`` are called once,
            immediately.

    Raises:
        RegistryError: the plugin is invalid. Nothing was changed.
        GrantConflictError: another plugin registers one of its names.
    """
    source = source_of(plugin)
    status = PluginStatus(name, source=source)
    try:
        exports = PluginExports.read(status, plugin)
    except PluginLoadError as error:
        raise not_loaded(replace(status, state="failed", reason=str(error))) from None
    except (RegistryError, KeyboardInterrupt):
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
        if name not in _application:
            known = ", ".join(sorted(_application)) or "nothing"
            raise RegistryError(f"The program registered no {name!r}; it registered {known}.")
        left = {each: kept for each, kept in _application.items() if each != name}
        _assemble(_installed, left)


def reload(
    *,
    entry_points: bool = True,
    only: Iterable[str] | None = None,
    block: Iterable[str] = (),
    prefer: Mapping[str, str] = MappingProxyType({}),
    strict: bool = False,
    require: Iterable[str] = (),
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

    Returns:
        The new registry.

    Raises:
        RegistryError: the registry cannot be built. The old one stays in use.
    """
    found = build_registry(
        entry_points=entry_points,
        only=only,
        block=block,
        prefer=prefer,
        strict=strict,
        require=require,
    )
    with _lock:
        return _assemble(found, _application)


@contextmanager
def set_aside() -> Iterator[None]:
    """Replace the registry with an unbuilt one, and restore it on exit.

    For tests: see ``grantway.testing.isolated_registry``.
    """
    global _application, _current, _installed
    forget_reports()
    with _lock:
        kept = _application, _current, _installed
        _application, _current, _installed = {}, None, None
    try:
        yield
    finally:
        with _lock:
            _application, _current, _installed = kept


def _add(exports: PluginExports) -> None:
    name = exports.status.name
    with _lock:
        if name in _application:
            raise RegistryError(f"{name!r} is registered already; unregister it first.")
        _assemble(_installed, {**_application, name: exports})


def _assemble(installed: Registry | None, application: Mapping[str, PluginExports]) -> Registry:
    """Build and replace the registry while holding the lock. Change nothing on an error."""
    global _application, _current, _installed
    if installed is None:
        installed = build_registry()
    registry = installed.with_exports([*application.values()])
    _installed, _application, _current = installed, dict(application), registry
    return registry
