"""When a token is renewed, and who waits for it."""

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
    at_once,
    issue,
    settle_down,
    token,
)

EXACT = Freshness(jitter=0)


def test_the_first_token_is_fetched_once_and_a_fresh_one_sends_nothing(start: Start) -> None:
    client, server = start(issue())
    credential = client.credential(**SECRET)
    assert [credential.fresh, len(server.requests)] == [False, 0]
    tokens = [credential.token() for _ in range(100)]
    assert {each.access_token for each in tokens} == {"at-1"}
    assert credential.fresh
    assert len(server.requests) == 1


def test_in_the_advisory_window_one_thread_renews_and_nobody_waits(
    start: Start, clock: Clock
) -> None:
    gate = Gate()
    client, server = start(issue(), gate)
    credential = client.credential(**SECRET, freshness=EXACT)
    credential.token()
    clock.step(3600 - 299)
    found = at_once([credential.token] * 32)
    gate.wait()
    found += [credential.token() for _ in range(100)]
    assert {each.access_token for each in found} == {"at-1"}
    gate.opened.set()
    settle_down()
    assert credential.token().access_token == "at-2"
    assert len(server.requests) == 2


def test_before_the_advisory_window_nothing_is_sent(start: Start, clock: Clock) -> None:
    client, server = start(issue())
    credential = client.credential(**SECRET, freshness=EXACT)
    credential.token()
    clock.step(3600 - 301)
    assert credential.token().access_token == "at-1"
    settle_down()
    assert len(server.requests) == 1


def test_in_the_mandatory_window_all_wait_for_one_request(start: Start, clock: Clock) -> None:
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


def test_a_thread_that_looked_before_the_new_token_came_asks_for_no_other(
    start: Start, clock: Clock
) -> None:
    """All at the moment of expiry, often: who looked too early must not renew what is new."""
    client, server = start(issue())
    credential = client.credential(**SECRET, freshness=EXACT)
    credential.token()
    for rounds in range(1, 21):
        clock.step(3600)
        found = at_once([credential.token] * 32)
        assert {each.access_token for each in found} == {f"at-{rounds + 1}"}
        assert len(server.requests) == rounds + 1


def test_who_looked_too_early_takes_what_came_meanwhile(start: Start, clock: Clock) -> None:
    client, server = start(issue())
    credential = client.credential(**SECRET, freshness=EXACT)
    credential.token()
    clock.step(3600)
    new = credential.token()
    # As a thread does that saw the old one, and was not let on before the new one was there.
    step, _ = credential._step(Deadline(PATIENCE))
    settle_down()
    assert step is new
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("lifetime", "advisory", "mandatory"),
    [(36_000, 300, 30), (1200, 300, 30), (300, 75, 30), (60, 15, 6), (1, 0.25, 0.1), (0, 0, 0)],
)
def test_windows_shrink_with_short_lives(
    lifetime: int, advisory: float, mandatory: float, clock: Clock
) -> None:
    given = Token("at", expires_in=lifetime, expires_at=time.time() + lifetime)
    renew, end = EXACT.time_left(given)
    assert renew == pytest.approx(lifetime - advisory, abs=0.5)
    assert end == pytest.approx(lifetime - mandatory, abs=0.5)


def test_jitter_spreads_the_renewals_of_one_end() -> None:
    given = token(1)
    spread = [Freshness(jitter=0.5).time_left(given, luck / 100)[0] for luck in range(101)]
    assert spread == sorted(spread)
    # The advisory window begins 300 s before the end, the mandatory one 30 s: half of 270 s.
    assert spread[-1] - spread[0] == pytest.approx(135, abs=1)
    assert {round(Freshness(jitter=0.5).time_left(given, luck)[1]) for luck in (0, 1)} == {3570}


def test_two_credentials_do_not_renew_at_one_moment(start: Start, clock: Clock) -> None:
    client, _ = start(issue())
    credentials = [client.credential(**SECRET, subject=str(each)) for each in range(200)]
    given = token(1)
    for credential in credentials:
        credential.accept(given)
    shares = []
    # The first look comes half a minute before the windows begin, however slow the machine is.
    clock.step(3270)
    for _ in range(33):
        shares.append(sum(each.fresh for each in credentials))
        clock.step(5)
    assert shares[0] == 200
    assert shares[-1] < 30
    assert 50 < shares[19] < 150


def test_each_dialect_has_its_own_windows(start: Start) -> None:
    registry = default_registry()
    aws = registry.dialects["aws-sso-oidc"].freshness
    assert (aws.advisory, aws.mandatory) == (900, 600)
    client, _ = start(issue())
    assert client.dialect.freshness == Freshness() == Freshness(300, 30, 0.5)


def test_the_windows_of_the_call_come_before_those_of_the_dialect(
    start: Start, clock: Clock
) -> None:
    client, server = start(issue())
    credential = client.credential(**SECRET, freshness=Freshness(5, 0, jitter=0))
    credential.token()
    clock.step(3594)
    assert credential.token().access_token == "at-1"
    settle_down()
    assert len(server.requests) == 1


def test_a_token_that_never_said_when_it_ends_is_never_renewed(start: Start, clock: Clock) -> None:
    client, server = start(issue(expires_in=None))
    credential = client.credential(**SECRET)
    credential.token()
    clock.step(10 * 365 * 86_400)
    assert credential.token().access_token == "at-1"
    settle_down()
    assert len(server.requests) == 1


def test_a_provider_that_gives_one_token_until_it_ends_is_not_asked_all_the_time(
    start: Start, clock: Clock
) -> None:
    ends = time.time() + 200
    same = {"access_token": "at-same", "refresh_token": None}
    client, server = start(issue(**same))
    credential = client.credential(**SECRET, freshness=EXACT)
    credential.accept(Token("at-same", expires_in=3600, expires_at=ends))
    # The answer's life is counted anew; a dialect may give the end instead.
    original = client.create_token

    def create_token(**params: Any) -> Token:
        found = original(**params)
        return Token(found.access_token, expires_in=3600, expires_at=ends)

    client.create_token = create_token  # type: ignore[method-assign]
    for _ in range(1000):
        assert credential.token().access_token == "at-same"
        settle_down()
    assert len(server.requests) == 1
    clock.step(86)  # half of the 170 s to the mandatory window
    for _ in range(100):
        credential.token()
        settle_down()
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    "windows",
    [(-1, -1), (10, 20), (10, -1), (float("inf"), 1), (float("nan"), 1), (10, float("nan"))],
)
def test_windows_that_cannot_be_are_refused(windows: tuple[float, float]) -> None:
    with pytest.raises(ConfigurationError, match=r"Freshness\.(mandatory|advisory): must "):
        Freshness(*windows)


@pytest.mark.parametrize("jitter", [-0.1, 1.1, float("nan")])
def test_a_jitter_that_is_no_share_is_refused(jitter: float) -> None:
    with pytest.raises(
        ConfigurationError, match=r"Freshness\.jitter: must be a number from 0 to 1"
    ):
        Freshness(jitter=jitter)


@pytest.mark.parametrize("timeout", [-1, float("nan"), "5"])
def test_a_timeout_that_is_none_is_refused(start: Start, timeout: Any) -> None:
    client, server = start(issue())
    with pytest.raises(ConfigurationError, match="timeout"):
        client.credential(**SECRET).token(timeout)
    assert not server.requests


def test_a_caller_may_wait_without_end(start: Start) -> None:
    client, _ = start(issue())
    assert client.credential(**SECRET).token(float("inf")).access_token == "at-1"
