"""The exports of a plugin: what its register hooks return, checked."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar, cast

import pluggy

from grantway import hookspecs
from grantway._exceptions import GrantwayError, PluginLoadError, RegistryError
from grantway._secrets.params import Params
from grantway._types.callables import innermost
from grantway._types.grant import Grant, IssuerGrant
from grantway._types.plugin_status import PluginStatus

from .export_rules import reject_async
from .failures import hidden_reason, place_of
from .hook_manager import MARK, hook_manager
from .kinds import GRANT, ISSUER_GRANT, KINDS, Kind
from .plugin_settings import PluginSettings, check_schema
from .returned_values import MIDDLEWARE, middleware_values, named_values

if TYPE_CHECKING:
    from grantway._requests.middleware import Middleware
    from grantway._types.event import Event

_T = TypeVar("_T")
_NONE: Mapping[str, Any] = MappingProxyType({})
_SETTINGS = "grantway_register_settings"


@dataclass(slots=True, eq=False)
class PluginExports:
    """The checked results of a plugin's hooks.

    Attributes:
        status: The status of the plugin.
        values: Kind -> name -> value, or a reference to it.
        middleware: Its middleware, outermost first.
        observe: Its observer, or None.
        hooks: The hooks that it implements.
        note: The deprecated hooks that it implements, with their replacements; usually empty.
    """

    status: PluginStatus
    values: Mapping[Kind, Mapping[str, Any]] = field(default_factory=dict)
    middleware: Sequence[Middleware] = ()
    observe: Callable[[Event], None] | None = None
    hooks: tuple[str, ...] = ()
    note: str = ""

    @classmethod
    def read(
        cls,
        status: PluginStatus,
        plugin: object,
        *,
        manager: pluggy.PluginManager | None = None,
        settings: PluginSettings | None = None,
        arguments: Mapping[str, object] = _NONE,
    ) -> PluginExports:
        """Call the register hooks of a plugin and return the checked results.

        All hooks are called before anything is registered, so that a failing plugin leaves nothing
        behind.

        Args:
            status: The status of the plugin.
            plugin: Module or object with hooks, or a bare grant.
            manager: A plugin manager with the hook specifications.
            settings: The settings of all plugins. The hooks receive this plugin's ``settings``.
            arguments: More hook arguments. Each hook receives those that it declares, so that a new
                argument does not break a plugin.

        Raises:
            RegistryError: an export is invalid.
        """
        if isinstance(plugin, Grant):
            return cls.of_grants(status, [plugin])
        if inspect.isclass(plugin):
            raise PluginLoadError(f"it is a class; use an instance, {plugin.__name__}()")
        manager = manager or hook_manager()
        try:
            try:
                manager.register(plugin, status.path)
            except pluggy.PluginValidationError as error:
                raise _invalid_hook(plugin, error) from None
            return cls._read(status, plugin, manager, settings or PluginSettings({}), arguments)
        finally:
            manager.unregister(name=status.path)

    @classmethod
    def _read(
        cls,
        status: PluginStatus,
        plugin: object,
        manager: pluggy.PluginManager,
        settings: PluginSettings,
        arguments: Mapping[str, object],
    ) -> PluginExports:
        found = [
            (caller, implementation)
            for caller in manager.get_hookcallers(plugin) or ()
            for implementation in caller.get_hookimpls()
        ]
        for caller, implementation in found:
            if not caller.has_spec() and not implementation.optionalhook:
                raise _blamed(_unknown_hook(caller.name), implementation.function)
        hooks = {caller.name: each for caller, each in found if caller.has_spec()}
        _reject_unmarked(plugin, hooks)
        if not hooks:
            raise PluginLoadError(
                "it implements no hook; use a module or object with functions marked with "
                "grantway.hookimpl"
            )

        for implementation in hooks.values():
            try:
                _check_hook(implementation)
            except RegistryError as error:
                raise _blamed(error, implementation.function) from None

        arguments = {"settings": Params(), **arguments}

        def returned(hook: str) -> Any:
            found = hooks[hook]
            optional = {name: arguments[name] for name in found.kwargnames if name in arguments}
            return found.function(*(arguments[name] for name in found.argnames), **optional)

        called = partial(_without_text, returned) if settings.given_to(status) else returned

        def read(hook: str, checked: Callable[[Any], _T]) -> _T:
            try:
                return checked(called(hook))
            except RegistryError as error:
                raise _blamed(error, hooks[hook].function) from error.__cause__

        if _SETTINGS in hooks:
            schema = read(_SETTINGS, check_schema)
            arguments["settings"] = settings.load(status, schema)
        values = {
            kind: read(kind.hook, partial(named_values, kind))
            for kind in KINDS
            if kind.hook in hooks
        }
        return cls(
            status,
            values,
            read(MIDDLEWARE, middleware_values) if MIDDLEWARE in hooks else (),
            _observer(hooks.get("grantway_observe"), arguments),
            hooks=tuple(hooks),
            note="; ".join(
                f"it implements the deprecated hook {caller.name}: {caller.spec.warn_on_impl}"
                for caller, _ in found
                if caller.spec is not None and caller.spec.warn_on_impl
            ),
        )

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
        values = {GRANT: named_values(GRANT, list(grants))}
        if issuer_grants:
            values[ISSUER_GRANT] = named_values(ISSUER_GRANT, issuer_grants)
        return cls(status, values)

    def names(self) -> Iterator[tuple[Kind, str, Any]]:
        """Yield the kind, name and value of everything whose name must be unique."""
        for kind, values in self.values.items():
            yield from ((kind, name, value) for name, value in values.items())

    def replaces(self, kind: Kind, name: str) -> str:
        """Return the distribution whose grant this plugin replaces, or an empty string.

        A grant that is registered by reference replaces none.
        """
        if kind not in {GRANT, ISSUER_GRANT}:
            return ""
        return getattr(self.values.get(GRANT, _NONE).get(name), "replaces", "")


def _blamed(error: RegistryError, function: object) -> RegistryError:
    """Return an error with the place of a function of the plugin."""
    code = getattr(innermost(inspect.unwrap(cast("Any", function))), "__code__", None)
    if not error.at and code is not None:
        error.at = f"{code.co_filename}:{code.co_firstlineno}"
    return error


def _without_text(returned: Callable[[str], Any], hook: str) -> Any:
    """Call a hook that gets settings of the user. Its exceptions may contain them."""
    try:
        values = returned(hook)
        # A generator runs when it is read.
        return list(values) if inspect.isgenerator(values) else values
    except (GrantwayError, KeyboardInterrupt):
        raise
    except BaseException as error:  # noqa: BLE001 - SystemExit too, which may have a text
        failure = PluginLoadError(f"{hook} {hidden_reason(error, located=False)}")
        failure.at = place_of(error, "")
    # Not in the except block, because the exception may hold the settings.
    raise failure


def _invalid_hook(plugin: object, error: pluggy.PluginValidationError) -> PluginLoadError:
    """Return the error for a hook with an argument that this version does not have."""
    text = " ".join(str(error).split())
    found = re.search(r"definition: (\w+)\(.*Argument\(s\) \{(.*?)\}", text)
    if found is None:
        return PluginLoadError(text)
    name = found[1]
    problem = PluginLoadError(
        f"{name} has an argument that this grantway does not pass: {found[2]}; give it a default "
        "value, or require a later version of grantway"
    )
    _blamed(problem, getattr(plugin, name, None))
    return problem


def _reject_unmarked(plugin: object, hooks: Mapping[str, Any]) -> None:
    prefix = f"{hookspecs.PROJECT}_"
    for name in dir(plugin):
        if name.startswith(prefix) and name not in hooks:
            function = inspect.getattr_static(plugin, name)
            if inspect.isroutine(function) and not _is_marked(function):
                error = PluginLoadError(
                    f"{name} is not marked as a hook; add @grantway.hookimpl or rename it"
                )
                raise _blamed(error, function)


def _is_marked(function: object) -> bool:
    if isinstance(function, (staticmethod, classmethod)):
        function = function.__func__
    return hasattr(function, MARK)


def _unknown_hook(name: str) -> PluginLoadError:
    from difflib import get_close_matches  # noqa: PLC0415 - only for this error

    known = [each for each in dir(hookspecs) if each.startswith("grantway_")]
    near = get_close_matches(name, known, n=1)
    hint = f"; did you mean {near[0]}?" if near else f"; the hooks are {', '.join(known)}"
    return PluginLoadError(f"it implements the unknown hook {name}{hint}")


def _observer(hook: Any, arguments: Mapping[str, object]) -> Callable[[Event], None] | None:
    """Return the observer. It is called without pluggy, with the event as its first argument."""
    if hook is None:
        return None
    first, *others = hook.argnames or ("",)
    if first != "event":
        raise RegistryError("grantway_observe must take the event as its first argument")
    function: Callable[[Event], None] = hook.function
    more = {name: arguments[name] for name in (*others, *hook.kwargnames) if name in arguments}
    return partial(function, **more) if more else function


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
