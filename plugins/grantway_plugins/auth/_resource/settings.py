"""The arguments of ``ResourceAuth``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit, urlunsplit

from grantway._credentials.fingerprint import fingerprint
from grantway._exceptions import ConfigurationError
from grantway._plugins.default_registry import default_registry
from grantway._processes.copies import OneProcess
from grantway._transport.http import Transport, require_secure
from grantway._types.callables import kind_of
from grantway._types.fields import Scope
from grantway._types.quantity import check_seconds
from grantway._types.store import Store, has_blocking_methods, problem_of
from grantway._wire.protected_resource import MAX_DOCUMENT
from grantway_plugins.auth._origin import invalid
from grantway_plugins.auth._presentation import Prover
from grantway_plugins.auth._token_auth import makes_proofs
from grantway_plugins.registration import REDIRECT_URI

if TYPE_CHECKING:
    from grantway._requests.client_auth import ClientAuth
    from grantway._types.secret_source import SecretSource


@dataclass(slots=True)
class ResourceSettings(OneProcess):
    """The checked arguments of ``ResourceAuth``, which describes them.

    Attributes:
        store: The store itself.
        redirect: The redirect URI that the program gave, or None.
        prover: Makes the DPoP proofs for requests to the resource, or None.
        base: The URL without its query: requests to it and to paths below get the token.
    """

    stays = "it holds a store and secrets"

    url: str
    store: Store
    client_name: str | None
    client_metadata_url: str | None
    client_id: str | None
    client_secret: str | SecretSource | None = field(repr=False)
    auth: str | ClientAuth | None
    dpop_key: Any = field(repr=False)
    issuer: str | None
    scope: tuple[str, ...] | None
    redirect: str | None
    subject: str
    timeout: float
    given_transport: Transport | None
    prover: Prover | None
    base: str = field(default="", init=False)
    _own_transport: Transport | None = field(default=None, init=False)

    @classmethod
    def of(
        cls,
        url: str,
        *,
        store: str | Store | None,
        auth: str | ClientAuth | None,
        dpop_key: Any,
        scope: str | Sequence[str] | None,
        redirect_uri: str | None,
        transport: Transport | None,
        **others: Any,
    ) -> Self:
        """Return the settings for the arguments of ``ResourceAuth``.

        Raises:
            ConfigurationError: An argument is invalid.
        """
        prover = _prover(auth, dpop_key)
        return cls(
            url,
            store=_store(store),
            auth=auth,
            dpop_key=dpop_key,
            scope=scope_of(scope),
            redirect=redirect_uri,
            given_transport=transport,
            prover=prover,
            **others,
        )

    def __post_init__(self) -> None:
        require_secure(self.url, "url")
        self.base = urlunsplit(urlsplit(self.url)._replace(query="", fragment=""))
        check_seconds("timeout", self.timeout)
        if self.issuer is not None:
            require_secure(self.issuer, "issuer")
        given = self.client_metadata_url
        if given is not None:
            require_secure(given, "client_metadata_url")
            if urlsplit(given).path in ("", "/"):
                raise invalid(
                    "client_metadata_url",
                    "must be the URL of the client's metadata document, with a path, such as "
                    '"https://example.com/client.json".',
                )
        if self.client_id is None and (self.client_secret is not None or self.auth is not None):
            found = getattr(self.auth, "client_id", None)
            if self.client_secret is not None or not isinstance(found, str):
                raise invalid("client_id", "is required with client_secret or auth.")
            self.client_id = found
        authenticates = self.client_secret is not None or self.auth not in (None, "none")
        if authenticates and self.issuer is None:
            raise invalid(
                "issuer",
                "is required with client_secret or auth, so that no other authorization server "
                "receives the secret; give the issuer at which the client is registered.",
            )

    @property
    def redirect_uri(self) -> str:
        """The redirect URI to register."""
        return self.redirect or REDIRECT_URI

    @property
    def key(self) -> str:
        """Key of the record in the store."""
        return f"resource {fingerprint(self._facts)}"

    @property
    def client_key(self) -> str:
        """Key of the issuer to which the program's client is bound."""
        facts = {"version": 1, "url": self.url, "client_id": self.client_id}
        return f"resource client {fingerprint(facts)}"

    @property
    def _facts(self) -> dict[str, Any]:
        return {
            "version": 1,
            "url": self.url,
            "issuer": self.issuer,
            "client_id": self.client_id,
            "client_metadata_url": self.client_metadata_url,
            "scope": self.scope,
            "subject": self.subject,
            # Each registration and each key has its own tokens, and hence its own logins.
            **({} if self.client_id is not None else self._registration),
            "key": getattr(self.prover, "thumbprint", None) or "",
        }

    @property
    def _registration(self) -> dict[str, Any]:
        return {"client_name": self.client_name, "redirect_uri": self.redirect_uri}

    def token_key(self, issuer: str, resource: str | None, client_id: str, bound: str) -> str:
        """Return the key of the token in the store; another issuer has another key.

        Args:
            issuer: The issuer, or its token endpoint.
            resource: The resource identifier.
            client_id: The client.
            bound: Thumbprint of the key that the token is bound to, or empty.
        """
        facts = {
            "version": 1,
            "issuer": issuer,
            "resource": resource,
            "client_id": client_id,
            "key": bound,
            "scope": self.scope,
            "subject": self.subject,
        }
        return f"resource token {fingerprint(facts)}"

    def transport(self) -> Transport:
        """Return the transport to the authorization server, which the resource chooses.

        Its responses are as small as documents, and it does not connect to hosts on private
        networks, unless the resource is on one.
        """
        if self.given_transport is not None:
            return self.given_transport
        if self._own_transport is None:
            from grantway._transport.transport import (  # noqa: PLC0415 - slow to load
                HttpTransport,
            )

            made = HttpTransport.within(
                self.timeout,
                max_response=MAX_DOCUMENT,
                public_only=True,
                unless_private=self.url,
            )
            self._own_transport = self._own_transport or made
        return self._own_transport

    def close(self) -> None:
        """Close the connections of the own transport."""
        if self._own_transport is not None:
            self._own_transport.close()


def _store(store: str | Store | None) -> Store:
    """Return the store of a name, the given store, or a new one in memory.

    Raises:
        ConfigurationError: No plugin registered the name, or the object cannot be used.
    """
    if store is None:
        store = "memory"
    if isinstance(store, str):
        return default_registry().store(store)
    problem = problem_of(store)
    if not problem and not has_blocking_methods(store):
        problem = f"{kind_of(store)} has asynchronous methods only"
    if problem:
        raise ConfigurationError(
            'store: must be the name of a registered store, such as "file", or a store with the '
            f"methods load, save, delete and lock; this one {problem}.",
            errors={"store": [problem]},
        )
    return store


def scope_of(scope: str | Sequence[str] | None) -> tuple[str, ...] | None:
    """Return the names of the scopes that a program gave."""
    return None if scope is None else Scope().names(scope) or ()


def _prover(auth: object, dpop_key: Any) -> Prover | None:
    """Return the object that makes the proofs for requests to the resource."""
    if dpop_key is not None:
        from grantway._requests.client_auth import NoAuth  # noqa: PLC0415 - slow to load
        from grantway_plugins.client_auth import DPoP  # noqa: PLC0415 - needs the extra jose

        return DPoP(NoAuth("unknown"), dpop_key)
    return auth if makes_proofs(auth) else None  # type: ignore[return-value] # it was checked
