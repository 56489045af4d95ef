"""Refresh the token of a connection that no request has used for a long time."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from grantway._exceptions import GrantwayError, LoginNeededError
from grantway_plugins.gateway._connections.connection import EXPIRED

if TYPE_CHECKING:
    from grantway_plugins.gateway._connections.connection import Connection
    from grantway_plugins.gateway._connections.service import Connections

#: Seconds until a connection is looked at again whose provider is not in the file.
_ABSENT = 86_400.0


async def keep_alive(connections: Connections, connection: Connection) -> None:
    """Refresh a claimed connection with its ordinary credential.

    If the provider or the store fails, the connection does not change, and the work is due
    again when the claim ends. The credential reports a new token, which sets the next time.

    Raises:
        StoreError: The records failed.
    """
    provider, user = connection.provider, connection.user
    lag = max(0.0, connections.clock() - connection.refreshed_at - connections.settings.keep_alive)
    at = connections.providers.get(provider)
    if at is None:  # not in the file any more; do not look at it again every few minutes
        later = replace(connection, due_at=connections.clock() + _ABSENT)
        await connections.records.change(later)
        return
    if not at.discovered:
        connections.observer.kept_alive(provider, "failed", lag)
        return
    reason = ""
    try:
        await at.credential(user).refresh_async()
    except LoginNeededError as error:
        reason = str(error.members.get("error") or EXPIRED)
    except GrantwayError:
        connections.observer.kept_alive(provider, "failed", lag)
        return
    connections.observer.kept_alive(provider, "rejected" if reason else "refreshed", lag)
    if reason:
        await connections.broken(user, provider, reason)
