"""Test classes for stores shared by machines, with leases and fences."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from grantway._exceptions import LeaseLostError, StoreLockError
from grantway._types.store import Store
from grantway._types.token import Token
from grantway.testing._kits.processes import PATIENCE, Opener, peer
from tests.core.credential.scenes import Gate, client_of, token
from tests.faults import FaultServer
from tests.plugins.stores import holders

#: Lease duration of these stores in seconds, long enough to be extended on a busy machine.
LEASE = 1.2
#: Lease of processes that take turns: no suspension by a busy machine outlasts it.
LEASE_FOR_TURNS = 600.0


class LeaseContract:
    """Tests for stores with leases of ``LEASE`` seconds, without other processes."""

    def test_a_live_holder_extends_its_lease(self, store: Store) -> None:
        with store.lock("key", 0) as fence:
            with pytest.raises(StoreLockError), store.lock("key", LEASE * 1.5):
                pass
            store.save("key", Token("at"), fence=fence)

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
        """Assign the lease of a key to another owner for a long time, without the store."""
        raise NotImplementedError("override seize")


class SharedStoreContract(LeaseContract):
    """Tests for shared stores. Inherit it with ``StoreContract`` and ``DurableStoreContract``.

    It uses their fixtures.
    """

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

    @pytest.mark.slow
    def test_eight_processes_never_hold_the_lock_together(
        self, store: Store, reopen_for_turns: Opener, tmp_path: Path
    ) -> None:
        with ExitStack() as stack:
            crowd = [
                stack.enter_context(peer(holders.take_turns, reopen_for_turns)) for _ in range(8)
            ]
            for each in crowd:
                each.send((50, tmp_path / "inside"))
            fences = [each.receive() for each in crowd for _ in range(50)]
        assert len(set(fences)) == 400
        last = store.load("key")
        assert last is not None
        assert last.extra == {"turn": 400, "fence": max(fences)}

    def test_works_in_a_fork_and_its_parent(self, store: Store, reopen: Opener) -> None:
        with peer(holders.fork, reopen) as forking:
            assert forking.receive() == (0, Token("of the child"), Token("of the parent"))

    def test_works_on_event_loops_before_and_after_a_fork(
        self, store: Store, reopen: Opener
    ) -> None:
        with peer(holders.fork_on_loop, reopen) as forking:
            assert forking.receive() == (0, Token("of the child"), Token("of the parent"))

    def test_an_event_loop_and_a_thread_exclude_each_other(self, store: Any) -> None:
        async def main() -> None:
            async with store.lock_async("key", 0) as first:
                with pytest.raises(StoreLockError):
                    await asyncio.to_thread(store.lock("key", 0).__enter__)
            with store.lock("key", 0) as second:
                assert second > first
                with pytest.raises(StoreLockError):
                    async with store.lock_async("key", 0.05):
                        pass

        asyncio.run(main())

    def test_several_event_loops_use_one_store(self, store: Any) -> None:
        async def count() -> None:
            async with store.lock_async("key", PATIENCE) as fence:
                before = await store.load_async("key")
                number = 0 if before is None else int(before.access_token)
                await store.save_async("key", Token(str(number + 1)), fence=fence)

        async def main() -> None:
            await asyncio.gather(*(count() for _ in range(3)))
            await store.close_async()
            await count()

        with ThreadPoolExecutor(2) as loops:
            for done in [loops.submit(lambda: asyncio.run(main())) for _ in range(2)]:
                done.result(PATIENCE)
        assert store.load("key") == Token("8")

    def test_the_end_of_asyncio_run_does_not_lose_a_refresh_token(self, store: Store) -> None:
        """The provider responds only after the task that waits for the token was cancelled."""
        gate = Gate()
        with FaultServer(gate) as server, client_of(server) as client:
            credential = client.credential(grant_type="refresh_token", subject="me", store=store)
            credential.accept(token(9, seconds_left=-1))

            async def wait() -> None:
                try:
                    await credential.token_async()
                finally:
                    gate.opened.set()

            async def main() -> None:
                waiting = asyncio.create_task(wait())
                await asyncio.to_thread(gate.wait)
                assert not waiting.done()

            asyncio.run(main())
        stored = store.load(credential.key)
        assert stored is not None
        assert stored.refresh_token == "rt-1"
        with store.lock(credential.key, 0):
            pass


@contextmanager
def stopped(process: int) -> Iterator[None]:
    """Suspend another process during the block."""
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)
