"""A provider at which users connect accounts, and the credentials of the users there."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from grantway._credentials.credential import Credential
from grantway._credentials.credential_config import CredentialConfig
from grantway._credentials.fingerprint import fingerprint
from grantway._credentials.pool import CredentialPool
from grantway._processes.copies import OneProcess
from grantway._secrets.params import Params
from grantway_grants._login_parameters import login_parameters
from grantway_grants.authorization_code import GRANT_TYPE as AUTHORIZATION_CODE
from grantway_grants.device_code import GRANT_TYPE as DEVICE_CODE

if TYPE_CHECKING:
    from grantway._requests.client import Client
    from grantway._types.store import Store
    from grantway._types.token import Token
    from grantway_plugins.gateway._running.gateway_provider import GatewayProvider

Table = Mapping[str, Any]


class ConnectionProvider(OneProcess):
    """A provider at which users connect accounts.

    Args:
        name: Name of the provider in the file.
        table: The table ``[connections.providers.NAME]``.
        upstream: The provider of the table ``[providers.NAME]``.
        store: Keeps the tokens.
        recheck: Seconds after which a token is compared with the stored one.
        refreshed: Called with a user's id, the provider's name and each new token.

    Raises:
        ConfigurationError: The provider's client, or a parameter, is invalid.

    Attributes:
        name: Name of the provider in the file.
        title: Name of the provider on pages.
        device: Whether users connect with the device authorization grant.
        scope: The requested scope, or None.
        resource: The APIs that the token is for (RFC 8707), or None.
        extra: Additional parameters of the login.
        token_extra: Those of them that are sent with token requests, too.
        revokes: Whether tokens are revoked at the provider.
        identity: Identifies the provider and the client, which a reload may change.
        pool: Credentials by ``User.id``.
    """

    stays = "it holds tokens of this process; create one in the process that uses it"

    def __init__(
        self,
        name: str,
        table: Table,
        upstream: GatewayProvider,
        store: Store,
        recheck: float,
        *,
        refreshed: Callable[[str, str, Token], None],
    ) -> None:
        self.name = name
        self.title: str = table.get("name") or name
        self.device = table["grant"] != AUTHORIZATION_CODE
        self.scope: tuple[str, ...] | None = table.get("scope") or None
        self.resource: list[str] | None = table.get("resource") or None
        self.extra: Table = table.get("extra") or {}
        self.revokes: bool = table["revoke"]
        self._upstream = upstream
        self._store = store
        self._config, self._refreshed = self._common_config(recheck), refreshed
        self.token_extra: Params = self._config.extra
        self.identity: str = self._config.name or name
        self.pool = CredentialPool(self._make)

    @property
    def client(self) -> Client:
        """The gateway's client at the provider."""
        return self._upstream.client()

    @property
    def host(self) -> str:
        """Host of the provider, or its name until it is discovered."""
        found = self._upstream.found
        return self.name if found is None else found.host

    @property
    def discovered(self) -> bool:
        """Whether the endpoints of the provider are known."""
        return self._upstream.found is not None

    def credential(self, user_id: str) -> Credential:
        """Return the credential of a user."""
        return self.pool.credential(user_id)

    def _make(self, user_id: str) -> Credential:
        config = copy.copy(self._config)
        config.on_token = partial(self._refreshed, user_id, self.name)
        return Credential(config, user_id)

    def _common_config(self, recheck: float) -> CredentialConfig:
        client, grant = self.client, DEVICE_CODE if self.device else AUTHORIZATION_CODE
        parameters = login_parameters(client, grant, extra=self.extra, resource=self.resource)
        table = self._upstream.table
        return _ConnectionConfig(
            client,
            grant_type=grant,
            params=Params(),
            extra=parameters.token,
            refresh=Params(),
            store=self._store,
            freshness=self._upstream.freshness,
            on_token=None,
            recheck=recheck,
            # Without scope and parameters, so that changing them in the file loses no connection.
            name=fingerprint(
                {
                    "connections of": self.name,
                    "provider": table.get("issuer") or table.get("token_endpoint"),
                    "client_id": table["client_id"],
                }
            ),
        )


class _ConnectionConfig(CredentialConfig):
    """Names the token of each user after the provider and the user alone."""

    __slots__ = ()

    def key(self, subject: str) -> str:
        """See ``CredentialConfig.key``."""
        return token_key(self.name or "", subject)


def token_key(identity: str, user_id: str) -> str:
    """Return the name of a user's token in the store.

    Args:
        identity: ``ConnectionProvider.identity`` of the provider.
        user_id: ``User.id`` of the user.
    """
    return fingerprint({"connections": identity, "subject": user_id})
