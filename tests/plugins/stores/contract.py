"""Contract test classes that the tests of every store inherit."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from grantway import Store, Token
from grantway._credentials.token_format import encode_token
from grantway._exceptions import (
    ConfigurationError,
    LeaseLostError,
    StoreLockError,
    StoreUnreadableError,
)
from tests.plugins.stores import processes
from tests.plugins.stores.processes import Opener, long_token, opened, peer

#: Part of every secret in these tests. Errors, logs and reprs must not contain it.
MARK = "very-secret-0123456789"
WHOLE = Token(
    "at-" + MARK,
    "DPoP",
    3600,
    1e9,
    "rt-" + MARK,
    "id-" + MARK,
    ("read", "write"),
    {"authed_user": {"id": 7, "token": MARK}},
)
#: Seconds to wait for a lock that is free or about to be released.
LOCK_WAIT = 30.0


def shown(error: BaseException) -> str:
    """Return the whole error chain, including the locals of every frame outside the tests."""
    frames = []
    current: BaseException | None = error
    while current is not None:
        frames += [
            f"{name} = {value!r}"
            for frame, _ in traceback.walk_tb(current.__traceback__)
            if not frame.f_globals["__name__"].startswith("tests.")
            for name, value in frame.f_locals.items()
        ]
        current = current.__cause__ or current.__context__
    return "\n".join([*traceback.format_exception(error), repr(error), *frames])


async def use_once(store: Any) -> None:
    """Use each asynchronous method of a store."""
    async with store.lock_async("key", LOCK_WAIT) as fence:
        await store.save_async("key", WHOLE, fence=fence)
        assert await store.load_async("key") == WHOLE
        await store.delete_async("key", fence=fence)


class StoreContract:
    """Tests for every store. Subclasses define the fixture ``store``."""

    def test_an_unknown_key_gives_none(self, store: Store) -> None:
        assert store.load("unknown") is None

    def test_loads_every_field_of_a_saved_token(self, store: Store) -> None:
        store.save("key", WHOLE)
        assert store.load("key") == WHOLE

    def test_a_save_replaces_the_previous_token(self, store: Store) -> None:
        for number in range(3):
            store.save("key", Token(f"at-{number}"))
        assert store.load("key") == Token("at-2")

    def test_keys_are_independent(self, store: Store) -> None:
        keys = ["a", "A", "a ", "a/b", "../a", "a\nb", "a:b", "\u00e4", "a\u0308", "a" * 500, ""]
        for key in keys:
            store.save(key, Token(f"at of {key!r}"))
        assert [store.load(key) for key in keys] == [Token(f"at of {key!r}") for key in keys]

    def test_deletes_only_the_given_key(self, store: Store) -> None:
        store.save("one", Token("at-1"))
        store.save("two", Token("at-2"))
        store.delete("one")
        store.delete("one")
        assert (store.load("one"), store.load("two")) == (None, Token("at-2"))

    def test_keeps_an_expired_token_that_has_a_refresh_token(self, store: Store) -> None:
        expired = Token("at", expires_in=1, expires_at=time.time() - 1e6, refresh_token="rt")
        store.save("key", expired)
        assert store.load("key") == expired

    def test_threads_read_complete_tokens(self, store: Store) -> None:
        written = {Token(f"at-{number}") for number in range(4)}
        start = threading.Barrier(4)

        def work(token: Token) -> None:
            start.wait(LOCK_WAIT)
            for _ in range(50):
                store.save("key", token)
                assert store.load("key") in written

        with ThreadPoolExecutor(4) as pool:
            for done in [pool.submit(work, token) for token in written]:
                done.result()

    def test_repr_and_str_contain_no_secret(self, store: Store) -> None:
        store.save("key", WHOLE)
        assert MARK not in repr(store)
        assert MARK not in str(store)

    # --- The lock ------------------------------------------------------------------------------

    def test_the_lock_excludes_threads(self, store: Store) -> None:
        inside = 0
        most = 0

        def work() -> None:
            nonlocal inside, most
            for _ in range(5):
                with store.lock("key", LOCK_WAIT):
                    inside += 1
                    most = max(most, inside)
                    before = store.load("key")
                    number = 0 if before is None else int(before.access_token)
                    store.save("key", Token(str(number + 1)))
                    inside -= 1

        with ThreadPoolExecutor(4) as pool:
            for done in [pool.submit(work) for _ in range(4)]:
                done.result()
        assert (most, store.load("key")) == (1, Token("20"))

    def test_keys_do_not_wait_for_each_other(self, store: Store) -> None:
        with store.lock("a", 0), store.lock("A", 0), store.lock("", 0), store.lock("a/b", 0):
            pass

    @pytest.mark.parametrize("timeout", [None, True, -1, float("nan"), "300"])
    def test_rejects_an_invalid_lock_timeout(self, store: Store, timeout: float) -> None:
        with pytest.raises(ConfigurationError) as rejected, store.lock("k", timeout):
            pass
        assert "timeout" in rejected.value.errors

    def test_a_free_lock_needs_no_wait(self, store: Store) -> None:
        for _ in range(3):
            with store.lock("key", 0):
                pass

    def test_the_lock_is_not_reentrant_and_times_out(self, store: Store) -> None:
        with store.lock("key", LOCK_WAIT):
            second = store.lock("key", 0.2)
            began = time.monotonic()
            with pytest.raises(StoreLockError) as late, second:
                pass
            assert 0.19 < time.monotonic() - began < LOCK_WAIT
        assert isinstance(late.value, TimeoutError)
        with store.lock("key", 0):
            pass

    def test_a_waiting_thread_gets_the_released_lock(self, store: Store) -> None:
        order: list[str] = []

        def wait() -> None:
            with store.lock("key", LOCK_WAIT):
                order.append("second")

        with ThreadPoolExecutor(1) as pool:
            with store.lock("key", LOCK_WAIT):
                waits = pool.submit(wait)
                with pytest.raises(StoreLockError), store.lock("key", 0.1):
                    pass
                order.append("first")
            waits.result(LOCK_WAIT)
        assert order == ["first", "second"]

    def test_an_error_in_the_block_releases_the_lock(self, store: Store) -> None:
        with pytest.raises(ZeroDivisionError), store.lock("key", LOCK_WAIT):
            raise ZeroDivisionError
        with store.lock("key", 0):
            pass

    def test_the_lock_does_not_block_loads_saves_and_deletes(self, store: Store) -> None:
        with ThreadPoolExecutor(1) as pool, store.lock("key", LOCK_WAIT):
            pool.submit(store.save, "key", Token("at-1")).result(LOCK_WAIT)
            assert pool.submit(store.load, "key").result(LOCK_WAIT) == Token("at-1")
            pool.submit(store.delete, "key").result(LOCK_WAIT)
        assert store.load("key") is None

    # --- The fence -----------------------------------------------------------------------------

    def test_the_fence_increases_with_each_holder_or_is_0(self, store: Store) -> None:
        fences = []
        for number in range(4):
            with store.lock("key", LOCK_WAIT) as fence:
                fences.append(fence)
                # Neither saving nor deleting a token resets the fence.
                store.save("key", Token(f"at-{number}"), fence=fence)
                if number == 1:
                    store.delete("key", fence=fence)
        assert fences == sorted(set(fences)) or set(fences) == {0}
        assert min(fences) >= 0

    def test_the_holder_saves_and_deletes_with_its_fence(self, store: Store) -> None:
        with store.lock("key", LOCK_WAIT) as fence:
            for number in range(2):
                store.save("key", Token(f"at-{number}"), fence=fence)
                assert store.load("key") == Token(f"at-{number}")
            store.delete("key", fence=fence)
            assert store.load("key") is None

    def test_rejects_a_stale_fence_after_a_later_save(self, store: Store) -> None:
        with store.lock("key", LOCK_WAIT) as stale:
            pass
        with store.lock("key", LOCK_WAIT) as fence:
            store.save("key", Token("newer"), fence=fence)
        changes: list[Callable[[], None]] = [
            lambda: store.save("key", WHOLE, fence=stale),
            lambda: store.delete("key", fence=stale),
        ]
        if stale == 0:  # the lock cannot be lost: every holder has the fence 0
            changes[0]()
            assert store.load("key") == WHOLE
            changes[1]()
            assert store.load("key") is None
            return
        for change in changes:
            with pytest.raises(LeaseLostError) as lost:
                change()
            assert MARK not in shown(lost.value)
            assert store.load("key") == Token("newer")

    def test_rejects_a_stale_fence_after_a_later_delete(self, store: Store) -> None:
        with store.lock("key", LOCK_WAIT) as stale:
            store.save("key", Token("older"), fence=stale)
        with store.lock("key", LOCK_WAIT) as fence:
            store.delete("key", fence=fence)
        if stale:
            with pytest.raises(LeaseLostError):
                store.save("key", WHOLE, fence=stale)
        assert store.load("key") is None

    def test_saves_and_deletes_without_a_fence(self, store: Store) -> None:
        with store.lock("key", LOCK_WAIT) as fence:
            store.save("key", Token("held"), fence=fence)
        store.save("key", Token("anyway"))
        assert store.load("key") == Token("anyway")
        store.delete("key")
        assert store.load("key") is None


class RecordContract:
    """Tests for stores that survive the process, without other processes.

    Inherit it together with ``StoreContract``. Subclasses define:

    - the fixture ``reopen``: a picklable callable that opens the same store again, such as
      ``functools.partial(FileStore, folder)``. Other processes call it;
    - the fixture ``corrupt``: ``corrupt(key, data)`` overwrites the record of the key with these
      bytes, bypassing the store.

    Stores that need closing have a ``close`` method.
    """

    def test_another_instance_sees_saves_and_deletes(self, store: Store, reopen: Opener) -> None:
        store.save("key", WHOLE)
        with opened(reopen()) as other:
            assert other.load("key") == WHOLE
            other.save("key", Token("newer"))
            assert store.load("key") == Token("newer")
            store.delete("key")
            assert other.load("key") is None

    def test_the_lock_excludes_another_instance(self, store: Store, reopen: Opener) -> None:
        with opened(reopen()) as other, store.lock("key", LOCK_WAIT) as first:
            with pytest.raises(StoreLockError), other.lock("key", 0.1):
                pass
            with other.lock("another key", 0):
                pass
            store.save("key", Token("at"), fence=first)
        with opened(reopen()) as other, other.lock("key", LOCK_WAIT) as second:
            assert second > first or (first, second) == (0, 0)

    @pytest.mark.parametrize(
        "data",
        [
            pytest.param(b"", id="nothing"),
            pytest.param(encode_token(WHOLE)[:-20], id="the first part"),
            pytest.param(b"\0" * 200, id="zeros"),
            pytest.param(b"\xff\xfe" + MARK.encode(), id="no text"),
            pytest.param(b"[1]", id="other JSON"),
            pytest.param(b'{"version":1,"refresh_token":"%s"}' % MARK.encode(), id="no token"),
            pytest.param(b'{"version":1,"access_token":{"a":"%s"}}' % MARK.encode(), id="a map"),
            pytest.param(b"[" * 200_000, id="too deep"),
        ],
    )
    def test_a_corrupt_record_is_reported_and_replaceable(
        self,
        store: Store,
        corrupt: Callable[[str, bytes], None],
        caplog: pytest.LogCaptureFixture,
        data: bytes,
    ) -> None:
        store.save("key", WHOLE)
        store.save("other", Token("at of another"))
        corrupt("key", data)
        found = failure = None
        try:
            found = store.load("key")
        except StoreUnreadableError as error:
            failure = error
        if failure is not None:
            assert MARK not in shown(failure)
        else:  # the record was set aside with a warning
            assert found is None
            assert [record.levelname for record in caplog.records] == ["WARNING"]
            assert MARK not in caplog.text
        assert store.load("other") == Token("at of another")
        # A new login replaces the corrupt record.
        store.save("key", Token("new"))
        assert store.load("key") == Token("new")

    def test_leaves_a_record_of_a_newer_version_unchanged(
        self, store: Store, corrupt: Callable[[str, bytes], None]
    ) -> None:
        store.save("key", WHOLE)
        corrupt("key", encode_token(WHOLE).replace(b'"version":1', b'"version":2'))
        for _ in range(2):
            with pytest.raises(StoreUnreadableError, match="version") as newer:
                store.load("key")
            assert MARK not in shown(newer.value)


class DurableStoreContract(RecordContract):
    """Tests for stores that survive the process, with other processes.

    Subclasses define ``released_within``: seconds until the lock of a killed holder is free.
    """

    released_within = 5.0

    @pytest.fixture
    def reopen_for_turns(self, reopen: Opener) -> Opener:
        """Open the store for processes that take turns, however long the machine suspends them.

        A store with leases overrides this, because it promises exclusion only during the lease.
        """
        return reopen

    def test_another_process_sees_saves_and_deletes(self, store: Store, reopen: Opener) -> None:
        store.save("key", WHOLE)
        with peer(processes.read, reopen) as reader:
            reader.send("key")
            assert reader.receive() == WHOLE
            store.save("key", Token("newer"))
            reader.send("key")
            assert reader.receive() == Token("newer")
            store.delete("key")
            reader.send("key")
            assert reader.receive() is None

    def test_the_lock_excludes_another_process(self, store: Store, reopen: Opener) -> None:
        with peer(processes.hold, reopen) as holder:
            theirs = holder.receive()
            with pytest.raises(StoreLockError), store.lock("key", 0.2):
                pass
            holder.send("release")
            with store.lock("key", LOCK_WAIT) as ours:
                assert ours > theirs or (ours, theirs) == (0, 0)
            assert holder.receive() == "released"

    def test_no_update_made_under_the_lock_is_lost(
        self, store: Store, reopen_for_turns: Opener
    ) -> None:
        with (
            peer(processes.count, reopen_for_turns) as one,
            peer(processes.count, reopen_for_turns) as two,
        ):
            for process in (one, two):
                process.send(20)
            assert (one.receive(), two.receive()) == ("done", "done")
        assert store.load("key") == Token("40")

    def test_the_lock_of_a_killed_holder_becomes_free(self, store: Store, reopen: Opener) -> None:
        store.save("key", WHOLE)
        with peer(processes.hold, reopen) as holder:
            theirs = holder.receive()
            holder.kill()
            with store.lock("key", self.released_within) as ours:
                assert ours > theirs or (ours, theirs) == (0, 0)
        assert store.load("key") == WHOLE

    def test_concurrent_writers_never_mix_tokens(self, store: Store, reopen: Opener) -> None:
        whole = [long_token(letter) for letter in "ab"]
        with peer(processes.write, reopen) as one, peer(processes.write, reopen) as two:
            for process, letter in ((one, "a"), (two, "b")):
                process.send(letter)
            assert (one.receive(), two.receive()) == ("writing", "writing")
            for _ in range(100):
                assert store.load("key") in whole
            for process in (one, two):
                process.send("stop")
            assert min(one.receive(), two.receive()) > 0
        assert store.load("key") in whole

    def test_a_killed_writer_leaves_a_complete_token(self, store: Store, reopen: Opener) -> None:
        whole = [long_token(letter) for letter in "ab"]
        for letter in "ab":
            with peer(processes.write, reopen) as writer:
                writer.send(letter)
                writer.receive()
                writer.kill()
            assert store.load("key") in whole
            store.save("key", whole[0])
            assert store.load("key") == whole[0]
