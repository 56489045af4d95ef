"""Contract test class for stores shared by machines, with leases and fences."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from grantway import Store, Token
from grantway._exceptions import LeaseLostError, StoreLockError
from tests.plugins.stores import holders
from tests.plugins.stores.processes import PATIENCE, Opener, peer

#: Lease duration of these tests in seconds, long enough to be extended on a busy machine.
LEASE = 1.2
#: Lease of processes that take turns: no suspension by a busy machine outlasts it.
LEASE_FOR_TURNS = 600.0


class SharedStoreContract:
    """Tests for shared stores. Inherit it with ``StoreContract`` and ``DurableStoreContract``.

    It uses their fixtures. The stores have leases of ``LEASE`` seconds.
    """

    def test_a_live_holder_extends_its_lease(self, store: Store) -> None:
        with store.lock("key", 0) as fence:
            with pytest.raises(StoreLockError), store.lock("key", LEASE * 1.5):
                pass
            store.save("key", Token("at"), fence=fence)

    def test_rejects_a_holder_suspended_beyond_its_lease(
        self, store: Store, reopen: Opener
    ) -> None:
        with peer(holders.save_on_signal, reopen) as late:
            theirs, process = late.receive()
            with stopped(process), store.lock("key", PATIENCE) as ours:
                assert ours > theirs
                store.save("key", Token("newer"), fence=ours)
            late.send("save")
            assert late.receive() == "LeaseLostError"
        assert store.load("key") == Token("newer")

    def test_accepts_a_late_save_if_the_next_holder_saved_nothing(
        self, store: Store, reopen: Opener
    ) -> None:
        with peer(holders.save_on_signal, reopen) as late:
            _theirs, process = late.receive()
            with stopped(process), store.lock("key", PATIENCE):
                pass
            late.send("save")
            assert late.receive() == "saved"
        assert store.load("key") == Token("late")

    def test_eight_processes_never_hold_the_lock_together(
        self, store: Store, reopen_for_turns: Opener, tmp_path: Path
    ) -> None:
        with ExitStack() as stack:
            crowd = [
                stack.enter_context(peer(holders.take_turns, reopen_for_turns)) for _ in range(8)
            ]
            for each in crowd:
                each.send((50, tmp_path / "inside"))
            fences = [fence for each in crowd for fence in each.receive()]
        assert len(set(fences)) == 400
        last = store.load("key")
        assert last is not None
        assert last.extra == {"turn": 400, "fence": max(fences)}

    def test_works_in_a_fork_and_its_parent(self, store: Store, reopen: Opener) -> None:
        with peer(holders.fork, reopen) as forking:
            assert forking.receive() == (0, Token("of the child"), Token("of the parent"))

    def test_rejects_a_save_to_an_unknown_key_with_an_old_fence(self, store: Store) -> None:
        with store.lock("another key", 0) as fence:
            pass
        hours = 3_600_000
        with pytest.raises(LeaseLostError):
            store.save("key", Token("restored"), fence=fence - 2 * hours)
        assert store.load("key") is None
        store.save("key", Token("at"), fence=fence)
        assert store.load("key") == Token("at")

    def test_logs_a_lost_lease(self, store: Store, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.WARNING), store.lock("key", 0):
            self.seize("key")
            with pytest.raises(StoreLockError), store.lock("key", LEASE):
                pass
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        assert "lost" in caplog.text

    def seize(self, key: str) -> None:
        """Assign the lease of a key to another owner for a long time."""
        raise NotImplementedError


@contextmanager
def stopped(process: int) -> Iterator[None]:
    """Suspend another process during the block."""
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)
