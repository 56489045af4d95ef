"""Test classes for every secret source."""

from __future__ import annotations

import itertools
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from grantway._exceptions import SecretUnavailableError
from grantway._types.secret_source import Secret, SecretSource, problem_of


class SecretSourceTests:
    """Tests for every secret source.

    Inherit it, and define two fixtures: ``source``, which has a secret of at least eight
    characters, and ``unavailable``, a source whose secret does not exist. A source with
    ``single_use = True`` must return another secret each time instead of the same one.

    ::

        class TestVaultSecret(SecretSourceTests):
            @pytest.fixture
            def source(self, vault):
                vault.write("app", "s3cr3t-of-app")
                return VaultSecret(path="app")

            @pytest.fixture
            def unavailable(self, vault):
                return VaultSecret(path="missing")
    """

    def test_is_accepted(self, source: SecretSource, unavailable: SecretSource) -> None:
        assert problem_of(source) == problem_of(unavailable) == ""

    def test_returns_the_same_secret_each_time(self, source: SecretSource) -> None:
        first = source.read()
        assert isinstance(first, Secret)
        assert (source.read().value != first.value) is _single_use(source)

    def test_threads_may_read_at_once(self, source: SecretSource) -> None:
        with ThreadPoolExecutor(4) as threads:
            found = list(threads.map(lambda _: source.read().value, range(8)))
        assert len({*found, source.read().value}) == (9 if _single_use(source) else 1)

    def test_shows_no_secret(self, source: SecretSource) -> None:
        assert source.read().value not in f"{source!r} {source}"

    def test_a_missing_secret_is_an_error_with_a_remedy(self, unavailable: SecretSource) -> None:
        with pytest.raises(SecretUnavailableError) as caught:
            unavailable.read()
        assert len(caught.value.message.split()) > 3

    def test_a_version_is_available_without_a_secret(self, unavailable: SecretSource) -> None:
        version = getattr(unavailable, "version", None)
        assert version is None or version() == version()


class ChangingSecretSourceTests(SecretSourceTests):
    """Further tests for a source with ``version()``.

    Also define the fixture ``change``, a function that replaces the secret of ``source``. With
    None, it removes the secret.
    """

    def test_the_version_of_an_unchanged_secret_is_the_same(self, source: SecretSource) -> None:
        assert _version(source) == _version(source)

    def test_a_change_changes_the_version(
        self, source: SecretSource, change: Callable[[str | None], None]
    ) -> None:
        versions = [_version(source)]
        for value in ("changed-once", "changed-twice"):
            change(value)
            assert source.read().value == value
            versions.append(_version(source))
        assert all(a != b for a, b in itertools.pairwise(versions))

    def test_a_removed_secret_is_noticed(
        self, source: SecretSource, change: Callable[[str | None], None]
    ) -> None:
        before, value = _version(source), source.read().value
        change(None)
        assert _version(source) != before
        with pytest.raises(SecretUnavailableError) as caught:
            source.read()
        assert value not in "".join(traceback.format_exception(caught.value))


def _single_use(source: SecretSource) -> bool:
    return getattr(source, "single_use", False) is True


def _version(source: SecretSource) -> object:
    version: Callable[[], object] = source.version  # type: ignore[attr-defined]
    return version()
