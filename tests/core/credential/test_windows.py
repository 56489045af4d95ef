"""Refresh windows: when a refresh starts, and which callers wait for it."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from grantway import Freshness, Token, default_registry
from grantway._exceptions import ConfigurationError
from grantway._transport.deadline import Deadline
from tests.core.credential.conftest import Start
from tests.core.credential.scenes import (
    PATIENCE,
    SECRET,
    Clock,
    Gate,
    issue,
    run_together,
    token,
    wait_for_refreshes,
)

EXACT = Freshness(jitter=0)


def test_requests_the_first_token_once_and_sends_nothing_while_it_is_fresh(start: Start) -> None:
    client, server = start(issue())
    credential = client.credential(**SECRET)
    assert [credential.fresh, len(server.requests)] == [False, 0]
    tokens = [credential.token() for _ in range(100)]
    assert {each.access_token for each in tokens} == {"at-1"}
    assert credential.fresh
    assert len(server.requests) == 1


def test_refreshes_in_the_background_in_the_advisory_window(start: Start, clock: Clock) -> None:
    gate = Gate()
    client, server = start(issue(), gate)
    credential = client.credential(**SECRET, freshness=EXACT)
    credential.token()
    clock.step(3600 - 299)
    found = run_together([credential.token] * 32)
    gate.wait()
    found += [credential.token() for _ in range(100)]
    assert {each.access_token for each in found} == {"at-1"}
    gate.opened.set()
    wait_for_refreshes()
    assert credential.token().access_token == "at-2"
    assert len(server.requests) == 2


def test_sends_nothing_before_the_advisory_window(start: Start, clock: Clock) -> None:
    client, server = start(issue())
    credential = client.credential(**SECRET, freshness=EXACT)
    credential.token()
    clock.step(3600 - 301)
    assert credential.token().access_token == "at-1"
    wait_for_refreshes()
    assert len(server.requests) == 1


def test_all_callers_wait_for_one_request_in_the_mandatory_window(
    start: Start, clock: Clock
) -> None:
    gate = Gate()
    client, server = start(issue(), gate)
    credential = client.credential(**SECRET, freshness=EXACT)
    credential.token()
    clock.step(3600 - 29)
    with ThreadPoolExecutor(16) as threads:
        waiting = [threads.submit(credential.token) for _ in range(16)]
        gate.wait()
        assert not any(each.done() for each in waiting)
        gate.opened.set()
        assert {each.result(PATIENCE).access_token for each in waiting} == {"at-2"}
    assert len(server.requests) == 2


def test_concurrent_calls_at_expiry_cause_one_refresh(start: Start, clock: Clock) -> None:
    """A thread that saw the expired token must not refresh the new one."""
    client, server = start(issue())
    credential = client.credential(**SECRET, freshness=EXACT)
    credential.token()
    for rounds in range(1, 21):
        clock.step(3600)
        found = run_together([credential.token] * 32)
        assert {each.access_token for each in found} == {f"at-{rounds + 1}"}
        assert len(server.requests) == rounds + 1


def test_a_late_thread_uses_the_token_that_was_refreshed_meanwhile(
    start: Start, clock: Clock
) -> None:
    client, server = start(issue())
    credential = client.credential(**SECRET, freshness=EXACT)
    credential.token()
    clock.step(3600)
    new = credential.token()
    # Continue like a thread that saw the old token and was suspended during the refresh.
    step, _ = credential._step(Deadline(PATIENCE))
    wait_for_refreshes()
    assert step is new
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("lifetime", "advisory", "mandatory"),
    [(36_000, 300, 30), (1200, 300, 30), (300, 75, 30), (60, 15, 6), (1, 0.25, 0.1), (0, 0, 0)],
)
def test_short_lived_tokens_have_shorter_windows(
    lifetime: int, advisory: float, mandatory: float, clock: Clock
) -> None:
    given = Token("at", expires_in=lifetime, expires_at=time.time() + lifetime)
    refresh, end = EXACT.time_left(given)
    assert refresh == pytest.approx(lifetime - advisory, abs=0.5)
    assert end == pytest.approx(lifetime - mandatory, abs=0.5)


def test_jitter_spreads_refreshes_of_tokens_that_expire_together() -> None:
    given = token(1)
    spread = [Freshness(jitter=0.5).time_left(given, position / 100)[0] for position in range(101)]
    assert spread == sorted(spread)
    # Half of the 270 s between the start of the advisory window and of the mandatory window.
    assert spread[-1] - spread[0] == pytest.approx(135, abs=1)
    assert {round(Freshness(jitter=0.5).time_left(given, position)[1]) for position in (0, 1)} == {
        3570
    }


def test_credentials_do_not_all_refresh_at_the_same_time(start: Start, clock: Clock) -> None:
    client, _ = start(issue())
    credentials = [client.credential(**SECRET, subject=str(each)) for each in range(200)]
    given = token(1)
    for credential in credentials:
        credential.accept(given)
    shares = []
    # Half a minute before the windows start, so that a slow machine does not miss the start.
    clock.step(3270)
    for _ in range(33):
        shares.append(sum(each.fresh for each in credentials))
        clock.step(5)
    assert shares[0] == 200
    assert shares[-1] < 30
    assert 50 < shares[19] < 150


def test_dialects_have_their_own_windows(start: Start) -> None:
    registry = default_registry()
    aws = registry.dialects["aws-sso-oidc"].freshness
    assert (aws.advisory, aws.mandatory) == (900, 600)
    client, _ = start(issue())
    assert client.dialect.freshness == Freshness() == Freshness(300, 30, 0.5)


def test_the_windows_of_the_call_replace_those_of_the_dialect(start: Start, clock: Clock) -> None:
    client, server = start(issue())
    credential = client.credential(**SECRET, freshness=Freshness(5, 0, jitter=0))
    credential.token()
    clock.step(3594)
    assert credential.token().access_token == "at-1"
    wait_for_refreshes()
    assert len(server.requests) == 1


def test_does_not_refresh_a_token_without_a_lifetime(start: Start, clock: Clock) -> None:
    client, server = start(issue(expires_in=None))
    credential = client.credential(**SECRET)
    credential.token()
    clock.step(10 * 365 * 86_400)
    assert credential.token().access_token == "at-1"
    wait_for_refreshes()
    assert len(server.requests) == 1


def test_refreshes_less_often_if_the_provider_returns_the_same_token(
    start: Start, clock: Clock
) -> None:
    expiry = time.time() + 200
    same = {"access_token": "at-same", "refresh_token": None}
    client, server = start(issue(**same))
    credential = client.credential(**SECRET, freshness=EXACT)
    credential.accept(Token("at-same", expires_in=3600, expires_at=expiry))
    # Return the same expiry each time, as some dialects do; expires_in alone would restart it.
    original = client.create_token

    def create_token(**params: Any) -> Token:
        found = original(**params)
        return Token(found.access_token, expires_in=3600, expires_at=expiry)

    client.create_token = create_token  # type: ignore[method-assign]
    for _ in range(1000):
        assert credential.token().access_token == "at-same"
        wait_for_refreshes()
    assert len(server.requests) == 1
    clock.step(86)  # half of the 170 s to the mandatory window
    for _ in range(100):
        credential.token()
        wait_for_refreshes()
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    "windows",
    [(-1, -1), (10, 20), (10, -1), (float("inf"), 1), (float("nan"), 1), (10, float("nan"))],
)
def test_rejects_invalid_windows(windows: tuple[float, float]) -> None:
    with pytest.raises(ConfigurationError, match=r"Freshness\.(mandatory|advisory): must "):
        Freshness(*windows)


@pytest.mark.parametrize("jitter", [-0.1, 1.1, float("nan")])
def test_rejects_an_invalid_jitter(jitter: float) -> None:
    with pytest.raises(
        ConfigurationError, match=r"Freshness\.jitter: must be a number from 0 to 1"
    ):
        Freshness(jitter=jitter)


@pytest.mark.parametrize("timeout", [-1, float("nan"), "5"])
def test_rejects_an_invalid_timeout(start: Start, timeout: Any) -> None:
    client, server = start(issue())
    with pytest.raises(ConfigurationError, match="timeout"):
        client.credential(**SECRET).token(timeout)
    assert not server.requests


def test_a_caller_may_wait_indefinitely(start: Start) -> None:
    client, _ = start(issue())
    assert client.credential(**SECRET).token(float("inf")).access_token == "at-1"
