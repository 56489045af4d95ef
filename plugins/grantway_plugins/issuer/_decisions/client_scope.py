"""Scopes that a client may request."""

from __future__ import annotations

from collections.abc import Collection

from grantway_plugins.issuer._settings import IssuerSettings
from grantway_plugins.issuer._storage.records import RegisteredClient


def exceeds_scope(
    client: RegisteredClient, scope: Collection[str], settings: IssuerSettings
) -> bool:
    """Return whether a client may not ask a user for these scopes.

    An anonymous client may request scopes that it did not register, because it could have
    registered them. Clients need that when a resource demands a further scope (RFC 6750 section
    3.1), and clients with a metadata document cannot know every resource's scopes.
    """
    if set(scope) <= set(client.scope):
        return False
    allowed = settings.registration_scopes
    return not client.anonymous or (allowed is not None and not set(scope) <= set(allowed))
