"""Stores with one mistake each; see ``test_kits``."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest

from grantway import LeaseLostError, StoreLockError, Token, encode_token
from grantway.testing import StoreTests


class DictStore:
    """A correct store in memory. The broken ones change one method."""

    def __init__(self) -> None:
        self.tokens: dict[str, Token] = {}
        self.fences: dict[str, int] = defaultdict(int)
        self.latest: dict[str, int] = defaultdict(int)
        self.locks: dict[str, Any] = defaultdict(threading.Lock)

    def load(self, key: str) -> Token | None:
        return self.tokens.get(key)

    def save(self, key: str, token: Token, *, fence: int = 0) -> None:
        self.check(key, fence)
        self.tokens[key] = token

    def delete(self, key: str, *, fence: int = 0) -> None:
        self.check(key, fence)
        self.tokens.pop(key, None)

    def check(self, key: str, fence: int) -> None:
        """Reject the fence of an earlier holder."""
        if fence and fence < self.latest[key]:
            raise LeaseLostError("A later holder of the lock has changed the token.")
        self.latest[key] = max(fence, self.latest[key])

    def lock(self, key: str, timeout: float) -> AbstractContextManager[int]:
        return self.held(self.locks[key], key, timeout)

    @contextmanager
    def held(self, lock: Any, key: str, timeout: float) -> Iterator[int]:
        if not lock.acquire(timeout=min(timeout, threading.TIMEOUT_MAX)):
            raise StoreLockError(f"The key is in use for more than {timeout:g} s.")
        try:
            yield self.fence(key)
        finally:
            lock.release()

    def fence(self, key: str) -> int:
        self.fences[key] += 1
        return self.fences[key]


class Case(StoreTests):
    """The tests of one store. ``fails`` are the tests that find its mistake."""

    patience = 0.3
    fails: ClassVar[set[str]] = set()
    Kind: ClassVar[type[Any]] = DictStore

    @pytest.fixture
    def store(self) -> Any:
        return self.Kind()


class Correct(Case):
    patience = 30.0


class BrokenMissingKey(Case):
    class Kind(DictStore):
        def load(self, key: str) -> Token | None:
            return self.tokens[key]

    fails: ClassVar = {"test_an_unknown_key_gives_none"}


class BrokenFields(Case):
    class Kind(DictStore):
        def save(self, key: str, token: Token, *, fence: int = 0) -> None:
            super().save(key, Token(token.access_token, refresh_token=token.refresh_token))

    fails: ClassVar = {"test_loads_every_field_of_a_saved_token"}


class BrokenOverwrite(Case):
    class Kind(DictStore):
        def save(self, key: str, token: Token, *, fence: int = 0) -> None:
            self.tokens.setdefault(key, token)

    fails: ClassVar = {"test_a_save_replaces_the_previous_token"}


class BrokenFileNames(Case):
    class Kind(DictStore):
        def load(self, key: str) -> Token | None:
            return super().load(key.lower().strip()[:255])

        def save(self, key: str, token: Token, *, fence: int = 0) -> None:
            super().save(key.lower().strip()[:255], token, fence=fence)

    fails: ClassVar = {"test_keys_are_independent"}


class BrokenDelete(Case):
    class Kind(DictStore):
        def delete(self, key: str, *, fence: int = 0) -> None:
            del self.tokens[key]

    fails: ClassVar = {"test_deletes_only_the_given_key"}


class BrokenDeleteOfAll(Case):
    class Kind(DictStore):
        def delete(self, key: str, *, fence: int = 0) -> None:
            self.tokens.clear()

    fails: ClassVar = {"test_deletes_only_the_given_key"}


class BrokenExpiry(Case):
    """It loses the refresh token."""

    class Kind(DictStore):
        def load(self, key: str) -> Token | None:
            token = super().load(key)
            return None if token is None or token.expired() else token

    fails: ClassVar = {"test_keeps_an_expired_token_that_has_a_refresh_token"}


class BrokenReplacement(Case):
    """It removes the previous token before it saves the next one."""

    class Kind(DictStore):
        def save(self, key: str, token: Token, *, fence: int = 0) -> None:
            self.tokens.pop(key, None)
            time.sleep(0.001)
            super().save(key, token)

    fails: ClassVar = {"test_threads_read_complete_tokens"}


class BrokenRepr(Case):
    @dataclass
    class Kind(DictStore):
        records: dict[str, bytes] = field(default_factory=dict)

        def save(self, key: str, token: Token, *, fence: int = 0) -> None:
            self.records[key] = encode_token(token)

    fails: ClassVar = {"test_repr_and_str_contain_no_secret"}


class BrokenExclusion(Case):
    class Kind(DictStore):
        @contextmanager
        def lock(self, key: str, timeout: float) -> Iterator[int]:
            yield self.fence(key)

        def save(self, key: str, token: Token, *, fence: int = 0) -> None:
            time.sleep(0.001)
            super().save(key, token, fence=fence)

    fails: ClassVar = {
        "test_the_lock_excludes_threads",
        "test_the_lock_is_not_reentrant",
        "test_the_lock_times_out",
        "test_a_waiting_thread_gets_the_released_lock",
    }


class BrokenOneLock(Case):
    class Kind(DictStore):
        def lock(self, key: str, timeout: float) -> AbstractContextManager[int]:
            return self.held(self.locks[""], key, timeout)

    fails: ClassVar = {"test_keys_do_not_wait_for_each_other"}


class BrokenPolling(Case):
    """It never tries to acquire the lock if the timeout is 0."""

    class Kind(DictStore):
        @contextmanager
        def lock(self, key: str, timeout: float) -> Iterator[int]:
            until = time.monotonic() + timeout
            while time.monotonic() < until:
                with self.held(self.locks[key], key, 0) as fence:
                    yield fence
                    return
            raise StoreLockError("The key is in use.")

    fails: ClassVar = {"test_a_free_lock_needs_no_wait", "test_keys_do_not_wait_for_each_other"}


class BrokenInfinity(Case):
    class Kind(DictStore):
        @contextmanager
        def lock(self, key: str, timeout: float) -> Iterator[int]:
            self.locks[key].acquire(timeout=timeout)
            yield 0

    fails: ClassVar = {"test_a_free_lock_is_acquired_without_a_time_limit"}


class BrokenTimeout(Case):
    class Kind(DictStore):
        def lock(self, key: str, timeout: float) -> AbstractContextManager[int]:
            return self.held(self.locks[key], key, threading.TIMEOUT_MAX)

    fails: ClassVar = {"test_the_lock_times_out"}


class BrokenTimeoutError(Case):
    class Kind(DictStore):
        @contextmanager
        def held(self, lock: Any, key: str, timeout: float) -> Iterator[int]:
            if not lock.acquire(timeout=timeout):
                raise TimeoutError
            try:
                yield self.fence(key)
            finally:
                lock.release()

    fails: ClassVar = {"test_the_lock_times_out", "test_the_lock_is_not_reentrant"}


class BrokenReentrantLock(Case):
    class Kind(DictStore):
        def __init__(self) -> None:
            super().__init__()
            self.locks = defaultdict(threading.RLock)

    fails: ClassVar = {"test_the_lock_is_not_reentrant"}


class BrokenImpatience(Case):
    class Kind(DictStore):
        def lock(self, key: str, timeout: float) -> AbstractContextManager[int]:
            return self.held(self.locks[key], key, 0)

    fails: ClassVar = {"test_a_waiting_thread_gets_the_released_lock", "test_the_lock_times_out"}


class BrokenRelease(Case):
    """It keeps the lock if the block raises."""

    class Kind(DictStore):
        @contextmanager
        def held(self, lock: Any, key: str, timeout: float) -> Iterator[int]:
            if not lock.acquire(timeout=timeout):
                raise StoreLockError("The key is in use.")
            yield self.fence(key)
            lock.release()

    fails: ClassVar = {"test_an_error_in_the_block_releases_the_lock"}


class BrokenMutex(Case):
    """Its methods acquire the lock that a holder already has."""

    class Kind(DictStore):
        def save(self, key: str, token: Token, *, fence: int = 0) -> None:
            with self.locks[key]:
                super().save(key, token, fence=fence)

    fails: ClassVar = {"test_the_lock_does_not_block_loads_saves_and_deletes"}


class BrokenFence(Case):
    """Deleting a token resets its fence."""

    class Kind(DictStore):
        def delete(self, key: str, *, fence: int = 0) -> None:
            super().delete(key, fence=fence)
            self.fences.pop(key, None)
            self.latest.pop(key, None)

    fails: ClassVar = {"test_the_fence_increases_with_each_holder_or_is_0"}


class BrokenSecondSave(Case):
    """It accepts each fence only once."""

    class Kind(DictStore):
        def check(self, key: str, fence: int) -> None:
            super().check(key, fence)
            self.latest[key] = fence + 1

    fails: ClassVar = {"test_the_holder_saves_and_deletes_with_its_fence"}


class BrokenIgnoredFence(Case):
    class Kind(DictStore):
        def check(self, key: str, fence: int) -> None:
            """Accept every fence."""

    fails: ClassVar = {
        "test_rejects_a_stale_fence_after_a_later_save",
        "test_rejects_a_stale_fence_after_a_later_delete",
    }


class BrokenFenceError(Case):
    """Its error shows the token."""

    class Kind(DictStore):
        def save(self, key: str, token: Token, *, fence: int = 0) -> None:
            if fence < self.latest[key]:
                raise LeaseLostError(f"{encode_token(token)!r} comes too late.")
            super().save(key, token, fence=fence)

    fails: ClassVar = {"test_rejects_a_stale_fence_after_a_later_save"}


class BrokenRequiredFence(Case):
    class Kind(DictStore):
        def check(self, key: str, fence: int) -> None:
            if fence < self.latest[key]:
                raise LeaseLostError("A later holder of the lock has changed the token.")
            self.latest[key] = fence

    fails: ClassVar = {"test_saves_and_deletes_without_a_fence"}
