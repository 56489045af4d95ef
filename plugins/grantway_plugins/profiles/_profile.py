"""A profile: a client, whom it asks, for what, and where the token rests."""

from __future__ import annotations

import shlex
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from grantway._credentials.fingerprint import fingerprint
from grantway._exceptions import (
    ConfigurationError,
    GrantwayError,
    InvalidClientException,
    LoginNeededError,
    RequestInvalidError,
    UnauthorizedClientException,
    UnknownGrantTypeError,
)
from grantway._plugins.default_registry import default_registry
from grantway._processes.copies import OneProcess
from grantway._types.freshness import Freshness
from grantway._types.grant import Params
from grantway_grants._callback import redirect_uris
from grantway_grants._login_parameters import login_parameters
from grantway_plugins._config.components import Components
from grantway_plugins._config.network import NetworkSettings
from grantway_plugins._config.tables import LOGINS
from grantway_plugins.registration import Registrations, metadata_of

from ._file import ProfileFile
from ._parameter_rule import parameter_rule

if TYPE_CHECKING:
    from typing import Self

    from grantway._credentials.credential import Credential
    from grantway._requests.client import Client
    from grantway._requests.provider import Provider
    from grantway._transport.transport import RequestsTransport
    from grantway._types.grant import Grant
    from grantway._types.store import Store
    from grantway._types.token import Token

_TIMEOUT = 30.0


def load(name: str, path: str | Path | None = None) -> Profile:
    """Read a profile. Nothing is asked of anybody yet.

    Args:
        name: The NAME of the table ``[profiles.NAME]``.
        path: The file; without it ``GRANTWAY_CONFIG``, or ``grantway/config.toml`` in the user's
            folder for configuration.

    Raises:
        ConfigurationError: file, line and rule of every mistake.
    """
    return Profile(ProfileFile(path), name)


