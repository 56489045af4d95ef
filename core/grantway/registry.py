"""Finds plugins, isolates the broken ones, refuses conflicts, and freezes what they brought."""

from __future__ import annotations

import difflib
import inspect
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import pluggy
from marshmallow import Schema

from . import hookspecs
from .client_auth import STANDARD_METHODS, ClientAuthFactory
from .dialect import RFC6749, Dialect
from .exceptions import (
    TOKEN_ERRORS,
    GrantConflictError,
    GrantInvalidError,
    PluginLoadError,
    RegistryError,
    TokenError,
    UnknownGrantTypeError,
)
from .grant import Grant, IssuerSide, Replay

if TYPE_CHECKING:
    from .event import Event
    from .middleware import Middleware


@dataclass(frozen=True, slots=True)
class PluginStatus:
    """What became of one plugin.

    Attributes:
        name: The entry point's name, or the one given to ``build_registry``.
        owner: Distribution and version that brought it, or ``application``.
        state: ``loaded`` or ``failed``.
        reason: Why it failed; empty when it did not.
    """

    name: str
    owner: str
    state: Literal["loaded", "failed"]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Registry:
    """What all plugins brought, frozen. Looking something up calls no plugin and takes no lock.

    Attributes:
        grants: grant_type -> grant.
        issuer_grants: grant_type -> the issuer's side of it.
        dialects: Name -> dialect; ``rfc6749`` is always there.
        client_auth: Method -> factory of a client's proof, beyond the standard ones.
        errors: Code on the wire -> exception class, beyond the standard ones.
        middleware: Plugins' middleware, outermost first.
        observers: Name and callable of each observer.
        plugins: What became of each plugin.
    """

    grants: Mapping[str, Grant]
    issuer_grants: Mapping[str, IssuerSide]
    dialects: Mapping[str, Dialect]
    client_auth: Mapping[str, ClientAuthFactory]
    errors: Mapping[str, type[TokenError]]
    middleware: tuple[Middleware, ...]
    observers: tuple[tuple[str, Callable[[Event], None]], ...]
    plugins: tuple[PluginStatus, ...]

    def grant(self, grant_type: str) -> Grant:
        """The grant of a grant_type.

        Raises:
            UnknownGrantTypeError: lists those that are registered and the nearest.
        """
        try:
            return self.grants[grant_type]
        except (KeyError, TypeError):
            pass
        known = sorted(self.grants)
        asked = grant_type if isinstance(grant_type, str) else ""
        nearest = _nearest(asked, known)
        shown = f"{grant_type!r:.200}" if isinstance(grant_type, str) else type(grant_type).__name__
        hint = f" Did you mean {nearest!r}?" if nearest else ""
        raise UnknownGrantTypeError(
            f"grant_type: {shown} is not registered, nothing was sent.{hint} "
            f"Registered: {', '.join(known) or 'none'}.",
            registered=known,
            nearest=nearest,
        )


def _nearest(asked: str, known: Sequence[str]) -> str | None:
    """The name that was probably meant; a URN also goes by its last part."""
    short = {name.rsplit(":", 1)[-1]: name for name in known}
    short.update({name: name for name in known})
    close = difflib.get_close_matches(asked.rsplit(":", 1)[-1].lower(), short, n=1, cutoff=0.5)
    return short[close[0]] if close else None


@dataclass(slots=True)
class _Draft:
    """A registry while it is being filled; remembers who brought what."""

    grants: dict[str, Grant] = field(default_factory=dict)
    issuer_grants: dict[str, IssuerSide] = field(default_factory=dict)
    dialects: dict[str, Dialect] = field(default_factory=lambda: {RFC6749.name: RFC6749})
    client_auth: dict[str, ClientAuthFactory] = field(default_factory=dict)
    errors: dict[str, type[TokenError]] = field(default_factory=dict)
    middleware: list[Middleware] = field(default_factory=list)
    observers: list[tuple[str, Callable[[Event], None]]] = field(default_factory=list)
    owners: dict[tuple[str, str], str] = field(
        default_factory=lambda: {
            ("dialect", RFC6749.name): "grantway",
            **{("client authentication", method): "grantway" for method in STANDARD_METHODS},
        }
    )

    def claim(self, kind: str, name: str, owner: str) -> None:
        """Note who brings a name.

        Raises:
            GrantConflictError: somebody else already does.
        """
        first = self.owners.setdefault((kind, name), owner)
        if first != owner:
            raise GrantConflictError(
                f"The {kind} {name!r} is brought by {first} and by {owner}. Uninstall one of "
                "them; the order of loading never decides."
            )


