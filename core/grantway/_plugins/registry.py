"""What all plugins brought, frozen into one look-up, with every conflict settled or refused."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from grantway._exceptions import (
    ConfigurationError,
    GrantConflictError,
    PluginIncompatibleError,
    RegistryError,
    TokenError,
    UnknownGrantTypeError,
)
from grantway._processes.copies import OneProcess
from grantway._types.grant import Grant, IssuerGrant, Params
from grantway._types.plugin_status import PluginStatus, source_of
from grantway._types.store import problem_of
from grantway._wire.dialect import RFC6749, Dialect

from .conflicts import ConflictResolution, resolve_conflicts
from .discovery import installed
from .exports import (
    CLIENT_AUTH,
    DIALECT,
    ERROR_CODE,
    GRANT,
    ISSUER_SIDE,
    STORE,
    PluginExports,
    hook_manager,
)
from .failures import not_loaded, reason_of, report_failures
from .selection import Selection, names_of

if TYPE_CHECKING:
    from grantway._requests.client_auth import ClientAuthFactory
    from grantway._requests.middleware import Middleware
    from grantway._types.event import Event
    from grantway._types.store import Store, StoreFactory


@dataclass(frozen=True, slots=True)
class Origins:
    """Where everything in a registry came from.

    Attributes:
        plugins: What became of each plugin.
        contributions: What each loaded plugin brought.
        prefer: The host's choice: grant_type -> plugin or distribution.
        owned: Who brings which name, and the names that nobody may have.
        middleware: The plugin that brought each of ``Registry.middleware``, in the same order.
    """

    plugins: tuple[PluginStatus, ...]
    contributions: tuple[PluginExports, ...]
    prefer: Mapping[str, str]
    owned: ConflictResolution
    middleware: tuple[PluginStatus, ...]


@dataclass(frozen=True, slots=True)
class Registry(OneProcess):
    """What all plugins brought, frozen. Looking something up calls no plugin and takes no lock.

    Attributes:
        grants: grant_type -> grant.
        issuer_grants: grant_type -> the issuer's side of it.
        dialects: Name -> dialect; ``rfc6749`` is always there.
        client_auth: Method -> factory of a client's proof, beyond the standard ones.
        errors: Code on the wire -> exception class, beyond the standard ones.
        stores: Name -> factory of a place where tokens rest.
        middleware: Plugins' middleware, outermost first.
        observers: Name and callable of each observer.
        origins: Where all this came from.
    """

    stays = "it holds loaded plugins; build one in the process that uses it"

    grants: Mapping[str, Grant]
    issuer_grants: Mapping[str, IssuerGrant]
    dialects: Mapping[str, Dialect]
    client_auth: Mapping[str, ClientAuthFactory]
    errors: Mapping[str, type[TokenError]]
    stores: Mapping[str, StoreFactory]
    middleware: tuple[Middleware, ...]
    observers: tuple[tuple[str, Callable[[Event], None]], ...]
    origins: Origins = field(repr=False)

    @property
    def plugins(self) -> tuple[PluginStatus, ...]:
        """What became of each plugin."""
        return self.origins.plugins

    def grant(self, grant_type: str) -> Grant:
        """The grant of a grant_type.

        Raises:
            UnknownGrantTypeError: lists those that are registered and the nearest.
            GrantConflictError: several plugins bring it, and nothing says which one counts.
        """
        try:
            return self.grants[grant_type]
        except (KeyError, TypeError):
            pass
        known = sorted(self.grants)
        asked = grant_type if isinstance(grant_type, str) else ""
        if conflict := self.origins.owned.conflicts.get((GRANT, asked)):
            raise GrantConflictError(f"Nothing was sent. {conflict}")
        nearest = _nearest(asked, known)
        shown = f"{grant_type!r:.200}" if isinstance(grant_type, str) else type(grant_type).__name__
        hint = f" Did you mean {nearest!r}?" if nearest else ""
        missing = [f"{each.path} ({each.state})" for each in self.plugins if each.state != "loaded"]
        unloaded = f" Plugins that are not loaded: {', '.join(missing)}." if missing else ""
        raise UnknownGrantTypeError(
            f"grant_type: {shown} is not registered, nothing was sent.{hint} "
            f"Registered: {', '.join(known) or 'none'}.{unloaded}",
            registered=known,
            nearest=nearest,
        )

    def store(self, name: str, **options: Any) -> Store:
        """Make a store.

        Args:
            name: As it is registered.
            **options: The store's own.

        Raises:
            ConfigurationError: no plugin brings it; lists those that are there.
        """
        options = Params(options)  # tools that show the locals of a traceback then show no value
        factory = self.stores.get(name)
        if factory is None:
            raise ConfigurationError(
                f"store: {name!r} is not registered; there are {', '.join(sorted(self.stores))}.",
                errors={"store": ["must be the name of a registered store"]},
            )
        store = factory(**options)
        if problem := problem_of(store):
            plugin = self.origins.owned.owners[STORE, name].status.named
            raise ConfigurationError(
                f"store: what the plugin {plugin} makes for {name!r} {problem}.",
                errors={"store": ["must be a store"]},
            )
        return store

    def owner(self, grant_type: str) -> PluginStatus:
        """The plugin that brought a grant.

        Raises:
            KeyError: it is not registered.
        """
        return self.origins.owned.owners[GRANT, grant_type].status

    def require(
        self, names: Iterable[str], causes: Mapping[str, BaseException] = MappingProxyType({})
    ) -> None:
        """Raise if one of these plugins is not loaded.

        Middleware that fails to load is skipped. Name the plugins whose absence would be unsafe,
        such as one that keeps an audit log.

        Args:
            names: Each by its name, its distribution's, which means all of that, or
                ``distribution/name``.
            causes: Path of a plugin -> what it raised.

        Raises:
            PluginLoadError: one is not loaded; says why.
            RegistryError: there is no plugin of that name.
        """
        for name in names_of("require", names):
            found = [each for each in self.plugins if each.goes_by(name)]
            if not found:
                known = ", ".join(sorted({each.path for each in self.plugins})) or "none"
                raise RegistryError(
                    f"The required plugin {name!r} is not installed. Installed: {known}."
                )
            for each in found:
                if each.state != "loaded":
                    raise not_loaded(each, f"The required plugin {each.named}") from causes.get(
                        each.path
                    )

    def with_grants(self, grants: Iterable[Grant]) -> Registry:
        """Another registry that has these grants too; this one stays as it is.

        Raises:
            GrantConflictError: one is there already, and the new one does not say ``replaces``.
            GrantInvalidError: one cannot be used.
        """
        more = PluginExports.of_grants(PluginStatus("grants", source="grants="), grants)
        return self.with_contributions([more] if more.grants else [])

    def with_contributions(self, more: Sequence[PluginExports]) -> Registry:
        """Another registry that has these too; this one stays as it is."""
        if not more:
            return self
        return assemble(
            [*self.origins.contributions, *more],
            [*self.origins.plugins, *(each.status for each in more)],
            self.origins.prefer,
        )


def _nearest(asked: str, known: Sequence[str]) -> str | None:
    """The name that was probably meant; a URN also goes by its last part."""
    short = {name.rsplit(":", 1)[-1]: name for name in known}
    short.update({name: name for name in known})
    close = difflib.get_close_matches(asked.rsplit(":", 1)[-1].lower(), short, n=1, cutoff=0.5)
    return short[close[0]] if close else None


def build_registry(
    plugins: Mapping[str, object] | None = None,
    *,
    entry_points: bool = True,
    only: Iterable[str] | None = None,
    block: Iterable[str] = (),
    prefer: Mapping[str, str] = MappingProxyType({}),
    strict: bool = False,
    require: Iterable[str] = (),
) -> Registry:
    """Build a registry of installed plugins and of those given here.

    A plugin that fails does not stop the others. The logger ``grantway`` warns of it, with the
    traceback.

    A plugin goes by its entry point's name, by its distribution's, which means all of that, or by
    ``distribution/name``.

    Args:
        plugins: Name -> module or object with hooks, or a grant, for what is not installed.
        entry_points: Whether to load installed plugins, those of the group ``grantway.v1``.
        only: Load only these of them, grantway's own included.
        block: Load all but these. Without ``only`` and ``block``, the environment variable
            ``GRANTWAY_PLUGINS`` says which: ``a,b``, ``-a,-b`` or ``none``.
        prefer: grant_type -> plugin whose grant counts where several bring it.
        strict: Raise for the first broken plugin rather than note it in ``Registry.plugins``.
        require: Plugins that must be loaded, as for ``Registry.require``.

    Raises:
        GrantConflictError: a plugin given here and another bring the same name; with ``strict``,
            any two.
        PluginLoadError: a plugin is broken, with ``strict``; or a plugin of ``require`` is not
            loaded.
        RegistryError: ``only``, ``block``, ``prefer`` or the environment name no plugin.
    """
    contributions: list[PluginExports] = []
    statuses: list[PluginStatus] = []
    causes: dict[str, BaseException] = {}
    candidates = _wanted(only, block) if entry_points else []
    for name, plugin in (plugins or {}).items():
        source = source_of(plugin)
        candidates.append((PluginStatus(name, source=source), partial(_same, plugin)))
    manager = hook_manager()
    for status, load in candidates:
        if status.state == "loaded":
            try:
                contributions.append(PluginExports.read(status, load(), manager=manager))
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # noqa: BLE001 - pyo3 panics and SystemExit too
                causes[status.path] = error
                status = _refused(status, error)  # noqa: PLW2901 - the same plugin's new status
        if strict and status.state in {"failed", "incompatible"}:
            raise not_loaded(status) from causes.get(status.path)
        statuses.append(status)
    registry = assemble(contributions, statuses, prefer, strict=strict)
    report_failures(registry.plugins, causes)
    registry.require(require, causes)
    return registry


def _wanted(
    only: Iterable[str] | None, block: Iterable[str]
) -> list[tuple[PluginStatus, Callable[[], Any]]]:
    """Installed plugins; those that the host does not want are marked, and never imported."""
    selection = Selection.of(only, block)
    found = installed()
    selection.check([each.status for each in found])
    wanted = []
    for each in found:
        why_not = selection.why_not(each.status)
        status = replace(each.status, state="blocked", reason=why_not) if why_not else each.status
        wanted.append((status, each.load))
    return wanted


def _same(plugin: object) -> object:
    return plugin


def _refused(status: PluginStatus, error: BaseException) -> PluginStatus:
    if isinstance(error, PluginIncompatibleError):
        return replace(status, state="incompatible", reason=str(error))
    return replace(status, state="failed", reason=reason_of(error))


def assemble(
    contributions: Sequence[PluginExports],
    statuses: Sequence[PluginStatus],
    prefer: Mapping[str, str],
    *,
    strict: bool = False,
) -> Registry:
    """Make one registry of what plugins brought. Calls no plugin.

    Raises:
        GrantConflictError: the application's own brings a name that another brings too; with
            ``strict``, any two do.
        RegistryError: ``prefer`` names nobody who brings that grant.
    """
    owned = resolve_conflicts(contributions, prefer)
    for reason, contribution in owned.refused:
        if strict or not contribution.status.distribution:
            raise GrantConflictError(reason)
    reasons = {contribution.status.path: reason for reason, contribution in owned.refused}
    loaded = [each for each in contributions if each.status.path not in reasons]
    tables: dict[str, dict[str, Any]] = {
        kind: {} for kind in (GRANT, ISSUER_SIDE, DIALECT, CLIENT_AUTH, ERROR_CODE, STORE)
    }
    tables[DIALECT][RFC6749.name] = RFC6749
    for (kind, name), value in owned.values.items():
        tables[kind][name] = value
    return Registry(
        grants=MappingProxyType(tables[GRANT]),
        issuer_grants=MappingProxyType(tables[ISSUER_SIDE]),
        dialects=MappingProxyType(tables[DIALECT]),
        client_auth=MappingProxyType(tables[CLIENT_AUTH]),
        errors=MappingProxyType(tables[ERROR_CODE]),
        stores=MappingProxyType(tables[STORE]),
        middleware=tuple(one for each in loaded for one in each.middleware),
        observers=tuple((each.status.path, each.observe) for each in loaded if each.observe),
        origins=Origins(
            plugins=tuple(
                replace(each, state="failed", reason=reasons[each.path])
                if each.path in reasons and each.state == "loaded"
                else each
                for each in statuses
            ),
            contributions=tuple(contributions),
            prefer=prefer,
            owned=owned,
            middleware=tuple(each.status for each in loaded for _ in each.middleware),
        ),
    )
