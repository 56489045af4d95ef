"""What a resource reports about its issuers and its verifications."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from grantway._exceptions import ConfigurationError
from grantway_plugins._jose import cached_keys
from grantway_plugins.resource import (
    AcceptedIssuer,
    ProtectedResource,
    Requirement,
    VerificationUnavailableError,
    _introspection,
)
from grantway_plugins.testing import WorkloadIssuer
from tests.plugins.resource.conftest import API, AT_JWT, Clock, asked, denial
from tests.waiting import until


class Seen:
    """An observer that keeps what it receives."""

    def __init__(self) -> None:
        self.results: list[tuple[str, str]] = []
        self.requests: list[tuple[str, str, str]] = []

    def verified(self, issuer: str, result: str) -> None:
        self.results.append((issuer, result))

    def asked(self, issuer: str, subject: str, result: str) -> None:
        self.requests.append((issuer, subject, result))


@pytest.fixture
def own() -> Iterator[WorkloadIssuer]:
    with WorkloadIssuer() as running:
        yield running


def test_each_request_has_one_result(own: WorkloadIssuer, clock: Clock) -> None:
    seen = Seen()
    resource = ProtectedResource(API, [AcceptedIssuer(own.url)], observer=seen, clock=clock)
    good = own.token("ann", API, header=AT_JWT, scope="read")
    for _ in range(2):
        resource.verify(asked(f"Bearer {good}"))
    denial(resource, asked(f"Bearer {good}"), Requirement(scopes=("write",)))
    for _ in range(2):  # the second time from the cache
        denial(resource, asked(f"Bearer {good}x"))
    foreign = own.token("ann", API, header=AT_JWT, iss="https://elsewhere.example")
    denial(resource, asked(f"Bearer {foreign}"))
    denial(resource, asked())
    assert seen.results == [
        (own.url, "accepted"),
        (own.url, "cached"),
        (own.url, "forbidden"),
        (own.url, "rejected"),
        (own.url, "rejected"),
        ("", "rejected"),
        ("", "missing"),
    ]
    assert seen.requests == [(own.url, "keys", "ok")]


def test_the_state_of_keys_is_known_without_waiting(
    own: WorkloadIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asking for it starts a read, but no more than one in the pause."""
    seen = Seen()
    usual, own.metadata = own.metadata, dict  # type: ignore[method-assign]
    resource = ProtectedResource(API, [AcceptedIssuer(own.url)], observer=seen)
    failing = until(lambda: resource.status()[own.url], lambda found: found.since)
    assert not failing.available
    assert "names no issuer" in failing.problem
    with pytest.raises(VerificationUnavailableError) as caught:
        resource.verify(asked(f"Bearer {own.token('ann', API, header=AT_JWT)}"))
    assert caught.value.issuer == own.url
    for _ in range(100):
        assert resource.status()[own.url] == failing
    assert seen.requests == [(own.url, "keys", "failed")]
    assert seen.results == [(own.url, "unavailable")]
    own.metadata = usual  # type: ignore[method-assign]
    monkeypatch.setattr(cached_keys, "PAUSE", 0.0)
    recovered = until(lambda: resource.status()[own.url], lambda found: found.available)
    assert (recovered.problem, recovered.since) == ("", 0.0)


def test_keys_remain_valid_for_a_while_if_they_cannot_be_read_again(
    own: WorkloadIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    resource = ProtectedResource(API, [AcceptedIssuer(own.url)])
    assert resource.problems() == {}
    monkeypatch.setattr(cached_keys, "PAUSE", 0.0)
    monkeypatch.setattr(cached_keys, "REFRESH_AFTER", 0.0)
    monkeypatch.setattr(own, "metadata", dict)
    stale = until(lambda: resource.status()[own.url], lambda found: found.problem)
    assert stale.available
    monkeypatch.setattr(cached_keys, "EXPIRE_AFTER", 0.0)
    assert not resource.status()[own.url].available


def test_the_state_of_introspection(monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure counts for a while only: without requests, nothing would show the recovery."""
    attempts = []

    def create() -> None:
        attempts.append(1)
        raise ConfigurationError("there is no endpoint.")

    seen = Seen()
    issuer = AcceptedIssuer("https://login.example.com", introspection=create)  # type: ignore[arg-type]
    resource = ProtectedResource(API, [issuer], observer=seen)
    found = until(lambda: resource.status()[issuer.issuer], lambda status: status.since)
    assert (found.available, found.problem) == (False, "there is no endpoint")
    with pytest.raises(VerificationUnavailableError):
        resource.verify(asked("Bearer opaque"))
    assert seen.requests == [(issuer.issuer, "token", "failed")]
    assert len(attempts) == 1
    assert not resource.status()[issuer.issuer].available
    monkeypatch.setattr(_introspection, "FAILING", 0.0)
    assert not resource.status()[issuer.issuer].available  # there is still no client
    resource.close()
