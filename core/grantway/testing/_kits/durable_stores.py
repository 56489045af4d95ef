"""Test classes for stores whose tokens survive the process."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from grantway._credentials.token_format import encode_token
from grantway._exceptions import StoreLockError, StoreUnreadableError
from grantway._types.store import Store
from grantway._types.token import Token

from . import peers
from .processes import Opener, opened, peer
from .shown import ShownErrors
from .stores import MARK, WHOLE


class RecordTests(ShownErrors):
    """Tests for stores that survive the process, without other processes.

    Inherit it together with ``StoreTests``, and define two more fixtures. ``reopen`` is a callable
    that opens the store of this test again, such as ``functools.partial(MyStore, tmp_path)``; other
    processes call it, so it must be picklable. ``corrupt`` is a function of a key and bytes that
    writes these bytes over the key's record, which is otherwise ``grantway.encode_token(token)``. A
    store that needs closing has a ``close`` method.

    Attributes:
        patience: Seconds to wait for a lock that is free or about to be released.
    """

    patience = 30.0

    def test_another_instance_sees_saves_and_deletes(self, store: Store, reopen: Opener) -> None:
        store.save("key", WHOLE)
        with opened(reopen()) as other:
            assert other.load("key") == WHOLE
            other.save("key", Token("newer"))
            assert store.load("key") == Token("newer")
            store.delete("key")
            assert other.load("key") is None

    def test_the_lock_excludes_another_instance(self, store: Store, reopen: Opener) -> None:
        with opened(reopen()) as other, store.lock("key", self.patience) as first:
            with pytest.raises(StoreLockError), other.lock("key", 0.1):
                pass
            with other.lock("another key", 0):
                pass
            store.save("key", Token("at"), fence=first)
        with opened(reopen()) as other, other.lock("key", self.patience) as second:
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
            assert MARK not in self.shown(failure)
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
            assert MARK not in self.shown(newer.value)


class DurableStoreTests(RecordTests):
    """Tests for stores that survive the process, with other processes.

    Inherit it together with ``StoreTests``. It uses the fixtures of ``RecordTests``.

    Attributes:
        released_within: Seconds until the lock of a killed holder is free.
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
        with peer(peers.read, reopen) as reader:
            reader.send("key")
            assert reader.receive() == WHOLE
            store.save("key", Token("newer"))
            reader.send("key")
            assert reader.receive() == Token("newer")
            store.delete("key")
            reader.send("key")
            assert reader.receive() is None

    def test_the_lock_excludes_another_process(self, store: Store, reopen: Opener) -> None:
        with peer(peers.hold, reopen) as holder:
            theirs = holder.receive()
            with pytest.raises(StoreLockError), store.lock("key", 0.2):
                pass
            holder.send("release")
            with store.lock("key", self.patience) as ours:
                assert ours > theirs or (ours, theirs) == (0, 0)
            assert holder.receive() == "released"

    def test_no_update_made_under_the_lock_is_lost(
        self, store: Store, reopen_for_turns: Opener
    ) -> None:
        with (
            peer(peers.count, reopen_for_turns) as one,
            peer(peers.count, reopen_for_turns) as two,
        ):
            for process in (one, two):
                process.send(20)
            assert (one.receive(), two.receive()) == ("done", "done")
        assert store.load("key") == Token("40")

    def test_the_lock_of_a_killed_holder_becomes_free(self, store: Store, reopen: Opener) -> None:
        store.save("key", WHOLE)
        with peer(peers.hold, reopen) as holder:
            theirs = holder.receive()
            holder.kill()
            with store.lock("key", self.released_within) as ours:
                assert ours > theirs or (ours, theirs) == (0, 0)
        assert store.load("key") == WHOLE

    def test_concurrent_writers_never_mix_tokens(self, store: Store, reopen: Opener) -> None:
        whole = [peers.long_token(letter) for letter in "ab"]
        with (
            peer(peers.write, reopen) as one,
            peer(peers.write, reopen) as two,
        ):
            for process, letter in ((one, "a"), (two, "b")):
                process.send(letter)
            assert (one.receive(), two.receive()) == ("writing", "writing")
            end = time.monotonic() + 3.0  # the writers may keep a lock busy
            for _ in range(100):
                assert store.load("key") in whole
                if time.monotonic() > end:
                    break
            for process in (one, two):
                process.send("stop")
            assert min(one.receive(), two.receive()) > 0
        assert store.load("key") in whole

    def test_a_killed_writer_leaves_a_complete_token(self, store: Store, reopen: Opener) -> None:
        whole = [peers.long_token(letter) for letter in "ab"]
        for letter, moment in (("a", 0.0), ("b", 0.005)):
            with peer(peers.write, reopen) as writer:
                writer.send(letter)
                writer.receive()
                time.sleep(moment)
                writer.kill()
            assert store.load("key") in whole
            store.save("key", whole[0])
            assert store.load("key") == whole[0]
