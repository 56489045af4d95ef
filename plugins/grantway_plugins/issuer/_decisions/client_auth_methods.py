"""Client authentication methods of plugins."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from marshmallow import EXCLUDE, ValidationError

from grantway._plugins.kinds import ISSUER_CLIENT_AUTH
from grantway._plugins.registry import Registry
from grantway._types.issuer_plugins import IssuerClientAuth
from grantway_plugins.issuer._extensions.request import IssuerRequest
from grantway_plugins.issuer._storage.records import RegisteredClient
from grantway_plugins.server._http.denial import Denial, DenialError

from .plugin_calls import call_plugin

if TYPE_CHECKING:
    from grantway_plugins.issuer._storage.transaction import Transaction


@dataclass(frozen=True, slots=True)
class ClientAuthMethod:
    """A client authentication method of a plugin.

    Attributes:
        name: Value of ``token_endpoint_auth_method``.
        plugin: The plugin, for errors.
        method: The plugin's object.
    """

    name: str
    plugin: str
    method: IssuerClientAuth

    def client_id(self, request: IssuerRequest) -> str | None:
        """Return the client id in a request's credentials, or None if it has none.

        Raises:
            PluginError: the plugin failed.
        """
        found: str | None = call_plugin(
            f"client_id of the issuer client authentication {self.name}",
            self.plugin,
            self.method.client_id,
            request,
            returns=(str, type(None)),
        )
        return found or None

    def verifies(
        self, request: IssuerRequest, client: RegisteredClient, transaction: Transaction
    ) -> bool:
        """Return whether the credentials of a client are valid.

        Raises:
            DenialError: they are not, and the plugin has a more specific error.
            PluginError: the plugin failed.
        """
        outcome: bool | Denial = call_plugin(
            f"verify of the issuer client authentication {self.name}",
            self.plugin,
            self.method.verify,
            request,
            client,
            transaction,
            transaction=transaction,
            returns=(bool, Denial),
        )
        if isinstance(outcome, Denial):
            raise DenialError.of(outcome)
        return outcome

    def metadata(self, members: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the method's own members of a client's metadata, as they are stored.

        Raises:
            ValidationError: a member is invalid.
            PluginError: the plugin failed.
        """
        schema = self.method.schema
        if schema is None:
            return {}
        what = f"the schema of the issuer client authentication {self.name}"

        def dumped() -> Any:
            try:
                loaded = schema.load(dict(members), unknown=EXCLUDE)
                return json.loads(json.dumps(schema.dump(loaded)))
            except ValidationError as invalid:
                return invalid

        found: dict[str, Any] | ValidationError = call_plugin(
            what, self.plugin, dumped, returns=(dict, ValidationError)
        )
        if isinstance(found, ValidationError):
            raise found
        return found


def client_auth_methods(registry: Registry) -> Mapping[str, ClientAuthMethod]:
    """Return the methods of plugins by name.

    Those that cannot be imported are skipped, and the log says why.
    """
    return MappingProxyType(
        {
            name: ClientAuthMethod(name, registry.owner_of(ISSUER_CLIENT_AUTH, name).named, method)
            for name, method in registry.issuer_client_auth.usable().items()
        }
    )
