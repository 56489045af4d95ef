"""What every store promises that machines share: leases that end, and fences that outlive them."""

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

#: Seconds of the leases of these tests: long enough to be renewed on a busy machine.
LEASE = 1.2


class SharedStoreContract:
    """Inherit it beside ``StoreContract`` and ``DurableStoreContract``; it takes their fixtures.

    The stores have leases of ``LEASE`` seconds.
    """

    def test_a_holder_that_lives_keeps_the_lock_past_its_lease(self, store: Store) -> None:
        with store.lock("key", 0) as fence:
            with pytest.raises(StoreLockError), store.lock("key", LEASE * 1.5):
                pass
            store.save("key", Token("at"), fence=fence)

    def test_a_holder_that_was_stopped_past_its_lease_is_refused(
        self, store: Store, again: Opener
    ) -> None:
        with peer(holders.save_when_told, again) as late:
            theirs, process = late.hear()
            with stopped(process), store.lock("key", PATIENCE) as ours:
                assert ours > theirs
                store.save("key", Token("newer"), fence=ours)
            late.tell("save")
            assert late.hear() == "LeaseLostError"
        assert store.load("key") == Token("newer")

    def test_its_token_is_kept_where_the_next_holder_has_saved_none(
        self, store: Store, again: Opener
    ) -> None:
        with peer(holders.save_when_told, again) as late:
            _theirs, process = late.hear()
            with stopped(process), store.lock("key", PATIENCE):
                pass
            late.tell("save")
            assert late.hear() == "saved"
        assert store.load("key") == Token("late")

    def test_eight_processes_never_hold_it_at_once(
        self, store: Store, again: Opener, tmp_path: Path
    ) -> None:
        with ExitStack() as stack:
            crowd = [stack.enter_context(peer(holders.take_turns, again)) for _ in range(8)]
            for each in crowd:
                each.tell((50, tmp_path / "inside"))
            fences = [fence for each in crowd for fence in each.hear()]
        assert len(set(fences)) == 400
        last = store.load("key")
        assert last is not None
        assert last.extra == {"turn": 400, "fence": max(fences)}

    def test_a_fork_uses_it_beside_its_parent(self, store: Store, again: Opener) -> None:
        with peer(holders.fork, again) as forking:
            assert forking.hear() == (0, Token("of the child"), Token("of the parent"))

    def test_a_token_of_a_key_that_was_forgotten_is_saved_unless_its_holder_is_too_old(
        self, store: Store
    ) -> None:
        with store.lock("another key", 0) as fence:
            pass
        hours = 3_600_000
        with pytest.raises(LeaseLostError):
            store.save("key", Token("brought back"), fence=fence - 2 * hours)
        assert store.load("key") is None
        store.save("key", Token("at"), fence=fence)
        assert store.load("key") == Token("at")

    def test_a_lease_that_was_lost_is_told(
        self, store: Store, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.WARNING), store.lock("key", 0):
            self.seize("key")
            with pytest.raises(StoreLockError), store.lock("key", LEASE):
                pass
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        assert "lost" in caplog.text

    def seize(self, key: str) -> None:
        """Put another owner into the lease of a key, for a long time."""
        raise NotImplementedError


@contextmanager
def stopped(process: int) -> Iterator[None]:
    """Another process stands still meanwhile."""
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)