def build_registry(
    plugins: Mapping[str, object] | None = None,
    *,
    entry_points: bool = True,
    strict: bool = False,
) -> Registry:
    """Build a registry of installed plugins and of those given here.

    Args:
        plugins: Name -> module or object with hooks, for plugins that are not installed.
        entry_points: Whether to load the group ``grantway.v1``.
        strict: Raise for the first broken plugin rather than note it in ``Registry.plugins``.

    Raises:
        GrantConflictError: two owners bring the same name.
        PluginLoadError: a plugin is broken, with ``strict``.
    """
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    draft = _Draft()
    statuses: list[PluginStatus] = []
    for name, owner, load in [
        *(_installed() if entry_points else ()),
        *((name, "application", _constant(plugin)) for name, plugin in (plugins or {}).items()),
    ]:
        reason = _add(manager, draft, f"{owner}/{name}", load)
        if reason and strict:
            raise PluginLoadError(f"The plugin {name} of {owner} could not be loaded: {reason}")
        statuses.append(PluginStatus(name, owner, "failed" if reason else "loaded", reason))
    return Registry(
        grants=MappingProxyType(draft.grants),
        issuer_grants=MappingProxyType(draft.issuer_grants),
        dialects=MappingProxyType(draft.dialects),
        client_auth=MappingProxyType(draft.client_auth),
        errors=MappingProxyType(draft.errors),
        middleware=tuple(draft.middleware),
        observers=tuple(draft.observers),
        plugins=tuple(statuses),
    )


def _constant(plugin: object) -> Callable[[], object]:
    return lambda: plugin


def _installed() -> Iterable[tuple[str, str, Callable[[], object]]]:
    """Installed plugins, in a stable order that decides nothing."""
    found = metadata.entry_points(group=hookspecs.ENTRY_POINT_GROUP)
    seen: set[tuple[str, str, str]] = set()
    for point in sorted(found, key=lambda p: (p.dist.name if p.dist else "", p.name)):
        owner = f"{point.dist.name} {point.dist.version}" if point.dist else "unknown distribution"
        # An editable install can be listed twice, by its source tree and by its metadata.
        if (key := (owner, point.name, point.value)) not in seen:
            seen.add(key)
            yield point.name, owner, point.load


def _add(
    manager: pluggy.PluginManager, draft: _Draft, name: str, load: Callable[[], object]
) -> str:
    """Load one plugin and take what it brings; the reason when it is broken.

    Everything a plugin brings is read before anything of it is taken, so that a plugin that
    breaks half way leaves nothing behind.
    """
    try:
        plugin = load()
        manager.register(plugin, name)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - one plugin must not stop the others
        return f"{type(error).__name__}: {error}"
    try:
        _refuse_unknown_hooks(manager, plugin)
        brought = _Brought.read(manager, plugin)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the same
        manager.unregister(plugin)
        return f"{type(error).__name__}: {error}"
    brought.take(draft, name)
    return ""


