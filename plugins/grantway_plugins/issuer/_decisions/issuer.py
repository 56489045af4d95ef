"""Settings, grants and clocks of an issuer, which all endpoints use."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Self

from grantway._exceptions import ConfigurationError
from grantway._plugins.default_registry import default_registry
from grantway._plugins.kinds import ISSUER_GRANT
from grantway._plugins.registry import Registry
from grantway._types.grant import Grant, IssuerGrant
from grantway_plugins.issuer._clients.certificate_metadata import offered_methods
from grantway_plugins.issuer._clients.key_metadata import PRIVATE_KEY_JWT
from grantway_plugins.issuer._keys.opening import file_ring
from grantway_plugins.issuer._login.method import LoginMethod, login_method
from grantway_plugins.issuer._security import FAPI2_METHODS, proof_algorithms
from grantway_plugins.issuer._settings import INTERACTIVE, IssuerSettings
from grantway_plugins.issuer._storage.steady_clock import SteadyClock
from grantway_plugins.issuer._trust.trusted_token import FEDERATED

from .client_auth_methods import ClientAuthMethod, client_auth_methods
from .grants.jwt_bearer import JWT_BEARER

if TYPE_CHECKING:
    from grantway_plugins.issuer._keys.ring import KeyRing
    from grantway_plugins.issuer._storage.records import RegisteredClient

Clock = Callable[[], float]
#: Standard values of ``token_endpoint_auth_method``.
METHODS = ("none", "client_secret_basic", "client_secret_post", FEDERATED)

_log = logging.getLogger("grantway.issuer")


@dataclass(frozen=True)
class OfferedGrant:
    """A grant that the issuer offers: its request schema, its decision and their plugin."""

    grant: Grant
    issuer_grant: IssuerGrant
    plugin: str


@dataclass(frozen=True)
class Issuer:
    """Settings, grants and clocks of an issuer.

    Attributes:
        settings: Settings of the issuer.
        grants: Offered grants by grant type.
        clock: Returns seconds since the epoch.
        client_auth: Client authentication methods of plugins, by name.
        keys: Signing keys; None if they are disabled, and with them OpenID Connect.
        login: How users log in; None if there is a single local user.
        steady_clock: The same, but never runs backwards.
        repeatable: Names of parameters that may be repeated.
    """

    settings: IssuerSettings
    grants: Mapping[str, OfferedGrant]
    clock: Clock = time.time
    client_auth: Mapping[str, ClientAuthMethod] = field(default_factory=dict)
    keys: KeyRing | None = None
    login: LoginMethod | None = None
    repeatable: frozenset[str] = field(init=False)
    steady_clock: Clock = field(init=False)

    def __post_init__(self) -> None:
        """Collect the repeatable parameters and start the steady clock."""
        grants = (offered.grant for offered in self.grants.values())
        each = (grant.names.all_of(grant.repeatable) for grant in grants)
        object.__setattr__(self, "repeatable", frozenset({"resource"}).union(*each))
        object.__setattr__(self, "steady_clock", SteadyClock(self.clock))

    @classmethod
    def of(
        cls, registry: Registry, settings: IssuerSettings | None = None, clock: Clock = time.time
    ) -> Self:
        """Return an issuer for the registered plugins.

        Args:
            registry: Registered plugins.
            settings: Settings of the issuer; None for an operator, who may add clients for every
                grant.
            clock: Returns seconds since the epoch.

        Raises:
            ConfigurationError: there is no grant to offer, or the login, a file of
                ``signing_keys`` or a registration grant type is invalid.
        """
        grants = offered_grants(registry, settings)
        methods = client_auth_methods(registry)
        settings = settings or IssuerSettings()
        unknown = {*settings.registration_grant_types} - {*registry.issuer_grants, *INTERACTIVE}
        if unknown:
            rule = f"must be grant types of the issuer: {', '.join(sorted(grants))}"
            raise ConfigurationError(
                f"registration_grant_types {rule}", errors={"registration_grant_types": [rule]}
            )
        login = login_method(settings.login, registry)
        return cls(settings, grants, clock, methods, file_ring(settings), login)

    def accepts(self, client: RegisteredClient) -> bool:
        """Return whether the settings accept a known client; they may have disabled documents."""
        return client.host is None or self.settings.client_documents is not None

    @property
    def auth_methods(self) -> tuple[str, ...]:
        """The supported values of ``token_endpoint_auth_method``."""
        signed = (PRIVATE_KEY_JWT,) if proof_algorithms() else ()
        certified = offered_methods(self.settings.client_certificates)
        own = (*METHODS, *signed, *certified)
        methods = (*own, *sorted(set(self.client_auth) - set(own)))
        if not self.settings.fapi2:
            return methods
        return tuple(each for each in methods if each in FAPI2_METHODS)


def offered_grants(
    registry: Registry | None = None, settings: IssuerSettings | None = None
) -> Mapping[str, OfferedGrant]:
    """Return the grants that plugins registered for both the client and the issuer.

    Those that cannot be imported are skipped, and the log says why.

    Args:
        registry: Registered plugins; by default all installed ones.
        settings: Settings of the issuer. The JWT bearer grant is offered only if they trust an
            issuer of assertions. By default, all grants are returned.

    Raises:
        ConfigurationError: there is no such grant.
    """
    registry = registry or default_registry()
    incomplete = sorted(set(registry.issuer_grants) - set(registry.grants))
    if incomplete:
        _log.warning(
            "Not offering issuer grants whose grant no plugin registers: %s",
            ", ".join(incomplete),
        )
    grants = registry.grants.usable()
    offered = {
        name: OfferedGrant(grants[name], issuer_grant, registry.owner_of(ISSUER_GRANT, name).named)
        for name, issuer_grant in registry.issuer_grants.usable().items()
        if name in grants and (settings is None or _has_use(issuer_grant, settings))
    }
    if not offered:
        raise ConfigurationError(
            "The issuer has no grant to offer: no plugin registers both a grant and its issuer "
            "grant; check registry.plugins, or reinstall grantway"
        )
    return MappingProxyType(offered)


def _has_use(issuer_grant: IssuerGrant, settings: IssuerSettings) -> bool:
    return issuer_grant is not JWT_BEARER or any(
        each.subjects or each.users for each in settings.trusted_issuers
    )
