"""A secret source is read once for all callers, and its result is cached while it is valid."""

from __future__ import annotations

import copy
import os
import pickle
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import pytest

import grantway
from grantway import ConfigurationError, Secret, SecretUnavailableError
from grantway._requests.cached_source import CachedSource
from tests.waiting import PATIENCE

VALUE = "s3cr3t-of-the-vault"


class Vault:
    """A source that counts its reads. ``answers`` are values, secrets, or errors to raise."""

    def __init__(self, *answers: Any) -> None:
        self.answers: Iterator[Any] = iter(answers)
        self.reads = 0

    def read(self) -> Secret:
        self.reads += 1
        answer = next(self.answers)
        if isinstance(answer, BaseException):
            raise answer
        return Secret(answer) if isinstance(answer, str) else answer


class Versioned(Vault):
    """A source with a version."""

    current = 1

    def version(self) -> int:
        return self.current


@pytest.fixture(autouse=True)
def short_lived(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let secrets expire at once; otherwise each is used for a second at least."""
    monkeypatch.setattr("grantway._requests.cached_source._LEAST", 0.0)


def cached(source: Any) -> CachedSource:
    return CachedSource(source, "the vault")


def test_keeps_a_secret_that_does_not_expire() -> None:
    vault = Vault("one")
    source = cached(vault)
    assert [source.read().value for _ in range(3)] == ["one", "one", "one"]
    assert vault.reads == 1


def test_reads_again_before_the_secret_expires() -> None:
    soon, later = time.time() + 5, time.time() + 60
    source = cached(Vault(Secret("old", expires_at=soon), Secret("new", expires_at=later)))
    assert [source.read().value for _ in range(3)] == ["old", "new", "new"]


@pytest.mark.parametrize(("wall", "monotonic"), [(100, 1), (-1000, 100)])
def test_reads_again_if_either_clock_says_so(
    wall: float, monotonic: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine slept, or its clock was set back."""
    now, ticks = time.time(), time.monotonic()
    source = cached(Vault(Secret("old", expires_at=now + 60), Secret("new")))
    assert source.read().value == "old"
    monkeypatch.setattr("time.time", lambda: now + wall)
    monkeypatch.setattr("time.monotonic", lambda: ticks + monotonic)
    assert source.read().value == "new"


def test_reads_again_when_the_version_changes() -> None:
    vault = Versioned("one", "two")
    source = cached(vault)
    assert [source.read().value, source.read().value] == ["one", "one"]
    vault.current = 2
    assert [source.read().value, source.read().value] == ["two", "two"]


@pytest.mark.parametrize("error", [ValueError(VALUE), SystemExit(VALUE)])
def test_a_version_that_fails_reads_once(error: BaseException) -> None:
    """Otherwise each use would read, and block the event loop of an asynchronous caller."""

    class Failing(Vault):
        def version(self) -> object:
            raise error

    vault = Failing("one")
    source = cached(vault)
    assert [source.read().value for _ in range(3)] == ["one", "one", "one"]
    assert vault.reads == 1


def test_reads_again_after_a_change_during_a_read() -> None:
    class Changing(Versioned):
        def read(self) -> Secret:
            found = super().read()
            self.current += self.reads == 1
            return found

    source = cached(Changing("torn", "whole"))
    assert [source.read().value for _ in range(3)] == ["torn", "whole", "whole"]


def test_a_rejected_secret_is_read_again_once() -> None:
    vault = Vault("one", "two")
    source = cached(vault)
    source.reject(source.read().value)
    assert [source.read().value, source.read().value] == ["two", "two"]
    source.reject("one")  # rejected late, by another call
    assert source.read().value == "two"
    assert vault.reads == 2


def test_threads_share_one_read() -> None:
    begun, go_on = threading.Event(), threading.Event()

    class Slow(Vault):
        def read(self) -> Secret:
            begun.set()
            assert go_on.wait(PATIENCE)
            return super().read()

    vault = Slow("one")
    source = cached(vault)
    futures: list[Future[Secret]] = [source.begin()]
    assert begun.wait(PATIENCE)
    futures += [source.begin() for _ in range(20)]
    go_on.set()
    assert {each.result(PATIENCE).value for each in futures} == {"one"}
    assert vault.reads == 1


def test_a_caller_that_is_late_for_a_read_uses_its_result() -> None:
    vault = Vault("one")
    source = cached(vault)
    source.read()
    assert source.begin().result(PATIENCE).value == "one"
    assert vault.reads == 1


def test_a_failed_read_is_not_cached() -> None:
    source = cached(Vault(SecretUnavailableError("no entry; add one"), "two"))
    with pytest.raises(SecretUnavailableError) as caught:
        source.read()
    assert str(caught.value) == "the vault cannot be read: no entry; add one"
    assert source.read().value == "two"


def test_keeps_a_valid_secret_while_the_source_fails(caplog: pytest.LogCaptureFixture) -> None:
    vault = Versioned("one", SecretUnavailableError("gone for now"), "two")
    source = cached(vault)
    source.read()
    vault.current = 2
    assert [source.read().value, source.read().value] == ["one", "two"]
    expected = "Keeping the last secret: the vault cannot be read: gone for now"
    assert [each.getMessage() for each in caplog.records] == [expected]


def test_an_expired_secret_is_not_used_while_the_source_fails() -> None:
    past = time.time() - 1
    source = cached(Vault(Secret("old", expires_at=past), SecretUnavailableError("sealed")))
    assert source.read().value == "old"
    with pytest.raises(SecretUnavailableError, match="sealed"):
        source.read()


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (ValueError(f"cannot parse {VALUE}"), "it raised ValueError"),
        (None, "its read returned None; it must return a grantway.Secret"),
        ({"value": VALUE}, "its read returned a dict; it must return a grantway.Secret"),
    ],
)
def test_the_error_of_a_broken_source_shows_no_value(answer: object, problem: str) -> None:
    with pytest.raises(SecretUnavailableError) as caught:
        cached(Vault(answer)).read()
    assert str(caught.value) == f"the vault cannot be read: {problem}"


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_process_does_not_wait_for_a_read_of_its_parent() -> None:
    begun, go_on = threading.Event(), threading.Event()

    class Slow(Vault):
        def read(self) -> Secret:
            if not begun.is_set():
                begun.set()
                assert go_on.wait(PATIENCE)
            return Secret("one")

    source = cached(Slow())
    reading = source.begin()
    try:
        assert begun.wait(PATIENCE)
        child = os.fork()
        if child == 0:
            os._exit(0 if source.read().value == "one" else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        go_on.set()
        reading.result(PATIENCE)


# --- Secret -------------------------------------------------------------------------------------


@pytest.mark.parametrize("show", [repr, str, "{}".format])
def test_a_secret_is_never_shown(show: Callable[[object], str]) -> None:
    assert VALUE not in show(Secret(VALUE))
    assert VALUE not in show(cached(Vault(VALUE)))


def test_a_secret_is_not_pickled() -> None:
    secret, source = Secret(VALUE), cached(Vault(VALUE))
    assert copy.deepcopy(secret) is secret
    assert copy.copy(source) is source
    with pytest.raises(TypeError, match="read its source in the process that uses it"):
        pickle.dumps(secret)
    with pytest.raises(TypeError, match="create the source in the process that uses it"):
        pickle.dumps(source)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"value": ""}, "Secret.value: must be a non-empty string."),
        ({"value": b"bytes"}, "Secret.value: must be a non-empty string."),
        ({"expires_at": "soon"}, "Secret.expires_at: must be a Unix time in seconds, or None."),
        ({"expires_at": True}, "Secret.expires_at: must be a Unix time in seconds, or None."),
        ({"expires_at": float("nan")}, "Secret.expires_at: must be a Unix time in seconds, or"),
    ],
)
def test_an_invalid_secret_is_rejected(arguments: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Secret(**{"value": VALUE, **arguments})
    assert str(caught.value).startswith(problem)


# --- Registry -----------------------------------------------------------------------------------


class Plugin:
    """Registers one source."""

    def __init__(self, factory: object) -> None:
        self.factory = factory

    @grantway.hookimpl
    def grantway_register_secret_sources(self) -> dict[str, Any]:
        return {"vault": self.factory}


def registry(factory: object) -> grantway.Registry:
    return grantway.build_registry({"acme": Plugin(factory)}, entry_points=False, strict=True)


def test_a_registered_source_is_created_by_name() -> None:
    source = registry(Vault).secret_source("vault")
    assert repr(source) == ("CachedSource(the secret source 'vault' (plugin acme of application))")
    made = registry(lambda *, path: Vault(path)).secret_source("vault", path="one")
    assert made.read().value == "one"


def test_a_source_may_be_registered_by_reference() -> None:
    found = registry(f"{__name__}:Vault")
    assert found.secret_sources["vault"] is Vault


def test_an_unknown_source_lists_the_registered_ones() -> None:
    with pytest.raises(ConfigurationError) as caught:
        registry(Vault).secret_source("valut")
    assert str(caught.value) == "secret source: 'valut' is not registered; use vault."


class Late:
    """A source with an asynchronous method."""

    async def read(self) -> Secret:
        return Secret("one")


@pytest.mark.parametrize(
    ("made", "problem"),
    [
        (None, "is None"),
        (Vault, "is a type"),
        (VALUE, "has no method read"),
        (Late(), "has an asynchronous method read, and grantway calls it in a thread"),
    ],
)
def test_rejects_an_object_that_is_no_source(made: object, problem: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        registry(lambda: made).secret_source("vault")
    assert str(caught.value) == (
        "secret source: the object that the plugin acme of application creates for 'vault' "
        f"{problem}."
    )
