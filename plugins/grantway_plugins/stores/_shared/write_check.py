"""Check that a store can save, before a token is requested that is issued only once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grantway._types.token import Token

if TYPE_CHECKING:
    from grantway._types.store import Store


def check_store_writable(store: Store, key: str, timeout: float) -> None:
    """Save and delete a dummy token under a related key, holding the lock of ``key``.

    Args:
        store: The store to check.
        key: Key of the token that is going to be saved.
        timeout: Seconds to wait for the lock.

    Raises:
        StoreError: The store cannot be locked, written or cleaned up.
    """
    trial = f"{key} trial"
    with store.lock(key, timeout):
        # Use another key, because a program that ignores the lock may save under the token's key.
        store.save(trial, Token("trial"))
        store.delete(trial)
