"""Build a registry: import the plugins, call their hooks, and isolate those that fail."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Any

from grantway._types.plugin_status import PluginStatus, source_of

from .discovery import commands, installed
from .exports import PluginExports
from .failures import not_loaded, place_of, reason_of, report_failures
from .hook_manager import hook_manager
from .plugin_settings import PluginSettings
from .registry import Registry, assemble
from .selection import Selection


def build_registry(
    plugins: Mapping[str, object] | None = None,
    *,
    entry_points: bool = True,
    only: Iterable[str] | None = None,
    block: Iterable[str] = (),
    prefer: Mapping[str, str] = MappingProxyType({}),
    strict: bool = False,
    require: Iterable[str] = (),
    settings: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
) -> Registry:
    """Build a registry of installed and given plugins.

    A plugin that fails is skipped, and the logger ``grantway`` logs a warning with the traceback.

    Plugins are named by entry point, by distribution (all its plugins) or by ``distribution/name``.

    Args:
        plugins: Name -> module or object with hooks, or a grant, for plugins that are not
            installed.
        entry_points: Whether to load installed plugins (entry-point group ``grantway.v1``).
        only: Load only these installed plugins; omits grantway's own unless listed.
        block: Load all installed plugins except these. Without ``only`` and ``block``, the
            environment variable ``GRANTWAY_PLUGINS`` decides: ``a,b``, ``-a,-b`` or ``none``.
        prefer: grant_type -> the plugin whose grant is used if several register it.
        strict: Raise for the first plugin that fails instead of skipping it. Also imports what
            plugins registered by reference, except issuer grants.
        require: Plugins that must be loaded, as for ``Registry.require``.
        settings: Name of a plugin -> its settings (see ``grantway_register_settings``).

    Raises:
        ConfigurationError: the settings of a plugin are invalid, or name an unknown one.
        GrantConflictError: a given plugin conflicts with another; with ``strict``, any two plugins
            conflict.
        PluginLoadError: with ``strict``, a plugin failed; or a required plugin is not loaded.
        RegistryError: ``only``, ``block``, ``prefer`` or the environment names an unknown plugin.
    """
    exports: list[PluginExports] = []
    statuses: list[PluginStatus] = []
    causes: dict[str, BaseException] = {}
    candidates = _wanted(only, block) if entry_points else []
    for name, plugin in (plugins or {}).items():
        source = source_of(plugin)
        candidates.append((PluginStatus(name, source=source), partial(_return, plugin)))
    manager, given = hook_manager(), PluginSettings(settings)
    for status, load in candidates:
        if status.state == "loaded":
            began = time.perf_counter()
            try:
                read = PluginExports.read(status, load(), manager=manager, settings=given)
                exports.append(read)
                reason = f"{status.reason}; {read.note}".strip("; ")
                changes: dict[str, Any] = {"reason": reason}
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # noqa: BLE001 - pyo3 panics and SystemExit too
                causes[status.path] = error
                changes = _failure(status, error)
            seconds = time.perf_counter() - began
            # The same plugin's new status. `replace` takes long, so it is called once.
            status = replace(status, load_seconds=seconds, **changes)  # noqa: PLW2901
        if strict and status.state in {"failed", "incompatible"}:
            given.raise_errors()
            raise not_loaded(status) from causes.get(status.path)
        statuses.append(status)
    given.check(statuses)
    registry = assemble(exports, statuses, prefer, strict=strict)
    report_failures(registry.plugins, causes)
    if strict:
        registry.import_references({each.path for each in registry.plugins})
    registry.require(require, causes)
    return registry


def _wanted(
    only: Iterable[str] | None, block: Iterable[str]
) -> list[tuple[PluginStatus, Callable[[], Any]]]:
    """Return the installed plugins; the excluded ones are marked, not imported."""
    selection = Selection.of(only, block)
    found = installed()
    selection.check([each.status for each in found], lambda: [each.status for each in commands()])
    wanted = []
    for each in found:
        why_not = selection.why_not(each.status)
        status = replace(each.status, state="blocked", reason=why_not) if why_not else each.status
        wanted.append((status, each.load))
    return wanted


def _return(plugin: object) -> object:
    return plugin


def _failure(status: PluginStatus, error: BaseException) -> dict[str, Any]:
    package = status.source.partition(":")[0].partition(".")[0] if status.distribution else ""
    at = place_of(error, package)
    return {"state": "failed", "reason": reason_of(error), "failed_at": at}