class Profile(OneProcess):
    """One profile of a file; close it, or use it in a ``with`` block.

    Args:
        file: The file.
        name: The profile's name.

    Attributes:
        name: The profile's name.
        file: The file.
        table: What it says, checked.

    Raises:
        ConfigurationError: file, line and rule of every mistake.
    """

    stays = "its file may hold secrets; send its name, and load it in the process that uses it"

    def __init__(self, file: ProfileFile, name: str) -> None:
        self.name = name
        self.file = file
        self.table = file.table(name)
        self._at = ("profiles", name)
        self._parts = Components(file.toml)
        self._open: list[RequestsTransport] = []
        self._check_grant()

    def _check_grant(self) -> None:
        """Refuse a grant that nobody knows, and parameters that it does not take."""
        name = self.grant
        if name is None:
            return
        mistakes = list[tuple[tuple[str, ...], str]]()
        try:
            grant = default_registry().grant(name)
            given, _ = self._parameters(grant)
            # What a login would bring may be missing, such as a refresh token.
            once = grant.names.all_of(grant.single_use) | (
                {name} if name == "refresh_token" else set()
            )
            grant.load(given, partial=bool(once - given.keys()))
        except UnknownGrantTypeError as error:
            mistakes = [((*self._at, "grant"), str(error).removeprefix("grant_type: ").rstrip("."))]
        except RequestInvalidError as error:
            for field, rules in error.errors.items():
                at = (field,) if field in self.table else ("params", field)
                mistakes += [((*self._at, *at), parameter_rule(rule)) for rule in rules]
        if mistakes:
            raise self.file.toml.wrong(mistakes)

    # --- What it says -----------------------------------------------------------------------------

    @property
    def grant(self) -> str | None:
        """The grant that brings a token, or None where a person logs in."""
        named: str | None = self.table.get("grant")
        return None if named in LOGINS else named

    @property
    def login(self) -> str:
        """How a person logs in: ``auto``, ``browser``, ``device`` or ``paste``."""
        named = self.table.get("login", "auto")
        return str(LOGINS.get(self.table.get("grant", ""), "auto") if named == "auto" else named)

    @property
    def scope(self) -> tuple[str, ...] | None:
        """What is asked for, or None where nothing is said."""
        return self.table.get("scope")

    @property
    def resource(self) -> tuple[str, ...] | None:
        """The APIs that the token is for (RFC 8707), or None where nothing is said."""
        return self.table.get("resource")

    @property
    def extra(self) -> dict[str, Any]:
        """Provider-specific parameters."""
        return dict(self.table.get("extra", {}))

    @property
    def redirect_uri(self) -> str:
        """Where a browser comes back to."""
        return str(self.table["redirect_uri"])

    @property
    def listen(self) -> str | None:
        """Where to listen for the browser, if not on the address in ``redirect_uri``."""
        return self.table.get("listen")

    @property
    def ports(self) -> tuple[int, ...] | None:
        """Ports to try for ``redirect_uri``, in this order."""
        return self.table.get("ports")

    @property
    def timeout(self) -> float:
        """Seconds for one call."""
        return float(self.table.get("timeout", _TIMEOUT))

    @cached_property
    def key(self) -> str:
        """The token's name in the store.

        It differs when anything differs that makes it another token, and the provider need not be
        asked for it.
        """
        table, secret = self.table, frozenset[str]()
        if table.get("params"):
            grant = default_registry().grant(table["grant"])
            secret = grant.names.all_of(grant.secret)
        facts = {
            "version": 1,
            "provider": table["provider"],
            "client_id": table.get("client_id"),
            "grant": self.grant,
            "scope": self.scope,
            "params": table.get("params", {}),
            "extra": self.extra,
        }
        if self.resource:
            facts["resource"] = self.resource
        return f"profile {self.name} {fingerprint(facts, secret)}"

    @cached_property
    def store(self) -> Store:
        """Where the token rests.

        Raises:
            ConfigurationError: it cannot be made.
        """
        return self._parts.store(self.table["store"], (*self._at, "store"))

    def check_store_writable(self) -> None:
        """Find out whether the store takes a token, before one comes that cannot be had again.

        Raises:
            ConfigurationError: it cannot be made.
            StoreError: it cannot be locked, or does not save; nothing was asked of the provider.
        """
        from grantway_plugins.stores._shared.write_check import (  # noqa: PLC0415 - seldom needed
            check_store_writable,
        )

        check_store_writable(self.store, self.key, self.timeout)

    @cached_property
    def freshness(self) -> Freshness:
        """When the token is renewed."""
        if "freshness" in self.table:
            return Freshness(**self.table["freshness"])
        return self._parts.dialect(self.table["provider"], (*self._at, "provider")).freshness

    @cached_property
    def registrations(self) -> Registrations | None:
        """Where the client's registration lies; None where the profile names its client."""
        return (
            None if "client_id" in self.table else Registrations(self.store, f"{self.key} client")
        )

    # --- Who is asked -----------------------------------------------------------------------------

    @cached_property
    def provider(self) -> Provider:
        """Whom it asks; one whose endpoints are not given is asked for them.

        Raises:
            TransportError: the provider could not be asked.
        """
        at = (*self._at, "provider")
        return self._parts.provider(self.table["provider"], at, self._transport)

    @cached_property
    def _transport(self) -> RequestsTransport:
        settings = NetworkSettings(self._parts, self.table, self._at, self.file.network)
        transport = settings.transport(self.timeout)
        self._open.append(transport)
        return transport

    def client(self, *, instead_of: str | None = None, for_login: bool = False) -> Client:
        """The client. Where the profile names none, one registers itself and is remembered.

        Args:
            instead_of: The ``client_id`` of a registration that the provider forgot.
            for_login: Whether a person is about to log in. Then a client registers again if it
                is not registered for the profile's ``redirect_uri`` and ``ports``.

        Raises:
            ConfigurationError: the secret is not where the profile says, or there is no
                ``client_id`` and the provider registers nobody.
            TokenError: the provider refused to register a client.
            TransportError: the provider gave no usable answer.
            StoreError: a registration could not be read or kept.
        """
        from grantway._requests.client import Client  # noqa: PLC0415 - a stored token needs none

        transport, identity = self._transport, self._identity(instead_of, for_login)
        try:
            return Client(self.provider, transport=transport, timeout=self.timeout, **identity)
        except ConfigurationError as error:
            problem = str(error)
        raise self.file.toml.wrong([(self._at, f"makes no client: {problem}")])

    def _identity(self, instead_of: str | None, for_login: bool) -> Params:
        """Name, secret and authentication of the client."""
        table = self.table
        if self.registrations is None:
            return Params(
                client_id=table["client_id"],
                client_secret=self._parts.secret(table, self._at),
                auth=table.get("auth"),
            )
        if not self.provider.registration_endpoint:
            rule = "is missing, and the provider has no registration_endpoint to get one from"
            raise self.file.toml.wrong([((*self._at, "client_id"), rule)])
        made = self.registrations.obtain(
            self.provider,
            self._transport,
            metadata_of(
                f"grantway {self.name}",
                self.provider,
                self.scope,
                redirect_uris(self.redirect_uri, self.ports),
            ),
            self.timeout,
            instead_of=instead_of,
            for_login=for_login,
        )
        return Params(
            client_id=made.access_token,
            client_secret=made.extra.get("client_secret"),
            auth=table.get("auth") or made.extra["auth"],
        )

    # --- Its token --------------------------------------------------------------------------------

    def credential(self, client: Client | None = None) -> Credential:
        """The promise of a valid token.

        Args:
            client: Who asks, where the caller has it already.

        Raises:
            GrantwayError: as for ``client``.
        """
        client = self.client() if client is None else client
        if self.grant:
            grant_type = self.grant
            grant = client.registry.grant(grant_type)
            params, extra = self._parameters(grant)
            params = Params(grant.names.to_arguments(params))
        else:
            # A person begins it: the token comes by ``accept`` and is kept by refreshing it. The
            # provider knows its scope; each refresh repeats the other parameters of the login.
            grant_type, params = "refresh_token", Params()
            extra = login_parameters(
                client, grant_type, extra=self.extra, resource=self.resource
            ).token
        return client.credential(
            grant_type=grant_type,
            key=self.key,
            store=self.store,
            freshness=self.freshness,
            extra=extra,
            **params,
        )

    def _parameters(self, grant: Grant) -> tuple[Params, Params]:
        """Return the parameters of a grant that needs no person, and its ``extra``."""
        params, extra = Params(self.table.get("params", {})), Params(self.extra)
        if self.scope:
            params["scope"] = self.scope
        if self.resource:
            (params if "resource" in grant.names.wire.values() else extra)["resource"] = (
                self.resource
            )
        return params, extra

    def token(self) -> Token:
        """A valid token. One that is stored and fresh is given without asking anybody.

        A token that ends soon is given as well, while a thread fetches the next.

        Raises:
            LoginNeededError: none can be had without a person.
            GrantwayError: there is none for another reason; as ``Credential.token``.
        """
        stored = self.store.load(self.key)
        ends_soon, usable = (0.0, 0.0) if stored is None else self.freshness.time_left(stored)
        if stored is not None and ends_soon > 0:
            return stored
        if self.renewal(stored) is None:
            if stored is not None and usable > 0:
                return stored
            raise self._login_needed(None)
        try:
            if stored is not None and stored.refresh_token:
                # It may work once, and this program may end before a full disk is repaired.
                self.check_store_writable()
            token = (credential := self.credential()).token()
            # The first call took it from the store. This one finds that it ends soon.
            return token if self.freshness.time_left(token)[0] > 0 else credential.token()
        except LoginNeededError as error:
            refusal = error
        except (InvalidClientException, UnauthorizedClientException) as error:
            if self.registrations is None:
                raise
            refusal = LoginNeededError(str(error), evidence=error.evidence)
            refusal.__cause__ = error
        except GrantwayError:
            if stored is not None and usable > 0:
                return stored
            raise
        raise self._login_needed(refusal) from refusal

    def renewal(self, stored: Token | None) -> Literal["refresh", "grant"] | None:
        """Return how the next token would come without a person.

        Args:
            stored: The token in the store.

        Returns:
            ``refresh`` for its refresh token, ``grant`` for a request with the profile's grant, and
            None if only a login brings another token (see ``remedy``).
        """
        if stored is not None and stored.refresh_token:
            forgotten = self.registrations is not None and self.registrations.load() is None
            return None if forgotten else "refresh"
        if self.grant is None:
            return None
        given = self._single_use & self.table.get("params", {}).keys()
        if not self._single_use or (given and stored is None):
            return "grant"
        return None

    @property
    def _single_use(self) -> frozenset[str]:
        """The parameters of the grant that buy one token and no second."""
        if self.grant is None:
            return frozenset()
        known = default_registry().grant(self.grant).single_use
        return known or frozenset({self.grant} if self.grant == "refresh_token" else ())

    def command(self, verb: str) -> str:
        """Return the command line that does something with this profile.

        Args:
            verb: The command, such as ``login``.
        """
        options = f" --config {shlex.quote(str(self.file.path))}" if self.file.named else ""
        return f"grantway {verb} {self.name}{options}"

    def remedy(self) -> str:
        """Say how a person gets a token when ``renewal`` is None."""
        login = f"run: {self.command('login')}"
        if self.grant is None:
            return login
        given = self._single_use & self.table.get("params", {}).keys()
        names = " and ".join(f"params.{name}" for name in sorted(given or self._single_use))
        line = self.file.toml.line((*self._at, "params"))
        where = f"{self.file.path}, line {line}" if line else f"{self.file.path}"
        if given:
            return f"{names} can be used once only, so put a new value into {where}, then {login}"
        return f"{names} is missing, so add it in {where}, then {login}"

    def _login_needed(self, error: LoginNeededError | None) -> LoginNeededError:
        cause = None if error is None else error.__cause__
        reason = f" ({cause})" if cause is not None else ""
        return LoginNeededError(
            f"Profile {self.name} needs a login{reason}; {self.remedy()}",
            evidence=None if error is None else error.evidence,
        )

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
