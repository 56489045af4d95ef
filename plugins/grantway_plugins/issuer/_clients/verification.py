"""Verify the credentials of a client with its registration."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from grantway_plugins.issuer._storage.records import RegisteredClient
from grantway_plugins.issuer._storage.store import IssuerStore
from grantway_plugins.issuer._trust.trusted_token import RejectedToken, TrustedToken

Outcome = TrustedToken | RejectedToken | None


async def verified_client(
    store: IssuerStore, client_id: str, verify: Callable[[RegisteredClient], Awaitable[Outcome]]
) -> Outcome:
    """Return the outcome of the verification, or None if there is no such client.

    If the credentials are rejected, and another process has changed the registration since it was
    cached, they are verified again.

    Args:
        store: The database with the clients.
        client_id: The client id.
        verify: Verifies the credentials; returns None if the client uses another method.
    """
    client = await store.arun(lambda transaction: transaction.clients.find(client_id))
    outcome = None if client is None else await verify(client)
    if isinstance(outcome, RejectedToken):
        current = await store.arun(
            lambda transaction: transaction.clients.find(client_id, known=False)
        )
        if current is not None and current != client:
            return await verify(current)
    return outcome
