"""Whether a store takes a token, found out before one comes that cannot be had again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grantway._types.token import Token

if TYPE_CHECKING:
    from grantway._types.store import Store


def check_store_writable(store: Store, key: str, timeout: float) -> None:
    """Save something beside a token, and delete it, with the token's lock.

    Args:
        store: Where the token is to rest.
        key: The token's.
        timeout: Seconds to wait for the lock.

    Raises:
        StoreError: it cannot be locked, or does not save.
    """
    trial = f"{key} trial"
    with store.lock(key, timeout):
        # Never in the token's own place: not all who write to a store take its lock.
        store.save(trial, Token("trial"))
        store.delete(trial)
