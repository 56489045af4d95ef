"""A profile: a client, its provider, the token that it requests and the token's store."""

from __future__ import annotations

import shlex
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from grantway._credentials.fingerprint import fingerprint
from grantway._exceptions import (
    ConfigurationError,
)
from grantway._plugins.default_registry import default_registry
from grantway._processes.copies import OneProcess
from grantway._requests.computed_parameters import hidden_params
from grantway._secrets.params import Params
from grantway._types.freshness import Freshness
from grantway_grants._callback import redirect_uris
from grantway_grants._login_parameters import login_parameters
from grantway_plugins._config.components import Components
from grantway_plugins._config.network import NetworkSettings
from grantway_plugins._config.tables import LOGIN_GRANTS
from grantway_plugins.registration import Registrations, identity_of, metadata_of, register

from ._file import ProfileFile
from ._grant_check import check_grant
from ._programs import Programs
from ._renewal import Renewal

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from grantway._credentials.credential import Credential
    from grantway._requests.client import Client
    from grantway._requests.provider import Provider
    from grantway._transport.transport import HttpTransport
    from grantway._types.grant import Grant
    from grantway._types.store import Store
    from grantway._types.token import Token

_TIMEOUT = 30.0


def load(name: str, path: str | Path | None = None) -> Profile:
    """Read a profile, without sending a request.

    Args:
        name: Name of the profile: the NAME of the table ``[profiles.NAME]``.
        path: Path of the file; by default ``GRANTWAY_CONFIG``, or ``grantway/config.toml`` in the
            user's configuration folder.

    Raises:
        ConfigurationError: The profile is missing or invalid. The message gives file, line and
            rule of every mistake.
    """
    return Profile(ProfileFile(path), name)


