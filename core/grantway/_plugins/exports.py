"""The exports of a plugin: what its register hooks return, checked."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pluggy

from grantway import hookspecs
from grantway._exceptions import (
    PluginIncompatibleError,
    PluginLoadError,
    RegistryError,
    TokenError,
)
from grantway._requests.middleware.contract import name_of, problem_of
from grantway._types.callables import is_unfinished, kind_of
from grantway._types.grant import Grant, IssuerGrant
from grantway._types.plugin_status import PluginStatus
from grantway._wire.dialect import Dialect

from .export_rules import (
    check_callables,
    check_errors,
    check_issuer_grant,
    check_once,
    check_reference,
    reject_async,
)
from .grant_rules import check_grant

if TYPE_CHECKING:
    from grantway._requests.client_auth import ClientAuthFactory
    from grantway._requests.middleware import Middleware
    from grantway._types.event import Event
    from grantway._types.store import StoreFactory

GRANT = "grant"
ISSUER_GRANT = "issuer grant"
DIALECT = "dialect"
CLIENT_AUTH = "client authentication"
ERROR_CODE = "error code"
STORE = "store"

_NONE: Mapping[str, Any] = MappingProxyType({})
#: Maximum entries per hook, so that an infinite generator cannot hang the process.
_MOST = 1_000


class _PluginManager(pluggy.PluginManager):
    """A plugin manager that does not look for hooks among special attributes, which takes long."""

    def parse_hookimpl_opts(self, plugin: object, name: str) -> pluggy.HookimplOpts | None:
        return None if name.startswith("__") else super().parse_hookimpl_opts(plugin, name)


def hook_manager() -> pluggy.PluginManager:
    """Return a plugin manager with the hook specifications and no plugin."""
    manager = _PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    return manager


@dataclass(frozen=True, slots=True, eq=False)
class PluginExports:
    """What the hooks of a plugin returned, checked.

    Attributes:
        status: The status of the plugin.
        grants: Its grants.
        issuer_grants: grant_type -> the issuer's part of the grant, or a reference to it.
        dialects: Its dialects.
        client_auth: Method -> factory.
        errors: Error code -> class.
        stores: Name -> factory.
        middleware: Its middleware, outermost first.
        observe: Its observer, or None.
        references: Kind and name -> reference to a grant or dialect, imported on first use.
    """

    status: PluginStatus
    grants: Sequence[Grant] = ()
    issuer_grants: Mapping[str, IssuerGrant | str] = field(default_factory=dict)
    dialects: Sequence[Dialect] = ()
    client_auth: Mapping[str, ClientAuthFactory] = field(default_factory=dict)
    errors: Mapping[str, type[TokenError]] = field(default_factory=dict)
    stores: Mapping[str, StoreFactory] = field(default_factory=dict)
    middleware: Sequence[Middleware] = ()
    observe: Callable[[Event], None] | None = None
    references: Mapping[tuple[str, str], str] = field(default_factory=dict)

    @classmethod
    def read(
        cls,
        status: PluginStatus,
        plugin: object,
        *,
        manager: pluggy.PluginManager | None = None,
        arguments: Mapping[str, object] = _NONE,
    ) -> PluginExports:
        """Call the register hooks of a plugin and return the checked results.

        All hooks are called before anything is registered, so that a failing plugin leaves nothing
        behind.

        Args:
            status: The status of the plugin.
            plugin: Module or object with hooks, or a bare grant.
            manager: A plugin manager with the hook specifications.
            arguments: Available hook arguments. Each hook receives those that it declares, so that
                a new argument does not break a plugin.

        Raises:
            RegistryError: an export is invalid.
        """
        if isinstance(plugin, Grant):
            return cls.of_grants(status, [plugin])
        _check_plugin(plugin)
        manager = manager or hook_manager()
        manager.register(plugin, status.path)
        try:
            return cls._read(status, plugin, manager, arguments)
        finally:
            manager.unregister(plugin)

    @classmethod
    def _read(
        cls,
        status: PluginStatus,
        plugin: object,
        manager: pluggy.PluginManager,
        arguments: Mapping[str, object],
    ) -> PluginExports:
        _reject_unknown_hooks(manager, plugin)
        hooks = {
            caller.name: implementation
            for caller in manager.get_hookcallers(plugin) or ()
            for implementation in caller.get_hookimpls()
            if implementation.plugin is plugin and caller.has_spec()
        }
        if not hooks:
            raise PluginLoadError(
                "it implements no hook; use a module or object with functions marked with "
                "grantway.hookimpl"
            )

        for implementation in hooks.values():
            _check_hook(implementation)

        def returned(hook: str) -> Any:
            found = hooks.get(hook)
            if found is None:
                return ()
            return found.function(*(arguments[name] for name in found.argnames))

        references: dict[tuple[str, str], str] = {}

        def listed(hook: str, kind: str = "") -> tuple[Any, ...]:
            found = returned(hook)
            if kind and isinstance(found, Mapping):
                for name, reference in _mapped(hook, found).items():
                    check_reference(hook, name, reference)
                    references[kind, name] = reference
                return ()
            return _listed(hook, found)

        def mapped(hook: str) -> dict[str, Any]:
            return _mapped(hook, returned(hook)) if hook in hooks else {}

        exports = cls(
            status,
            listed("grantway_register_grants", GRANT),
            mapped("grantway_register_issuer_grants"),
            listed("grantway_register_dialects", DIALECT),
            mapped("grantway_register_client_auth"),
            mapped("grantway_register_errors"),
            mapped("grantway_register_stores"),
            listed("grantway_register_middleware"),
            _observer(hooks.get("grantway_observe")),
            references,
        )
        exports.check()
        return exports

    @classmethod
    def of_grants(
        cls,
        status: PluginStatus,
        grants: Iterable[Grant],
        issuer_grants: Mapping[str, IssuerGrant | str] = _NONE,
    ) -> PluginExports:
        """Return exports for grants that the application registers without a plugin.

        Raises:
            RegistryError: an export is invalid.
        """
        exports = cls(status, tuple(grants), issuer_grants)
        exports.check()
        return exports

    def check(self) -> None:
        """Check every export.

        Raises:
            RegistryError: an export is invalid.
        """
        for grant in self.grants:
            check_grant(grant)
        check_once(GRANT, [grant.grant_type for grant in self.grants])
        for grant_type, side in self.issuer_grants.items():
            check_issuer_grant(grant_type, side)
        for dialect in self.dialects:
            if not isinstance(dialect, Dialect):
                raise RegistryError(
                    f"grantway_register_dialects returned {kind_of(dialect)}, not a Dialect"
                )
        check_once(DIALECT, [dialect.name for dialect in self.dialects])
        check_errors(self.errors)
        check_callables(CLIENT_AUTH, self.client_auth.values())
        check_callables(STORE, self.stores.values())
        for middleware in self.middleware:
            if problem := problem_of(middleware):
                raise RegistryError(f"the middleware {name_of(middleware)} {problem}")

    def names(self) -> Iterator[tuple[str, str, Any]]:
        """Yield the kind, name and value of everything whose name must be unique."""
        yield from ((GRANT, grant.grant_type, grant) for grant in self.grants)
        yield from ((ISSUER_GRANT, name, side) for name, side in self.issuer_grants.items())
        yield from ((DIALECT, dialect.name, dialect) for dialect in self.dialects)
        yield from ((CLIENT_AUTH, method, factory) for method, factory in self.client_auth.items())
        yield from ((ERROR_CODE, code, error) for code, error in self.errors.items())
        yield from ((STORE, name, factory) for name, factory in self.stores.items())
        yield from ((kind, name, reference) for (kind, name), reference in self.references.items())

    def replaces(self, kind: str, name: str) -> str:
        """Return the distribution whose grant this plugin replaces, or an empty string.

        A grant that is registered by reference replaces none.
        """
        if kind not in {GRANT, ISSUER_GRANT}:
            return ""
        return next((grant.replaces for grant in self.grants if grant.grant_type == name), "")


def _check_plugin(plugin: object) -> None:
    api = getattr(plugin, "GRANTWAY_API", hookspecs.API)
    if api != hookspecs.API:
        raise PluginIncompatibleError(
            f"it declares GRANTWAY_API = {api!r}, but this grantway has {hookspecs.API}; install a "
            "compatible version of the plugin or of grantway"
        )
    if inspect.isclass(plugin):
        raise PluginLoadError(f"it is a class; use an instance, {plugin.__name__}()")
    for name in dir(plugin):
        if name.startswith(f"{hookspecs.PROJECT}_"):
            function = inspect.getattr_static(plugin, name)
            if inspect.isroutine(function) and not _is_marked(function):
                raise PluginLoadError(
                    f"{name} is not marked as a hook; add @grantway.hookimpl or rename it"
                )


def _is_marked(function: object) -> bool:
    if isinstance(function, (staticmethod, classmethod)):
        function = function.__func__
    return hasattr(function, f"{hookspecs.PROJECT}_impl")


def _reject_unknown_hooks(manager: pluggy.PluginManager, plugin: object) -> None:
    for caller in manager.get_hookcallers(plugin) or ():
        optional = any(
            each.plugin is plugin and each.optionalhook for each in caller.get_hookimpls()
        )
        if not caller.has_spec() and not optional:
            from difflib import get_close_matches  # noqa: PLC0415 - only for this error

            known = [each for each in dir(hookspecs) if each.startswith("grantway_")]
            near = get_close_matches(caller.name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else f"; the hooks are {', '.join(known)}"
            raise PluginLoadError(f"it implements the unknown hook {caller.name}{hint}")


def _observer(hook: Any) -> Callable[[Event], None] | None:
    """Return the observer. It is called without pluggy, so it must accept the event."""
    if hook is None:
        return None
    if tuple(hook.argnames) != ("event",):
        raise RegistryError("grantway_observe must take one argument, the event")
    function: Callable[[Event], None] = hook.function
    return function


def _check_hook(implementation: Any) -> None:
    name = implementation.function.__name__
    reject_async(name, implementation.function)
    for option, reason in _UNSUPPORTED.items():
        if getattr(implementation, option):
            raise RegistryError(
                f"{name} is marked with {option}=True, which grantway does not support: {reason}. "
                f"Use @grantway.hookimpl without {option}"
            )


#: Options of ``hookimpl`` that would have no effect. ``optionalhook`` and ``specname`` work.
_UNSUPPORTED = {
    "wrapper": "it calls the hooks of each plugin on their own",
    "hookwrapper": "it calls the hooks of each plugin on their own",
    "tryfirst": "the order of plugins has no effect; resolve conflicts with prefer and replaces",
    "trylast": "the order of plugins has no effect; resolve conflicts with prefer and replaces",
}


def _listed(hook: str, returned: object) -> tuple[Any, ...]:
    """Return the entries of a list or generator that a hook returned."""
    if not isinstance(returned, Iterable) or isinstance(returned, (str, bytes, Mapping)):
        raise _unusable(hook, returned, "a list")
    return _bounded(hook, returned)


def _mapped(hook: str, returned: object) -> dict[str, Any]:
    """Return the entries of a mapping that a hook returned."""
    if not isinstance(returned, Mapping):
        raise _unusable(hook, returned, "a mapping")
    names = _bounded(hook, returned)
    for name in names:
        if not isinstance(name, str) or not name:
            raise RegistryError(f"{hook} returned {name!r:.80} as a name; use a non-empty string")
    return {name: returned[name] for name in names}


def _unusable(hook: str, returned: object, wanted: str) -> RegistryError:
    if is_unfinished(returned):
        return RegistryError(f"{hook} is asynchronous; return {wanted} from a plain function")
    return RegistryError(f"{hook} returned {kind_of(returned)}, not {wanted}")


def _bounded(hook: str, returned: Iterable[Any]) -> tuple[Any, ...]:
    found = tuple(itertools.islice(returned, _MOST + 1))
    if len(found) > _MOST:
        raise RegistryError(
            f"{hook} returned more than {_MOST} entries; return each entry once, from a list or a "
            "generator that ends"
        )
    return found
