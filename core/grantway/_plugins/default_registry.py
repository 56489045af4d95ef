"""The registry of this process: built when it is first asked for, and swapped as a whole.

A swap is the assignment of one reference. A call that has begun keeps the registry that it began
with; the next one finds the new.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from types import MappingProxyType

from grantway._exceptions import RegistryError
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
    """The registry of this process: all installed plugins, and what the program registered."""
    current = _current
    if current is not None:
        return current
    with _lock:
        return _current if _current is not None else _assemble(_installed, _application)


def register(grant: Grant, *, issuer: IssuerGrant | None = None) -> None:
    """Register a grant for this process. Every client that has no registry of its own finds it.

    Args:
        grant: The grant.
        issuer: The issuer's side of it, if the embedded issuer shall answer it.

    Raises:
        GrantInvalidError: the grant cannot be used. Nothing was changed.
        GrantConflictError: a plugin brings its grant_type, and it does not say ``replaces``.
    """
    grant_type = getattr(grant, "grant_type", None)
    status = PluginStatus(f"{grant_type}", source="grantway.register")
    sides = {} if issuer is None else {f"{grant_type}": issuer}
    _add(PluginExports.of_grants(status, [grant], sides))


def register_plugin(name: str, plugin: object) -> None:
    """Register a module or object with hooks for this process.

    Args:
        name: What it is called in errors, and by ``unregister``.
        plugin: Its functions marked with ``grantway.hookimpl`` are called once, now.

    Raises:
        RegistryError: it cannot be used. Nothing was changed.
        GrantConflictError: another plugin brings one of its names.
    """
    source = source_of(plugin)
    status = PluginStatus(name, source=source)
    try:
        contribution = PluginExports.read(status, plugin)
    except (RegistryError, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise not_loaded(replace(status, state="failed", reason=reason_of(error))) from error
    _add(contribution)


def unregister(name: str) -> None:
    """Take back what ``register`` or ``register_plugin`` added.

    Args:
        name: The grant_type, or the plugin's name.

    Raises:
        RegistryError: nothing of that name was registered by this program.
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
    """Look for installed plugins again and swap the process's registry in one step.

    What the program registered itself stays. Calls under way finish with the registry that they
    began with. Python does not import a module twice: new code of a plugin that is loaded already
    needs a new process.

    Args:
        entry_points: As for ``build_registry``, and so are the others.
        only: Load only these.
        block: Load all but these.
        prefer: grant_type -> plugin whose grant counts.
        strict: Raise for the first broken plugin.
        require: Plugins that must be loaded.

    Returns:
        The new registry.

    Raises:
        RegistryError: it cannot be built. The old one stays.
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
    """Begin with nothing loaded and nothing registered; put back what there was at the end.

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


def _add(contribution: PluginExports) -> None:
    name = contribution.status.name
    with _lock:
        if name in _application:
            raise RegistryError(f"{name!r} is registered already; unregister it first.")
        _assemble(_installed, {**_application, name: contribution})


def _assemble(installed: Registry | None, application: Mapping[str, PluginExports]) -> Registry:
    """Build and swap. The lock is held; nothing is changed where this raises."""
    global _application, _current, _installed
    if installed is None:
        installed = build_registry()
    made = installed.with_contributions([*application.values()])
    _installed, _application, _current = installed, dict(application), made
    return made