def _refuse_unknown_hooks(manager: pluggy.PluginManager, plugin: object) -> None:
    known = [name for name in dir(hookspecs) if name.startswith("grantway_")]
    for caller in manager.get_hookcallers(plugin) or ():
        if not caller.has_spec():
            near = difflib.get_close_matches(caller.name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise PluginLoadError(f"there is no hook {caller.name}{hint}")


@dataclass(frozen=True, slots=True)
class _Brought:
    """What one plugin returned from its hooks, checked."""

    grants: tuple[Grant, ...]
    issuer_grants: Mapping[str, IssuerSide]
    dialects: tuple[Dialect, ...]
    client_auth: Mapping[str, ClientAuthFactory]
    errors: Mapping[str, type[TokenError]]
    middleware: tuple[Middleware, ...]
    observe: Callable[[Event], None] | None

    @classmethod
    def read(cls, manager: pluggy.PluginManager, plugin: object) -> _Brought:
        """Call the register hooks of one plugin, once.

        Raises:
            RegistryError: what it returned cannot be used.
        """
        hooks: dict[str, Any] = {
            caller.name: implementation.function
            for caller in manager.get_hookcallers(plugin) or ()
            for implementation in caller.get_hookimpls()
            if implementation.plugin is plugin
        }

        def returned(hook: str, empty: Any) -> Any:
            function = hooks.get(hook)
            return empty if function is None else function()

        grants = tuple(returned("grantway_register_grants", ()))
        for grant in grants:
            _check_grant(grant)
        _check_once("grant", [grant.grant_type for grant in grants])
        issuer_grants = dict(returned("grantway_register_issuer_grants", {}))
        for grant_type, side in issuer_grants.items():
            if not callable(getattr(side, "decide", None)):
                raise GrantInvalidError(f"the issuer's side of {grant_type} has no decide()")
        dialects = tuple(returned("grantway_register_dialects", ()))
        for dialect in dialects:
            if not isinstance(dialect, Dialect):
                raise RegistryError(f"grantway_register_dialects gave a {type(dialect).__name__}")
        _check_once("dialect", [dialect.name for dialect in dialects])
        client_auth = dict(returned("grantway_register_client_auth", {}))
        errors = dict(returned("grantway_register_errors", {}))
        _check_errors(errors)
        middleware = tuple(returned("grantway_register_middleware", ()))
        _check_callables("client authentication", client_auth.values())
        _check_callables("middleware", middleware)
        observe = hooks.get("grantway_observe")
        if observe is not None and not _takes_one(observe):
            raise RegistryError("grantway_observe must take one argument, the event")
        return cls(grants, issuer_grants, dialects, client_auth, errors, middleware, observe)

    def take(self, draft: _Draft, owner: str) -> None:
        """Put everything into the draft.

        Raises:
            GrantConflictError: somebody else brings one of the names.
        """
        for grant in self.grants:
            draft.claim("grant", grant.grant_type, owner)
            draft.grants[grant.grant_type] = grant
        for grant_type, side in self.issuer_grants.items():
            draft.claim("issuer's side of the grant", grant_type, owner)
            draft.issuer_grants[grant_type] = side
        for dialect in self.dialects:
            draft.claim("dialect", dialect.name, owner)
            draft.dialects[dialect.name] = dialect
        for method, factory in self.client_auth.items():
            draft.claim("client authentication", method, owner)
            draft.client_auth[method] = factory
        for code, kind in self.errors.items():
            draft.claim("error code", code, owner)
            draft.errors[code] = kind
        draft.middleware.extend(self.middleware)
        if self.observe is not None:
            draft.observers.append((owner, self.observe))


def _check_errors(errors: Mapping[str, object]) -> None:
    for code, kind in errors.items():
        if not (inspect.isclass(kind) and issubclass(kind, TokenError)):
            raise RegistryError(f"the class for the error code {code!r} is not a TokenError")
        if any(code == standard.wire for standard in TOKEN_ERRORS):
            raise RegistryError(f"the error code {code!r} has a class already")


def _takes_one(observe: Callable[..., object]) -> bool:
    # pluggy lets an implementation leave arguments out; ours is called without pluggy.
    try:
        inspect.signature(observe).bind(None)
    except TypeError:
        return False
    return True


def _check_once(kind: str, names: Sequence[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise RegistryError(f"the {kind} {name!r} is brought twice")


def _check_callables(kind: str, brought: Iterable[object]) -> None:
    for one in brought:
        if not callable(one):
            raise RegistryError(f"the {kind} {type(one).__name__} cannot be called")


def _check_grant(grant: object) -> None:
    if not isinstance(grant, Grant):
        raise GrantInvalidError(f"grantway_register_grants gave a {type(grant).__name__}")
    if not isinstance(grant.grant_type, str) or not grant.grant_type.strip():
        raise GrantInvalidError("a grant has an empty grant_type")
    if not isinstance(grant.schema, Schema):
        raise GrantInvalidError(f"the grant {grant.grant_type} has no marshmallow schema instance")
    if not isinstance(grant.replay, Replay):
        raise GrantInvalidError(f"the grant {grant.grant_type} has no replay class")


_lock = threading.Lock()
_default: Registry | None = None


def default_registry() -> Registry:
    """The registry of all installed plugins, built when it is first asked for."""
    global _default  # noqa: PLW0603 - one registry a process, behind a lock
    if _default is None:
        with _lock:
            if _default is None:
                _default = build_registry()
    return _default
