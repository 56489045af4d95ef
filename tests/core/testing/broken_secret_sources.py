"""Secret sources with one mistake each; see ``test_kits``."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from typing import Any, ClassVar

import pytest

from grantway import Secret, SecretUnavailableError
from grantway.testing import ChangingSecretSourceTests

SECRET = "s3cr3t-of-the-app"


class VaultSecret:
    """A correct source. The broken ones change one method."""

    def __init__(self, value: str | None = SECRET) -> None:
        self.held = [value]

    def read(self) -> Any:
        if self.held[-1] is None:
            raise SecretUnavailableError("The vault has no secret; write one.")
        return Secret(self.held[-1])

    def version(self) -> Any:
        return len(self.held)

    def __repr__(self) -> str:
        return "VaultSecret()"


class Case(ChangingSecretSourceTests):
    """The tests of one source. ``fails`` are the tests that find its mistake."""

    fails: ClassVar[set[str]] = set()
    Kind: ClassVar[type[VaultSecret]] = VaultSecret

    @pytest.fixture
    def source(self) -> VaultSecret:
        return self.Kind()

    @pytest.fixture
    def unavailable(self) -> VaultSecret:
        return self.Kind(None)

    @pytest.fixture
    def change(self, source: VaultSecret) -> Callable[[str | None], None]:
        return source.held.append


class Correct(Case):
    """A correct source, to show that the tests pass."""


class BrokenAsync(Case):
    class Kind(VaultSecret):
        async def read(self) -> Secret:
            return Secret(SECRET)

    fails: ClassVar = {"test_is_accepted"}


class BrokenOnce(Case):
    """Each read returns another secret."""

    class Kind(VaultSecret):
        numbers = itertools.count()

        def read(self) -> Any:
            return Secret(f"{SECRET}-{next(self.numbers)}")

    fails: ClassVar = {"test_returns_the_same_secret_each_time"}


class BrokenThreads(Case):
    """It works only in the thread that created it."""

    class Kind(VaultSecret):
        def __init__(self, value: str | None = SECRET) -> None:
            super().__init__(value)
            self.here = threading.local()
            self.here.value = value

        def read(self) -> Any:
            return Secret(self.here.value)

    fails: ClassVar = {"test_threads_may_read_at_once"}


class BrokenRepr(Case):
    class Kind(VaultSecret):
        def __repr__(self) -> str:
            return f"VaultSecret({self.held})"

    fails: ClassVar = {"test_shows_no_secret"}


class BrokenError(Case):
    """Its error gives no remedy."""

    class Kind(VaultSecret):
        def read(self) -> Any:
            raise SecretUnavailableError("missing")

    fails: ClassVar = {"test_a_missing_secret_is_an_error_with_a_remedy"}


class BrokenVersion(Case):
    """Its version is the time."""

    class Kind(VaultSecret):
        numbers = itertools.count()

        def version(self) -> Any:
            return next(self.numbers)

    fails: ClassVar = {
        "test_a_version_is_available_without_a_secret",
        "test_the_version_of_an_unchanged_secret_is_the_same",
    }


class BrokenChange(Case):
    """Its version is always the same."""

    class Kind(VaultSecret):
        def version(self) -> Any:
            return 1

    fails: ClassVar = {"test_a_change_changes_the_version", "test_a_removed_secret_is_noticed"}


class BrokenMessage(Case):
    """Its error shows an earlier secret."""

    class Kind(VaultSecret):
        def read(self) -> Any:
            if self.held[-1] is None:
                raise SecretUnavailableError(f"The vault has only {self.held[0]}; write one.")
            return super().read()

    fails: ClassVar = {"test_a_removed_secret_is_noticed"}
