"""Two embedded issuers: an identity provider, and an authorization server that trusts it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
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
        return _client(self.idp, self.at_idp, **options)

    def files_client(self, **options: Any) -> grantway.Client:
        """Return the agent as a client of the other server."""
        return _client(self.files, self.at_files, **options)

    def log_in(self, idp: grantway.Client) -> grantway.Token:
        """Log alice in at the identity provider."""
        with BrowserDriver() as browser:
            return authorization_code.login_by_paste(
                idp, browser.approve_authorization, redirect_uri=REDIRECT, scope="openid"
            )


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
    with ExitStack() as first:  # the settings contain the addresses and the clients
        servers = [
            first.enter_context(IssuerServer(database=folder / name))
            for name in ("idp.db", "files.db")
        ]
        urls = [each.url for each in servers]
        at_idp, at_files = (
            add_client(each.store, metadata)
            for each, metadata in zip(servers, (_AT_IDP, _AT_FILES), strict=True)
        )
    permitted = {
        "audience": urls[1],
        "clients": {at_idp["client_id"]: at_files["client_id"]},
        "scopes": ("read", "write"),
        "resources": (FILES,),
        **(policy or {}),
    }
    settings = (
        IssuerSettings(
            subject="alice",
            identity_assertions=(IdentityAssertionPolicy(**permitted),),
            **(idp or {}),
        ),
        IssuerSettings(
            trusted_issuers=(TrustedIssuer(urls[0], **(trusted or {"users": ("**",)})),),
            resources=(Resource(FILES),),
            **(files or {}),
        ),
    )
    with ExitStack() as running:
        started = [
            running.enter_context(
                IssuerServer(
                    each, database=folder / name, port=urlsplit(url).port or 0, clock=clock
                )
            )
            for each, name, url in zip(settings, ("idp.db", "files.db"), urls, strict=True)
        ]
        yield Enterprise(started[0], started[1], at_idp, at_files)


def _client(server: IssuerServer, at: Mapping[str, Any], **options: Any) -> grantway.Client:
    options = {"client_secret": at["client_secret"], **options}
    return grantway.Client(
        grantway.Provider.discover(server.url), client_id=at["client_id"], **options
    )
