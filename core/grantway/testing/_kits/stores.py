"""Test class for every store."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from grantway._exceptions import LeaseLostError, StoreLockError
from grantway._types.store import Store
from grantway._types.token import Token

from .shown import ShownErrors

#: Part of every secret in these tests. Errors, logs and reprs must not contain it.
MARK = "very-secret-0123456789"
#: A token with a value in every field.
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


class StoreTests(ShownErrors):
    """Tests for every store: tokens, the lock, the fence, and secrets.

    Inherit it, and define the fixture ``store``: a new, empty store.

    ::

        class TestMyStore(StoreTests):
            @pytest.fixture
            def store(self, tmp_path):
                return MyStore(tmp_path)

    Attributes:
        patience: Seconds to wait for a lock that is free or about to be released.
    """

    patience = 30.0

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
        written = {Token(f"at-{number}") for number in range(3)}
        store.save("key", Token("at-0"))
        start, ended = threading.Barrier(4), threading.Event()

        def write(token: Token) -> None:
            start.wait(self.patience)
            for _ in range(50):
                store.save("key", token)

        def read() -> None:
            start.wait(self.patience)
            while not ended.is_set():
                assert store.load("key") in written

        with ThreadPoolExecutor(4) as pool:
            reader = pool.submit(read)
            try:
                for done in [pool.submit(write, token) for token in written]:
                    done.result()
            finally:
                ended.set()
            reader.result()

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
                with store.lock("key", self.patience):
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

    def test_a_free_lock_is_acquired_without_a_time_limit(self, store: Store) -> None:
        with store.lock("key", math.inf):
            pass

    def test_a_free_lock_needs_no_wait(self, store: Store) -> None:
        for _ in range(3):
            with store.lock("key", 0):
                pass

    def test_the_lock_times_out(self, store: Store) -> None:
        raised: list[Exception] = []

        def wait() -> None:
            try:
                with store.lock("key", 0.2):
                    pass
            except Exception as error:  # noqa: BLE001 - checked below
                raised.append(error)

        waiting = threading.Thread(target=wait, daemon=True)
        with store.lock("key", self.patience):
            began = time.monotonic()
            waiting.start()
            waiting.join(self.patience)
            took = time.monotonic() - began
            assert not waiting.is_alive(), "lock(key, 0.2) waits without end"
        assert [type(error) for error in raised] == [StoreLockError]
        assert took > 0.19

    def test_the_lock_is_not_reentrant(self, store: Store) -> None:
        with (
            store.lock("key", self.patience),
            pytest.raises(StoreLockError),
            store.lock("key", 0),
        ):
            pass
        with store.lock("key", 0):
            pass

    def test_a_waiting_thread_gets_the_released_lock(self, store: Store) -> None:
        order: list[str] = []

        def wait() -> None:
            with store.lock("key", self.patience):
                order.append("second")

        with ThreadPoolExecutor(1) as pool:
            with store.lock("key", self.patience):
                waits = pool.submit(wait)
                with pytest.raises(StoreLockError), store.lock("key", 0.1):
                    pass
                order.append("first")
            waits.result(self.patience)
        assert order == ["first", "second"]

    def test_an_error_in_the_block_releases_the_lock(self, store: Store) -> None:
        with pytest.raises(ZeroDivisionError), store.lock("key", self.patience):
            raise ZeroDivisionError
        with store.lock("key", 0):
            pass

    def test_the_lock_does_not_block_loads_saves_and_deletes(self, store: Store) -> None:
        with ThreadPoolExecutor(1) as pool, store.lock("key", self.patience):
            pool.submit(store.save, "key", Token("at-1")).result(self.patience)
            assert pool.submit(store.load, "key").result(self.patience) == Token("at-1")
            pool.submit(store.delete, "key").result(self.patience)
        assert store.load("key") is None

    # --- The fence -----------------------------------------------------------------------------

    def test_the_fence_increases_with_each_holder_or_is_0(self, store: Store) -> None:
        fences = []
        for number in range(4):
            with store.lock("key", self.patience) as fence:
                fences.append(fence)
                # Neither saving nor deleting a token resets the fence.
                store.save("key", Token(f"at-{number}"), fence=fence)
                if number == 1:
                    store.delete("key", fence=fence)
        assert fences == sorted(set(fences)) or set(fences) == {0}
        assert min(fences) >= 0

    def test_the_holder_saves_and_deletes_with_its_fence(self, store: Store) -> None:
        with store.lock("key", self.patience) as fence:
            for number in range(2):
                store.save("key", Token(f"at-{number}"), fence=fence)
                assert store.load("key") == Token(f"at-{number}")
            store.delete("key", fence=fence)
            assert store.load("key") is None

    def test_rejects_a_stale_fence_after_a_later_save(self, store: Store) -> None:
        with store.lock("key", self.patience) as stale:
            pass
        with store.lock("key", self.patience) as fence:
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
            assert MARK not in self.shown(lost.value)
            assert store.load("key") == Token("newer")

    def test_rejects_a_stale_fence_after_a_later_delete(self, store: Store) -> None:
        with store.lock("key", self.patience) as stale:
            store.save("key", Token("older"), fence=stale)
        with store.lock("key", self.patience) as fence:
            store.delete("key", fence=fence)
        if stale:
            with pytest.raises(LeaseLostError):
                store.save("key", WHOLE, fence=stale)
        assert store.load("key") is None

    def test_saves_and_deletes_without_a_fence(self, store: Store) -> None:
        with store.lock("key", self.patience) as fence:
            store.save("key", Token("held"), fence=fence)
        store.save("key", Token("anyway"))
        assert store.load("key") == Token("anyway")
        store.delete("key")
        assert store.load("key") is None
