"""Access tokens of this issuer."""

from __future__ import annotations

from grantway_plugins.issuer._decisions.randomness import family_digest, new_family_secret
from grantway_plugins.issuer._storage.records import AccessTokenRecord
from grantway_plugins.issuer._storage.transaction import Transaction


def new_access_token(record: AccessTokenRecord, transaction: Transaction) -> str:
    """Return a new access token, whose digest the transaction stores."""
    token = new_family_secret("gwa", record.family.family_id)
    transaction.add_access_token(family_digest(token), record)
    return token
