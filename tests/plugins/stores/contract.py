"""What every store promises; a store's tests inherit these."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

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

#: In every token of these tests that must not be shown.
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
#: Seconds to wait for a lock that is free, or about to be.
ENOUGH = 30.0


def shown(error: BaseException) -> str:
    """All that a report could show: the whole chain, and the locals of each frame of a store."""
    frames = []
    one: BaseException | None = error
    while one is not None:
        frames += [
            f"{name} = {value!r}"
            for frame, _ in traceback.walk_tb(one.__traceback__)
            if not frame.f_globals["__name__"].startswith("tests.")
            for name, value in frame.f_locals.items()
        ]
        one = one.__cause__ or one.__context__
    return "\n".join([*traceback.format_exception(error), repr(error), *frames])


class StoreContract:
    """Inherit, and give the store to be tested as the fixture ``store``."""

    def test_what_was_never_saved_is_none(self, store: Store) -> None:
        assert store.load("nobody") is None

    def test_a_token_comes_back_whole(self, store: Store) -> None:
        store.save("key", WHOLE)
        assert store.load("key") == WHOLE

    def test_the_last_one_saved_counts(self, store: Store) -> None:
        for number in range(3):
            store.save("key", Token(f"at-{number}"))
        assert store.load("key") == Token("at-2")

    def test_keys_share_nothing(self, store: Store) -> None:
        keys = ["a", "A", "a ", "a/b", "../a", "a\nb", "a:b", "\u00e4", "a\u0308", "a" * 500, ""]
        for key in keys:
            store.save(key, Token(f"at of {key!r}"))
        assert [store.load(key) for key in keys] == [Token(f"at of {key!r}") for key in keys]

    def test_what_was_deleted_is_gone_and_the_rest_is_not(self, store: Store) -> None:
        store.save("one", Token("at-1"))
        store.save("two", Token("at-2"))
        store.delete("one")
        store.delete("one")
        assert (store.load("one"), store.load("two")) == (None, Token("at-2"))

    def test_an_access_token_that_ended_is_kept_with_its_refresh_token(self, store: Store) -> None:
        ended = Token("at", expires_in=1, expires_at=time.time() - 1e6, refresh_token="rt")
        store.save("key", ended)
        assert store.load("key") == ended

    def test_threads_read_what_one_of_them_wrote(self, store: Store) -> None:
        written = {Token(f"at-{number}") for number in range(4)}
        start = threading.Barrier(4)

        def work(token: Token) -> None:
            start.wait(ENOUGH)
            for _ in range(50):
                store.save("key", token)
                assert store.load("key") in written

        with ThreadPoolExecutor(4) as pool:
            for done in [pool.submit(work, token) for token in written]:
                done.result()

    def test_it_shows_no_secret(self, store: Store) -> None:
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
                with store.lock("key", ENOUGH):
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
    def test_a_wait_for_the_lock_must_be_a_duration(self, store: Store, timeout: float) -> None:
        with pytest.raises(ConfigurationError) as refused, store.lock("k", timeout):
            pass
        assert "timeout" in refused.value.errors

    def test_a_lock_that_is_free_is_had_without_waiting(self, store: Store) -> None:
        for _ in range(3):
            with store.lock("key", 0):
                pass

    def test_it_is_not_reentrant_and_the_wait_ends_in_time(self, store: Store) -> None:
        with store.lock("key", ENOUGH):
            second = store.lock("key", 0.2)
            began = time.monotonic()
            with pytest.raises(StoreLockError) as late, second:
                pass
            assert 0.19 < time.monotonic() - began < ENOUGH
        assert isinstance(late.value, TimeoutError)
        with store.lock("key", 0):
            pass

    def test_a_thread_that_waits_has_it_once_it_is_free(self, store: Store) -> None:
        order: list[str] = []

        def wait() -> None:
            with store.lock("key", ENOUGH):
                order.append("second")

        with ThreadPoolExecutor(1) as pool:
            with store.lock("key", ENOUGH):
                waits = pool.submit(wait)
                with pytest.raises(StoreLockError), store.lock("key", 0.1):
                    pass
                order.append("first")
            waits.result(ENOUGH)
        assert order == ["first", "second"]

    def test_an_error_in_the_block_frees_it(self, store: Store) -> None:
        with pytest.raises(ZeroDivisionError), store.lock("key", ENOUGH):
            raise ZeroDivisionError
        with store.lock("key", 0):
            pass

    def test_who_does_not_hold_it_reads_and_writes_on(self, store: Store) -> None:
        with ThreadPoolExecutor(1) as pool, store.lock("key", ENOUGH):
            pool.submit(store.save, "key", Token("at-1")).result(ENOUGH)
            assert pool.submit(store.load, "key").result(ENOUGH) == Token("at-1")
            pool.submit(store.delete, "key").result(ENOUGH)
        assert store.load("key") is None

    # --- The fence -----------------------------------------------------------------------------

    def test_the_fence_grows_with_each_holder_or_is_0(self, store: Store) -> None:
        fences = []
        for number in range(4):
            with store.lock("key", ENOUGH) as fence:
                fences.append(fence)
                # Neither a token that is deleted nor one that is saved starts it anew.
                store.save("key", Token(f"at-{number}"), fence=fence)
                if number == 1:
                    store.delete("key", fence=fence)
        assert fences == sorted(set(fences)) or set(fences) == {0}
        assert min(fences) >= 0

    def test_a_holder_saves_and_deletes_with_its_fence(self, store: Store) -> None:
        with store.lock("key", ENOUGH) as fence:
            for number in range(2):
                store.save("key", Token(f"at-{number}"), fence=fence)
                assert store.load("key") == Token(f"at-{number}")
            store.delete("key", fence=fence)
            assert store.load("key") is None

    def test_a_fence_that_a_later_holder_outdid_changes_nothing(self, store: Store) -> None:
        with store.lock("key", ENOUGH) as stale:
            pass
        with store.lock("key", ENOUGH) as fence:
            store.save("key", Token("newer"), fence=fence)
        changes: list[Callable[[], None]] = [
            lambda: store.save("key", WHOLE, fence=stale),
            lambda: store.delete("key", fence=stale),
        ]
        if stale == 0:  # cannot be lost: then 0 is what every holder has, and it saves
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

    def test_a_later_holder_that_deleted_is_not_outdone_either(self, store: Store) -> None:
        with store.lock("key", ENOUGH) as stale:
            store.save("key", Token("older"), fence=stale)
        with store.lock("key", ENOUGH) as fence:
            store.delete("key", fence=fence)
        if stale:
            with pytest.raises(LeaseLostError):
                store.save("key", WHOLE, fence=stale)
        assert store.load("key") is None

    def test_without_a_fence_it_is_always_saved(self, store: Store) -> None:
        with store.lock("key", ENOUGH) as fence:
            store.save("key", Token("held"), fence=fence)
        store.save("key", Token("anyway"))
        assert store.load("key") == Token("anyway")
        store.delete("key")
        assert store.load("key") is None


class DurableStoreContract:
    """For stores that outlive the process: inherit it beside ``StoreContract``.

    Give:

    - the fixture ``again``: called, it opens the same place once more. It goes to other
      processes, so it must be one that pickles, as ``functools.partial(FileStore, folder)``;
    - the fixture ``spoil``: ``spoil(key, data)`` puts these bytes where the record of the key
      lies, past the store, or as near to them as the place can hold;
    - ``survived_within``: seconds until the lock of a holder that was killed is free.

    A store that must be closed has ``close()``.
    """

    survived_within = 5.0

    def test_another_instance_sees_what_was_saved(self, store: Store, again: Opener) -> None:
        store.save("key", WHOLE)
        with opened(again()) as other:
            assert other.load("key") == WHOLE
            other.save("key", Token("newer"))
            assert store.load("key") == Token("newer")
            store.delete("key")
            assert other.load("key") is None

    def test_another_instance_is_excluded_by_the_lock(self, store: Store, again: Opener) -> None:
        with opened(again()) as other, store.lock("key", ENOUGH) as first:
            with pytest.raises(StoreLockError), other.lock("key", 0.1):
                pass
            with other.lock("another key", 0):
                pass
            store.save("key", Token("at"), fence=first)
        with opened(again()) as other, other.lock("key", ENOUGH) as second:
            assert second > first or (first, second) == (0, 0)

    def test_another_process_sees_what_was_saved(self, store: Store, again: Opener) -> None:
        store.save("key", WHOLE)
        with peer(processes.read, again) as reader:
            reader.tell("key")
            assert reader.hear() == WHOLE
            store.save("key", Token("newer"))
            reader.tell("key")
            assert reader.hear() == Token("newer")
            store.delete("key")
            reader.tell("key")
            assert reader.hear() is None

    def test_another_process_is_excluded_by_the_lock(self, store: Store, again: Opener) -> None:
        with peer(processes.hold, again) as holder:
            theirs = holder.hear()
            with pytest.raises(StoreLockError), store.lock("key", 0.2):
                pass
            holder.tell("let go")
            with store.lock("key", ENOUGH) as ours:
                assert ours > theirs or (ours, theirs) == (0, 0)
            assert holder.hear() == "let go"

    def test_no_change_made_under_the_lock_is_lost(self, store: Store, again: Opener) -> None:
        with peer(processes.count, again) as one, peer(processes.count, again) as two:
            for at_work in (one, two):
                at_work.tell(20)
            assert (one.hear(), two.hear()) == ("done", "done")
        assert store.load("key") == Token("40")

    def test_a_holder_that_is_killed_is_survived(self, store: Store, again: Opener) -> None:
        store.save("key", WHOLE)
        with peer(processes.hold, again) as holder:
            theirs = holder.hear()
            holder.kill()
            with store.lock("key", self.survived_within) as ours:
                assert ours > theirs or (ours, theirs) == (0, 0)
        assert store.load("key") == WHOLE

    def test_processes_that_write_at_once_never_tear_a_token(
        self, store: Store, again: Opener
    ) -> None:
        whole = [long_token(letter) for letter in "ab"]
        with peer(processes.write, again) as one, peer(processes.write, again) as two:
            for at_work, letter in ((one, "a"), (two, "b")):
                at_work.tell(letter)
            assert (one.hear(), two.hear()) == ("writing", "writing")
            for _ in range(100):
                assert store.load("key") in whole
            for at_work in (one, two):
                at_work.tell("enough")
            assert min(one.hear(), two.hear()) > 0
        assert store.load("key") in whole

    def test_a_writer_that_is_killed_leaves_a_whole_token(
        self, store: Store, again: Opener
    ) -> None:
        whole = [long_token(letter) for letter in "ab"]
        for letter in "ab":
            with peer(processes.write, again) as writer:
                writer.tell(letter)
                writer.hear()
                writer.kill()
            assert store.load("key") in whole
            store.save("key", whole[0])
            assert store.load("key") == whole[0]

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
    def test_a_record_that_cannot_be_read_is_no_token(
        self,
        store: Store,
        spoil: Callable[[str, bytes], None],
        caplog: pytest.LogCaptureFixture,
        data: bytes,
    ) -> None:
        store.save("key", WHOLE)
        store.save("other", Token("at of another"))
        spoil("key", data)
        found = refused = None
        try:
            found = store.load("key")
        except StoreUnreadableError as error:
            refused = error
        if refused is not None:
            assert MARK not in shown(refused)
        else:  # set aside, and that is warned of
            assert found is None
            assert [record.levelname for record in caplog.records] == ["WARNING"]
            assert MARK not in caplog.text
        assert store.load("other") == Token("at of another")
        # Whoever logs in anew is not held up by it.
        store.save("key", Token("new"))
        assert store.load("key") == Token("new")

    def test_a_record_of_a_later_version_is_left_as_it_is(
        self, store: Store, spoil: Callable[[str, bytes], None]
    ) -> None:
        store.save("key", WHOLE)
        spoil("key", encode_token(WHOLE).replace(b'"version":1', b'"version":2'))
        for _ in range(2):
            with pytest.raises(StoreUnreadableError, match="version") as newer:
                store.load("key")
            assert MARK not in shown(newer.value)
