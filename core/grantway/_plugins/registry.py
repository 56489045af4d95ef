"""The registry: the exports of all plugins without conflicts, immutable."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from grantway._exceptions import (
    ConfigurationError,
    GrantConflictError,
    PluginLoadError,
    RegistryError,
    TokenError,
)
from grantway._processes.copies import OneProcess
from grantway._requests.middleware.contract import name_of
from grantway._secrets.params import Params
from grantway._types.grant import Grant, IssuerGrant
from grantway._types.plugin_status import PluginStatus
from grantway._wire.dialect import RFC6749, Dialect

from .conflicts import OWN, ConflictResolution, resolve_conflicts
from .exports import PluginExports
from .failures import call_factory, not_loaded
from .kinds import (
    CLIENT_AUTH,
    DIALECT,
    ERROR_CODE,
    GRANT,
    ISSUER_CLIENT_AUTH,
    ISSUER_EXTENSION,
    ISSUER_GRANT,
    ISSUER_LOGIN,
    KINDS,
    LOGIN_FLOW,
    SECRET_SOURCE,
    STORE,
    TENANT_RULE,
    Kind,
)
from .references import References
from .selection import names_of

if TYPE_CHECKING:
    from grantway._requests.client_auth import ClientAuthFactory
    from grantway._requests.login import LoginFlow
    from grantway._requests.middleware import Middleware
    from grantway._types.event import Event
    from grantway._types.issuer_plugins import (
        IssuerClientAuth,
        IssuerExtension,
        IssuerLogin,
    )
    from grantway._types.secret_source import SecretSource, SecretSourceFactory
    from grantway._types.store import Store, StoreFactory


_NOTHING: Mapping[str, tuple[str, ...]] = MappingProxyType({})


class Origins(NamedTuple):
    """The plugins behind a registry.

    Attributes:
        plugins: The status of each plugin.
        exports: The exports of each loaded plugin.
        prefer: The application's choice: grant_type -> plugin or distribution.
        owned: The owner of each name, and the conflicting names.
        middleware: The plugin of each entry of ``Registry.middleware``, in the same order.
    """

    plugins: tuple[PluginStatus, ...]
    exports: tuple[PluginExports, ...]
    prefer: Mapping[str, str]
    owned: ConflictResolution
    middleware: tuple[PluginStatus, ...]


@dataclass(frozen=True, eq=False)
class Registry(OneProcess):
    """The exports of all plugins, immutable. Lookups call no plugin and take no lock.

    Attributes:
        tables: Kind -> the registered values by name. A lookup imports what a plugin registered by
            reference, and raises ``PluginLoadError`` if that fails.
        middleware: Plugins' middleware, outermost first.
        observers: Name and callable of each observer.
        origins: The plugins behind the registry.
    """

    stays = "it holds loaded plugins; build one in the process that uses it"

    tables: Mapping[Kind, References[Any]]
    middleware: tuple[Middleware, ...]
    observers: tuple[tuple[str, Callable[[Event], None]], ...]
    origins: Origins = field(repr=False)

    @property
    def grants(self) -> References[Grant]:
        """grant_type -> grant."""
        return self.tables[GRANT]

    @property
    def issuer_grants(self) -> References[IssuerGrant]:
        """grant_type -> the issuer's part of the grant."""
        return self.tables[ISSUER_GRANT]

    @property
    def issuer_extensions(self) -> References[IssuerExtension]:
        """Name -> what a plugin adds to the issuer."""
        return self.tables[ISSUER_EXTENSION]

    @property
    def issuer_client_auth(self) -> References[IssuerClientAuth]:
        """Method -> the issuer's part of it, without the standard methods."""
        return self.tables[ISSUER_CLIENT_AUTH]

    @property
    def issuer_logins(self) -> References[Callable[..., IssuerLogin]]:
        """Name -> factory of the issuer's logins of users."""
        return self.tables[ISSUER_LOGIN]

    @property
    def dialects(self) -> References[Dialect]:
        """Name -> dialect, including ``rfc6749``."""
        return self.tables[DIALECT]

    @property
    def client_auth(self) -> References[ClientAuthFactory]:
        """Method -> factory of client authentication, without the standard methods."""
        return self.tables[CLIENT_AUTH]

    @property
    def errors(self) -> References[type[TokenError]]:
        """Error code -> exception class, without the standard codes."""
        return self.tables[ERROR_CODE]

    @property
    def stores(self) -> References[StoreFactory]:
        """Name -> factory of token stores."""
        return self.tables[STORE]

    @property
    def secret_sources(self) -> References[SecretSourceFactory]:
        """Name -> factory of secret sources."""
        return self.tables[SECRET_SOURCE]

    @property
    def login_flows(self) -> References[LoginFlow]:
        """grant_type -> how the user logs in, without the standard logins."""
        return self.tables[LOGIN_FLOW]

    @property
    def tenant_rules(self) -> References[Callable[..., Callable[[Any], str]]]:
        """Name -> factory of a gateway's tenant rules, without the gateway's own."""
        return self.tables[TENANT_RULE]

    @property
    def plugins(self) -> tuple[PluginStatus, ...]:
        """The status of each plugin."""
        return self.origins.plugins

    def grant(self, grant_type: str) -> Grant:
        """Return the grant of a grant_type.

        Raises:
            UnknownGrantTypeError: no plugin registered it. The message lists the registered ones.
            GrantConflictError: several plugins register it, and the conflict is not resolved.
            PluginLoadError: the grant is registered by reference, and cannot be imported.
        """
        try:
            return self.grants[grant_type]
        except (KeyError, TypeError):
            pass
        known_type = grant_type if isinstance(grant_type, str) else ""
        if conflict := self.origins.owned.conflicts.get((GRANT, known_type)):
            raise GrantConflictError(f"Nothing was sent. {conflict}")
        from .unknown_grant import unknown_grant  # noqa: PLC0415 - only for this error

        raise unknown_grant(grant_type, self.grants, self.plugins)

    def store(self, name: str, /, **options: Any) -> Store:
        """Create a store.

        Args:
            name: The registered name.
            **options: The options of the store.

        Raises:
            ConfigurationError: no plugin registered the name. The message lists the registered
                names.
        """
        from grantway._types.store import problem_of  # noqa: PLC0415 - few programs have a store

        options = Params(options)  # hide the values from tools that print a traceback's locals
        store: Store = self._create(STORE, name, options, problem_of)
        return store

    def secret_source(self, name: str, /, **options: Any) -> SecretSource:
        """Create a secret source. Its result is cached, once for all threads and tasks.

        Args:
            name: The registered name, such as ``env``, ``file`` or ``keyring``.
            **options: The options of the source.

        Raises:
            ConfigurationError: no plugin registered the name. The message lists the registered
                names.
        """
        from grantway._requests.cached_source import CachedSource  # noqa: PLC0415 - few need it
        from grantway._types.secret_source import problem_of as rule  # noqa: PLC0415

        options = Params(options)  # as in store
        source = self._create(SECRET_SOURCE, name, options, rule)
        owner = self.owner_of(SECRET_SOURCE, name)
        by = "" if owner.distribution == OWN else f" (plugin {owner.named})"
        return CachedSource(source, f"the secret source {name!r}{by}")

    def issuer_login(self, name: str, /, **options: Any) -> IssuerLogin:
        """Create a login of the issuer.

        Args:
            name: The registered name.
            **options: The options of the login.

        Raises:
            ConfigurationError: no plugin registered the name. The message lists the registered
                names.
        """
        from grantway._types.issuer_plugins import problem_of as rule  # noqa: PLC0415 - few need it

        options = Params(options)  # as in store
        login: IssuerLogin = self._create(ISSUER_LOGIN, name, options, rule)
        return login

    def _create(
        self, kind: Kind, name: str, options: Mapping[str, Any], problem_of: Callable[[object], str]
    ) -> Any:
        """Create an object from options, which must be ``Params``."""
        factories = self.tables[kind]
        factory = factories.get(name)
        if factory is None:
            conflict = self.origins.owned.conflicts.get((kind, name))
            registered = ", ".join(sorted(factories))
            raise ConfigurationError(
                f"{kind.label}: {name!r} is not registered; "
                f"{f'use {registered}' if registered else 'install a plugin that registers it'}."
                f"{f' {conflict}' if conflict else ''}",
                errors={kind.label: [f"must be the name of a registered {kind.label}"]},
            )
        owner = self.owner_of(kind, name)
        rules = {kind.label: [f"must be a {kind.label}"]}

        def refused(problem: str) -> ConfigurationError:
            return ConfigurationError(
                f"{kind.label}: the plugin {owner.named}, which creates {name!r}, {problem}.",
                errors=rules,
            )

        own = owner.distribution == OWN
        created: object = factory(**options) if own else call_factory(factory, options, refused)
        if problem := problem_of(created):
            raise ConfigurationError(
                f"{kind.label}: the object that the plugin {owner.named} creates for {name!r} "
                f"{problem}.",
                errors=rules,
            )
        return created

    def owner(self, grant_type: str) -> PluginStatus:
        """Return the plugin that registered a grant.

        Raises:
            KeyError: the grant is not registered.
        """
        return self.owner_of(GRANT, grant_type)

    def owner_of(self, kind: Kind, name: str) -> PluginStatus:
        """Return the plugin that registered a name.

        Raises:
            KeyError: the name is not registered.
        """
        return self.origins.owned.owners[kind, name].status

    def client_auth_owner(self, method: str) -> str:
        """Return the plugin of a client authentication method; empty if none registered it."""
        owner = self.origins.owned.owners.get((CLIENT_AUTH, method))
        return "" if owner is None else owner.status.named

    def require(
        self, names: Iterable[str], causes: Mapping[str, BaseException] = MappingProxyType({})
    ) -> None:
        """Raise an error if one of these plugins is not loaded, or only in part.

        Plugins that fail to load are skipped. Require those whose absence would be unsafe, such as
        an audit log.

        Args:
            names: Plugin names, distributions (all their plugins) or ``distribution/name``.
            causes: Path of a plugin -> the exception that it raised.

        Raises:
            PluginLoadError: a plugin is not loaded, or lost a name to another one; says why.
            RegistryError: there is no plugin by that name.
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
                if each.conflicts:
                    raise PluginLoadError(
                        f"The required plugin {each.named} is loaded only in part: "
                        f"{' '.join(each.conflicts)}"
                    )
            self.import_references({each.path for each in found})

    def import_references(self, paths: Collection[str]) -> None:
        """Import what these plugins registered by reference for clients.

        Raises:
            PluginLoadError: one of them cannot be imported, or is invalid.
        """
        for (kind, name), owner in self.origins.owned.owners.items():
            if kind.for_clients and owner.status.path in paths and name in self.tables[kind]:
                self.tables[kind][name]

    def with_grants(self, grants: Iterable[Grant]) -> Registry:
        """Return a copy of the registry with additional grants.

        Raises:
            GrantConflictError: a grant is registered already, and ``replaces`` is not set.
            GrantInvalidError: a grant is invalid.
        """
        more = PluginExports.of_grants(PluginStatus("grants", source="grants="), grants)
        return self.with_exports([more] if more.values[GRANT] else [])

    def with_exports(self, more: Sequence[PluginExports]) -> Registry:
        """Return a copy of the registry with additional exports."""
        if not more:
            return self
        return assemble(
            [*self.origins.exports, *more],
            [*self.origins.plugins, *(each.status for each in more)],
            self.origins.prefer,
        )


def _contributions(
    exports: Sequence[PluginExports], owned: ConflictResolution
) -> dict[str, Mapping[str, tuple[str, ...]]]:
    """Return what each plugin contributes, by its path."""
    found: dict[str, dict[str, tuple[str, ...]]] = {each.status.path: {} for each in exports}
    for (kind, name), owner in owned.owners.items():
        if (own := found.get(owner.status.path)) is not None:
            own[kind.label] = (*own.get(kind.label, ()), name)
    for each in exports:
        own = found[each.status.path]
        if each.middleware:
            own["middleware"] = tuple(map(name_of, each.middleware))
        if each.observe:
            own["observer"] = ("grantway_observe",)
    return {path: MappingProxyType(own) for path, own in found.items()}


def assemble(
    exports: Sequence[PluginExports],
    statuses: Sequence[PluginStatus],
    prefer: Mapping[str, str],
    *,
    strict: bool = False,
) -> Registry:
    """Build a registry from the exports of plugins. Calls no plugin.

    Raises:
        GrantConflictError: the application registers a name of a plugin; with ``strict``, any two
            conflict.
        RegistryError: ``prefer`` names a plugin that does not register the grant.
    """
    owned = resolve_conflicts(exports, prefer)
    for losing, reasons in owned.lost.items():
        if strict or not losing.status.distribution:
            raise GrantConflictError(reasons[0])
    conflicts = {losing.status.path: reasons for losing, reasons in owned.lost.items()}
    contributions = _contributions(exports, owned)
    hooks = {each.status.path: each.hooks for each in exports}
    tables: dict[Kind, dict[str, Any]] = {kind: {} for kind in KINDS}
    tables[DIALECT][RFC6749.name] = RFC6749
    for (kind, name), value in owned.values.items():
        tables[kind][name] = value

    def references(kind: Kind) -> References[Any]:
        return References(
            tables[kind], lambda name: owned.owners[kind, name].status, kind.check_loaded
        )

    return Registry(
        tables=MappingProxyType({kind: references(kind) for kind in KINDS}),
        middleware=tuple(one for each in exports for one in each.middleware),
        observers=tuple((each.status.path, each.observe) for each in exports if each.observe),
        origins=Origins(
            plugins=tuple(
                replace(
                    each,
                    conflicts=conflicts.get(each.path, ()),
                    hooks=hooks.get(each.path, ()),
                    contributions=contributions.get(each.path, _NOTHING),
                )
                for each in statuses
            ),
            exports=tuple(exports),
            prefer=prefer,
            owned=owned,
            middleware=tuple(each.status for each in exports for _ in each.middleware),
        ),
    )
