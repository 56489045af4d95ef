"""Two embedded issuers: an identity provider, and an authorization server that trusts it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import grantway
from grantway_grants import authorization_code
from grantway_plugins.grants import jwt_bearer, token_exchange
from grantway_plugins.issuer import (
    IdentityAssertionPolicy,
    IssuerServer,
    IssuerSettings,
    Resource,
    TrustedIssuer,
)
from grantway_plugins.issuer._browser_driver import BrowserDriver
from grantway_plugins.issuer._decisions.operator_clients import add_client
from tests.faults import free_port

FILES = "https://files.example/mcp"
REDIRECT = "http://127.0.0.1:8400/oauth/callback"
_AT_IDP = {
    "grant_types": ["authorization_code", "refresh_token", token_exchange.GRANT_TYPE],
    "redirect_uris": [REDIRECT],
    "scope": "openid",
}
_AT_FILES = {"grant_types": [jwt_bearer.GRANT_TYPE, "refresh_token"], "scope": "read write"}


@dataclass(frozen=True)
class Enterprise:
    """Two running issuers, and the agent that is a client of both.

    Attributes:
        idp: The identity provider. Its user is ``alice``.
        files: The authorization server of ``FILES``.
        at_idp: The agent's metadata at the identity provider, with its id and secret.
        at_files: The same at the other server.
    """

    idp: IssuerServer
    files: IssuerServer
    at_idp: Mapping[str, Any]
    at_files: Mapping[str, Any]

    def idp_client(self, **options: Any) -> grantway.Client:
        """Return the agent as a client of the identity provider."""
        return client_of(self.idp, self.at_idp, **options)

    def files_client(self, **options: Any) -> grantway.Client:
        """Return the agent as a client of the other server."""
        return client_of(self.files, self.at_files, **options)


@contextmanager
def enterprise(
    folder: Path,
    *,
    clock: Callable[[], float] = time.time,
    policy: Mapping[str, Any] | None = None,
    trusted: Mapping[str, Any] | None = None,
    idp: Mapping[str, Any] | None = None,
    files: Mapping[str, Any] | None = None,
) -> Iterator[Enterprise]:
    """Start both issuers, whose databases are in a folder.

    Args:
        folder: The folder.
        clock: Their clock.
        policy: Settings of the identity provider's policy that replace the usual ones.
        trusted: Settings of ``TrustedIssuer`` that replace the usual ones.
        idp: Further settings of the identity provider.
        files: Further settings of the other server.
    """
    url, at_idp = registered(folder)
    trust = TrustedIssuer(url, **(trusted or {"users": ("**",)}))
    settings = IssuerSettings(
        trusted_issuers=(trust,), resources=(Resource(FILES),), **(files or {})
    )
    with IssuerServer(settings, database=folder / "files.db", clock=clock) as server:
        at_files = add_client(server.store, _AT_FILES)
        permitted = {
            "audience": server.url,
            "clients": {at_idp["client_id"]: at_files["client_id"]},
            "scopes": ("read", "write"),
            "resources": (FILES,),
            **(policy or {}),
        }
        with identity_provider(folder, url, permitted, clock=clock, **(idp or {})) as provider:
            yield Enterprise(provider, server, at_idp, at_files)


def registered(folder: Path) -> tuple[str, Mapping[str, Any]]:
    """Return the address of an identity provider, and the metadata of the agent there.

    The provider does not run yet, because its policy contains the agent's id.
    """
    with IssuerServer(database=folder / "idp.db", port=free_port()) as server:
        return server.url, add_client(server.store, _AT_IDP)


@contextmanager
def identity_provider(
    folder: Path,
    url: str,
    policy: Mapping[str, Any],
    *,
    clock: Callable[[], float] = time.time,
    **settings: Any,
) -> Iterator[IssuerServer]:
    """Start the identity provider that ``registered`` prepared."""
    port = urlsplit(url).port or 0
    assertions = (IdentityAssertionPolicy(**policy),)
    made = IssuerSettings(subject="alice", identity_assertions=assertions, **settings)
    with IssuerServer(made, database=folder / "idp.db", port=port, clock=clock) as server:
        yield server


def log_in(idp: grantway.Client) -> grantway.Token:
    """Log alice in at the identity provider."""
    with BrowserDriver() as browser:
        return authorization_code.login_by_paste(
            idp, browser.approve_authorization, redirect_uri=REDIRECT, scope="openid"
        )


def client_of(server: IssuerServer, at: Mapping[str, Any], **options: Any) -> grantway.Client:
    """Return a client of a server."""
    options = {"client_secret": at["client_secret"], **options}
    provider = grantway.Provider.discover(server.url)
    return grantway.Client(provider, client_id=at["client_id"], **options)
