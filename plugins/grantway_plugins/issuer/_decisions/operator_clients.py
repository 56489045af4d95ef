"""Add, list and remove clients, and rotate their secrets, directly in the database.

A running issuer applies a change within seconds (``store.CLIENT_CACHE_SECONDS``).
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from grantway._exceptions import ConfigurationError
from grantway._plugins.default_registry import default_registry
from grantway._types.quantity import check_seconds
from grantway_plugins.issuer._audit_log import record_operator
from grantway_plugins.issuer._clients.certificate_settings import ClientCertificates
from grantway_plugins.issuer._http.endpoints.registration import (
    client_information,
    new_client,
    registration_event,
)
from grantway_plugins.issuer._settings import IssuerSettings
from grantway_plugins.issuer._storage.records import RegisteredClient
from grantway_plugins.issuer._storage.store import IssuerStore
from grantway_plugins.server._http.audit_event import AuditEvent
from grantway_plugins.server._http.denial import DenialError

from .issuer import Issuer
from .randomness import digest, new_secret
from .registration_policy import Terms

#: Settings that enable every authentication method. The file is not read.
_EVERY_METHOD = IssuerSettings(client_certificates=ClientCertificates(ca_file="ca.pem"))
#: Default time for which a replaced secret stays valid, in seconds.
OVERLAP = 86_400.0
_ADVICE = (
    "grantway clients list shows all clients. If it does not show this one, name the issuer's "
    "database with --config or --database"
)


def add_client(
    store: IssuerStore, metadata: Mapping[str, Any], *, introspects: bool = False
) -> dict[str, Any]:
    """Add a client that does not expire.

    Args:
        store: The issuer's database.
        metadata: Client metadata (RFC 7591 section 2), such as ``client_name``, ``grant_types`` and
            ``scope``.
        introspects: Whether the client may introspect the tokens of other clients, as resource
            servers need to.

    Returns:
        The client's information response (RFC 7591 section 3.2.1), with its secret.

    Raises:
        ConfigurationError: the metadata is invalid.
        DatabaseError: the database failed; nothing was changed.
    """
    issuer = replace(Issuer.of(default_registry()), settings=_EVERY_METHOD)
    try:
        client, secret = new_client(issuer, metadata, Terms(introspects=introspects), math.inf)
    except DenialError as error:
        raise ConfigurationError(error.denial.description) from None
    store.run(lambda transaction: transaction.clients.add(client))
    record_operator(registration_event(client))
    return client_information(client, secret)


def rotate_secret(store: IssuerStore, client_id: str, *, overlap: float = OVERLAP) -> str:
    """Replace a client's secret; the current secret stays valid for the overlap.

    A secret that an earlier rotation replaced becomes invalid at once.

    Args:
        store: The issuer's database.
        client_id: The client id.
        overlap: Time for which the current secret stays valid, in seconds.

    Returns:
        The new secret.

    Raises:
        ConfigurationError: ``overlap`` is invalid, or there is no client with this id and a secret.
        DatabaseError: the database failed; nothing was changed.
    """
    check_seconds("overlap", overlap, least=0)
    secret = new_secret("gws")
    until = time.time() + overlap
    if not store.run(
        lambda transaction: transaction.clients.rotate(client_id, digest(secret), until)
    ):
        raise ConfigurationError(
            f"There is no client {client_id} with a secret in this database; {_ADVICE}"
        )
    record_operator(AuditEvent("secret_rotation", client_id=client_id))
    return secret


def remove_client(store: IssuerStore, client_id: str) -> None:
    """Remove a client and revoke its tokens.

    Raises:
        ConfigurationError: there is no such client.
        DatabaseError: the database failed; nothing was changed.
    """
    if not store.run(lambda transaction: transaction.clients.remove(client_id, time.time())):
        raise ConfigurationError(f"There is no client {client_id} in this database; {_ADVICE}")
    record_operator(AuditEvent("client_removal", client_id=client_id))


def all_clients(store: IssuerStore) -> list[RegisteredClient]:
    """Return all clients, oldest first."""
    return store.run(lambda transaction: transaction.clients.all())
