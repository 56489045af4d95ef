"""The keys that a client registered by value, parsed once."""

from __future__ import annotations

import json
from functools import lru_cache

from grantway_plugins._jose.key_set import KeySet, given_keys
from grantway_plugins.issuer._storage.records import RegisteredClient

from .key_metadata import JWKS

#: Maximum number of key sets in memory.
_KEPT = 1000


def registered_keys(client: RegisteredClient) -> KeySet:
    """Return the keys in ``jwks`` of a client's metadata, which must exist."""
    return _parsed(json.dumps(client.metadata[JWKS]))


@lru_cache(_KEPT)
def _parsed(jwks: str) -> KeySet:
    return given_keys(json.loads(jwks))