class Profile(OneProcess):
    """One profile of a file. Close it, or use it in a ``with`` block.

    Args:
        file: The profile file.
        name: Name of the profile.

    Attributes:
        name: Name of the profile.
        file: The profile file.
        table: The profile's table, validated.
        programs: The programs that the profile names.

    Raises:
        ConfigurationError: The profile is missing or invalid. The message gives file, line and
            rule of every mistake.
    """

    stays = "its file may hold secrets; send its name, and load it in the process that uses it"

    def __init__(self, file: ProfileFile, name: str) -> None:
        self.name = name
        self.file = file
        self.table = file.table(name)
        if "plugins" in file.toml.data:
            default_registry()  # report mistakes in the settings before those that they cause
        self._at = ("profiles", name)
        self._parts = Components(file.toml)
        self.programs = Programs(self._parts, self.table, self._at)
        self._open: list[HttpTransport] = []
        check_grant(self, self._parts)

    # --- Settings ---------------------------------------------------------------------------------

    @property
    def grant(self) -> str | None:
        """Grant type for requesting a token without a login, or None if the user logs in."""
        named: str | None = self.table.get("grant")
        if self.programs.provider is not None:
            return named or "client_credentials"
        return None if named in LOGIN_GRANTS or self.login_grant else named

    @cached_property
    def login_grant(self) -> str | None:
        """Grant type for which a plugin provides the login, or None."""
        named: str | None = self.table.get("grant")
        if named is None or named in LOGIN_GRANTS or self.programs.provider is not None:
            return None
        return named if named in default_registry().login_flows else None

    @property
    def login(self) -> str:
        """Login method: ``auto``, ``browser``, ``device`` or ``paste``."""
        named = self.table.get("login", "auto")
        return str(
            LOGIN_GRANTS.get(self.table.get("grant", ""), "auto") if named == "auto" else named
        )

    @property
    def scope(self) -> tuple[str, ...] | None:
        """Scope to request, or None for the provider's default."""
        return self.table.get("scope")

    @property
    def resource(self) -> tuple[str, ...] | None:
        """Resources that the token is for (RFC 8707), or None."""
        return self.table.get("resource")

    @property
    def extra(self) -> dict[str, Any]:
        """Provider-specific parameters."""
        return dict(self.table.get("extra", {}))

    @property
    def redirect_uri(self) -> str:
        """Redirect URI of browser logins."""
        return str(self.table["redirect_uri"])

    @property
    def listen(self) -> str | None:
        """Address to listen on for the redirect, or None for the one in ``redirect_uri``."""
        return self.table.get("listen")

    @property
    def ports(self) -> tuple[int, ...] | None:
        """Ports to try for ``redirect_uri``, in this order."""
        return self.table.get("ports")

    @property
    def timeout(self) -> float:
        """Timeout of one call in seconds."""
        return float(self.table.get("timeout", _TIMEOUT))

    @cached_property
    def key(self) -> str:
        """Key of the token in the store.

        It contains a fingerprint of the settings that determine the token, so changing one of them
        requires a new token.
        """
        table, secret = self.table, frozenset[str]()
        if table.get("params"):
            grant = self.programs.registered(str(self.grant or self.login_grant))
            secret = grant.names.all_of(grant.secret) if grant else frozenset(table["params"])
        facts = {
            "version": 1,
            **self.programs.facts,
            "client_id": table.get("client_id"),
            "grant": self.grant or self.login_grant,
            "scope": self.scope,
            "params": table.get("params", {}),
            "extra": self.extra,
        }
        if self.resource:
            facts["resource"] = self.resource
        return f"profile {self.name} {fingerprint(facts, secret)}"

    @cached_property
    def store(self) -> Store:
        """Store of the token.

        Raises:
            ConfigurationError: The store is not registered, or an option is invalid.
        """
        return self._parts.store(self.table["store"], (*self._at, "store"))

    def check_store_writable(self) -> None:
        """Check that the store can save a token, before requesting one that might be lost.

        Raises:
            ConfigurationError: The store is not registered, or an option is invalid.
            StoreError: The store cannot be locked or written.
        """
        from grantway_plugins.stores._shared.write_check import (  # noqa: PLC0415 - rarely needed
            check_store_writable,
        )

        check_store_writable(self.store, self.key, self.timeout)

    @cached_property
    def freshness(self) -> Freshness:
        """When to refresh the token."""
        if "freshness" in self.table:
            return Freshness(**self.table["freshness"])
        if self.programs.provider is not None:
            return Freshness()
        return self._parts.dialect(self.table["provider"], (*self._at, "provider")).freshness

    @cached_property
    def registrations(self) -> Registrations | None:
        """Stored registration of the client; None if the profile names the client."""
        if "client_id" in self.table or self.programs.provider is not None:
            return None
        return Registrations(self.store, f"{self.key} client")

    # --- Provider and client ----------------------------------------------------------------------

    @cached_property
    def provider(self) -> Provider:
        """The provider. Its metadata is fetched if the profile has no token endpoint.

        Raises:
            TransportError: The provider sent no usable metadata.
        """
        if self.programs.provider is not None:
            return self.client().provider
        at = (*self._at, "provider")
        return self._parts.provider(self.table["provider"], at, self._transport)

    @property
    def network(self) -> NetworkSettings:
        """The network settings: those of the profile, and the file's for the others."""
        return NetworkSettings(self._parts, self.table, self._at, self.file.network)

    @cached_property
    def _transport(self) -> HttpTransport:
        transport = self.network.transport(self.timeout)
        self._open.append(transport)
        return transport

    def client(
        self,
        *,
        instead_of: str | None = None,
        for_login: bool = False,
        registration: Token | None = None,
    ) -> Client:
        """Return the client. Without a ``client_id``, register one and store its registration.

        Args:
            instead_of: ``client_id`` of a registration that the provider no longer knows.
            for_login: Whether the user is about to log in. If so, register again unless the client
                is registered for the profile's ``redirect_uri`` and ``ports``.
            registration: A registration to use instead of the stored one; see ``register``.

        Raises:
            ConfigurationError: The secret is missing, or the profile has no ``client_id`` and the
                provider does not let clients register.
            TokenError: The provider rejected the registration.
            TransportError: The provider sent no usable response.
            StoreError: A registration could not be read or saved.
        """
        if (program := self.programs.provider) is not None:
            given = self._parts.client_secrets(self.table, self._at)
            return self.programs.client(program, str(self.grant), given.get("client_secret"))
        from grantway._requests.client import Client  # noqa: PLC0415 - slow to load

        transport = self._transport
        if self.registrations is not None:
            if registration is None:
                registration = self._registration(instead_of, for_login)
            identity = identity_of(registration)
            if "auth" in self.table:
                identity["auth"] = self.table["auth"]
        else:
            identity = Params(
                client_id=self.table["client_id"],
                auth=self.table.get("auth"),
                **self._parts.client_secrets(self.table, self._at),
            )
        try:
            return Client(
                self.provider,
                transport=transport,
                timeout=self.timeout,
                **identity,
                **self.programs.completion(self.grant or self.login_grant),
            )
        except ConfigurationError as error:
            problem = str(error)
        raise self.file.toml.wrong([(self._at, f"cannot be used: {problem}")])

    def register(self, scope: Sequence[str] | None) -> Token:
        """Register the client with another scope, without storing the registration.

        Args:
            scope: Scope that the client may request.

        Raises:
            ConfigurationError: The provider does not let clients register.
            TokenError: The provider rejected the registration.
            TransportError: The provider sent no usable response.
        """
        metadata = self._client_metadata(scope)
        return register(self.provider, self._transport, metadata, self.timeout)

    def _registration(self, instead_of: str | None, for_login: bool) -> Token:
        """Return the stored registration, or register the client and store its registration."""
        assert self.registrations is not None  # the profile names no client
        return self.registrations.obtain(
            self.provider,
            self._transport,
            self._client_metadata(self.scope),
            self.timeout,
            instead_of=instead_of,
            for_login=for_login,
        )

    def _client_metadata(self, scope: Sequence[str] | None) -> dict[str, Any]:
        """Return the metadata to register (RFC 7591 section 2)."""
        if not self.provider.registration_endpoint:
            rule = "is missing, and the provider has no registration_endpoint to get one from"
            raise self.file.toml.wrong([((*self._at, "client_id"), rule)])
        return metadata_of(
            f"grantway {self.name}",
            self.provider,
            scope,
            redirect_uris(self.redirect_uri, self.ports),
        )

    # --- Token ------------------------------------------------------------------------------------

    def credential(
        self, client: Client | None = None, *, recheck: float | None = None
    ) -> Credential:
        """Return the credential that refreshes the profile's token.

        Args:
            client: The client, if the caller already has it.
            recheck: As for ``grantway.Client.credential``: seconds after which a login or logout on
                the command line takes effect in this process.

        Raises:
            GrantwayError: As for ``client``.
        """
        client = self.client() if client is None else client
        if self.grant:
            grant_type = self.grant
            grant = client.registry.grant(grant_type)
            params, extra = self.parameters(grant)
            params = grant.names.to_arguments(params)
        else:
            # A login's token is passed to ``accept``, and then refreshed. The provider knows its
            # scope; each refresh repeats the other parameters of the login.
            grant_type, params = "refresh_token", Params()
            extra = login_parameters(
                client, grant_type, extra=self.extra, resource=self.resource
            ).token
        from grantway._credentials.credential import (  # noqa: PLC0415 - only where it is needed
            Credential,
        )
        from grantway._credentials.credential_config import CredentialConfig  # noqa: PLC0415

        needed = f"Profile {self.name} needs a login; {self.remedy()}"
        config = CredentialConfig(
            client,
            grant_type=grant_type,
            params=hidden_params(params),
            extra=hidden_params(extra),
            refresh=Params(),
            store=self.store,
            freshness=self.freshness,
            on_token=None,
            recheck=recheck,
            name=self.key,
            login=needed if self.programs.provider is None else None,
        )
        return Credential(config, "")

    def parameters(self, grant: Grant) -> tuple[Params, Params]:
        """Return the profile's parameters of a grant by their wire names, and ``extra``.

        A plugin's login flow adds the scope and the resource itself, perhaps to another request.
        """
        params = self._parts.params(self.table.get("params", {}), (*self._at, "params"))
        extra = Params(self.extra)
        if self.scope and self.login_grant is None:
            params["scope"] = self.scope
        if self.resource and self.login_grant is None:
            (params if "resource" in grant.names.wire.values() else extra)["resource"] = (
                self.resource
            )
        if self.programs.registered(grant.grant_type) is None:
            return Params(), Params({**extra, **params})
        return params, extra

    def token(self) -> Token:
        """Return a valid token, from the store if it is fresh.

        A stored token that expires soon is returned too, and refreshed by a background thread.

        Raises:
            LoginNeededError: Only a login can provide a token.
            GrantwayError: No token is available for another reason; see ``Credential.token``.
        """
        return Renewal(self).token()

    def refresh_method(self, stored: Token | None) -> Literal["refresh", "grant"] | None:
        """Return how to get the next token without a login.

        Args:
            stored: The token in the store, or None.

        Returns:
            ``refresh`` with its refresh token, ``grant`` with the profile's grant, or None if a
            login is needed (see ``remedy``).
        """
        return Renewal(self).method(stored)

    def command(self, verb: str, argument: str = "") -> str:
        """Return the command line of a grantway command for this profile.

        Args:
            verb: Name of the command, such as ``login``.
            argument: Its argument; by default the profile's name.
        """
        options = f" --config {shlex.quote(str(self.file.path))}" if self.file.named else ""
        return f"grantway {verb} {shlex.quote(argument or self.name)}{options}"

    def remedy(self) -> str:
        """Return instructions for getting a token when ``refresh_method`` returns None."""
        return Renewal(self).remedy()

    def close(self) -> None:
        """Close idle connections."""
        while self._open:
            self._open.pop().close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Profile({self.name!r}, {str(self.file.path)!r})"
