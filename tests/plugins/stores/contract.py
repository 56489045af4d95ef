"""The public test classes for stores, with additional tests for grantway's own stores."""

from __future__ import annotations

import traceback
from typing import Any

import pytest

from grantway import Store
from grantway._exceptions import ConfigurationError
from grantway.testing import (
    DurableStoreTests,
    RecordTests,
    StoreTests,
)
from grantway.testing._kits.shown import shown_locals
from grantway.testing._kits.stores import MARK, WHOLE

__all__ = ["LOCK_WAIT", "MARK", "WHOLE", "shown", "use_once"]

#: Seconds to wait for a lock that is free or about to be released.
LOCK_WAIT = StoreTests.patience


def shown(error: BaseException) -> str:
    """Return the whole error chain, including the locals of every frame outside the tests."""
    return "\n".join([*traceback.format_exception(error), *shown_locals(error, __name__)])


async def use_once(store: Any) -> None:
    """Use each asynchronous method of a store."""
    async with store.lock_async("key", LOCK_WAIT) as fence:
        await store.save_async("key", WHOLE, fence=fence)
        assert await store.load_async("key") == WHOLE
        await store.delete_async("key", fence=fence)


class StoreContract(StoreTests):
    """Tests for every store."""

    check_locals = True

    @pytest.mark.parametrize("timeout", [None, True, -1, float("nan"), "300"])
    def test_rejects_an_invalid_lock_timeout(self, store: Store, timeout: float) -> None:
        with pytest.raises(ConfigurationError) as rejected, store.lock("k", timeout):
            pass
        assert "timeout" in rejected.value.errors


class RecordContract(RecordTests):
    """Tests for stores that survive the process, without other processes."""

    check_locals = True


class DurableStoreContract(RecordContract, DurableStoreTests):
    """Tests for stores that survive the process, with other processes."""
