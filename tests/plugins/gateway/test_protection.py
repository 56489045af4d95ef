"""Protection against a provider that stalls, fails or sends ``Retry-After``."""

from __future__ import annotations

import asyncio
import gc
import itertools
import logging
import subprocess
import sys
import textwrap
import threading
from collections import Counter
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

import grantway
from grantway._requests.exchange import Exchange
from grantway._transport.transport import HttpTransport
from grantway_plugins.gateway import Broker, TokenEndpoint
from grantway_plugins.gateway._protection import (
    BreakerRules,
    BulkheadRules,
    Notice,
    Protection,
    ProtectionState,
)
from grantway_plugins.gateway._protection.breaker import Breaker
from tests import faults
from tests.faults import FaultServer
from tests.plugins.gateway.concurrency import (
    PATIENCE,
    CallerThreads,
    Clock,
    HeldResponses,
    fail_requests,
    make_client,
    request_token,
    until,
)
from tests.plugins.gateway.conftest import FORM

DOWN = faults.respond(500, b"")
GRANTED = faults.respond()
LATER = faults.respond(429, b"", {"Retry-After": "30"})


def error_response(code: str) -> Any:
    return faults.respond(400, {"error": code})


@pytest.fixture
def clock() -> Clock:
    return Clock()


def protection(clock: Clock, **rules: Any) -> Protection:
    bulkhead = {name: rules.pop(name) for name in ("at_once", "waiting") if name in rules}
    return Protection(
        "login",
        breaker=BreakerRules(**{"failures": 3, "open_for": 5.0, **rules}),
        bulkhead=BulkheadRules(**{"at_once": 64, **bulkhead}),
        clock=clock,
        jitter=lambda: 0.0,
    )


# --- The bulkhead ---------------------------------------------------------------------------------


def test_bulkhead_limits_running_and_waiting_calls_and_rejects_the_rest(
    clock: Clock,
) -> None:
    held, guard = HeldResponses(), protection(clock, at_once=4, waiting=8)
    with FaultServer(held) as server, make_client(server, guard) as client:
        calls = CallerThreads(64, lambda: request_token(client))
        # They are rejected while the provider holds every call that it received.
        shed = calls.wait_for(52)
        held.wait_for(4)
        assert (guard.state().in_flight, guard.state().waiting) == (4, 8)
        assert [type(each) for each in shed] == [grantway.ProviderPausedError] * 52
        assert {each.retry_after for each in shed} == {1.0}
        assert {each.evidence.attempts for each in shed} == {0}
        assert len(server.requests) == 4
        held.gate.set()
        tokens = [each for each in calls.join() if isinstance(each, grantway.Token)]
        assert (len(tokens), len(server.requests), held.peak) == (12, 12, 4)
    assert guard.state() == ProtectionState("login", "closed", "", None, 0, 0, 0)


def test_the_queue_does_not_block_an_event_loop(clock: Clock) -> None:
    held, guard = HeldResponses(), protection(clock, at_once=1, waiting=3)

    async def main() -> None:
        calls = [
            asyncio.create_task(client.create_token_async(grant_type="client_credentials"))
            for _ in range(4)
        ]
        await asyncio.to_thread(until, lambda: guard.state().waiting == 3)
        calls[2].cancel()
        with pytest.raises(asyncio.CancelledError):
            await calls[2]
        assert (guard.state().in_flight, guard.state().waiting) == (1, 2)
        held.gate.set()
        await asyncio.gather(*calls[:2], calls[3])

    with FaultServer(held) as server, make_client(server, guard) as client:
        asyncio.run(main())
        assert (len(server.requests), held.peak) == (3, 1)
    assert guard.state() == ProtectionState("login", "closed", "", None, 0, 0, 0)


def test_rejects_a_waiting_call_at_its_deadline(clock: Clock) -> None:
    held, guard = HeldResponses(), protection(clock, at_once=1)
    with FaultServer(held) as server, make_client(server, guard) as client:
        first = CallerThreads(1, lambda: request_token(client))
        held.wait_for(1)
        with pytest.raises(grantway.ProviderPausedError, match="timed out while it waited") as late:
            request_token(client, timeout=0.05)
        assert late.value.retry_after == 1.0
        assert guard.state().waiting == 0
        held.gate.set()
        first.join()
        assert len(server.requests) == 1


def test_waiting_counts_towards_the_deadline(clock: Clock) -> None:
    deadlines: list[tuple[float, float]] = []

    def before(exchange: Exchange) -> Any:
        deadlines.append((exchange.deadline.at, exchange.deadline.remaining()))
        return (yield exchange)

    held, guard = HeldResponses(), protection(clock, at_once=1)
    with FaultServer(held) as server, make_client(server, before, guard, before) as client:
        first = CallerThreads(1, lambda: request_token(client))
        held.wait_for(1)
        second = CallerThreads(1, lambda: request_token(client))
        until(lambda: guard.state().waiting == 1)
        held.gate.set()
        first.join()
        second.join()
    _, _, (arrived_at, arrived_with), (sent_at, sent_with) = deadlines
    assert sent_at == arrived_at
    assert sent_with < arrived_with


def test_cancelling_ends_the_wait(clock: Clock) -> None:
    held, guard, cancel = HeldResponses(), protection(clock, at_once=1), threading.Event()
    with FaultServer(held) as server, make_client(server, guard) as client:
        first = CallerThreads(1, lambda: request_token(client))
        held.wait_for(1)
        second = CallerThreads(
            1, lambda: request_token(client, cancel=cancel, timeout=10 * PATIENCE)
        )
        until(lambda: guard.state().waiting == 1)
        cancel.set()
        (error,) = second.join()
        assert isinstance(error, grantway.FlowCancelledError)
        assert guard.state().in_flight == 1  # the cancelled call did not wait for the first
        held.gate.set()
        first.join()
        assert (len(server.requests), guard.state().waiting) == (1, 0)


def test_waiting_calls_are_rejected_when_the_breaker_opens(clock: Clock) -> None:
    held, guard = HeldResponses(500, b""), protection(clock, at_once=1, failures=1)
    with FaultServer(held) as server, make_client(server, guard) as client:
        first = CallerThreads(1, lambda: request_token(client))
        held.wait_for(1)
        waiting = CallerThreads(8, lambda: request_token(client))
        until(lambda: guard.state().waiting == 8)
        held.gate.set()
        errors = waiting.join()
        first.join()
        assert {type(each) for each in errors} == {grantway.ProviderPausedError}
        assert {each.retry_after for each in errors} == {5.0}
        assert len(server.requests) == 1


# --- The breaker ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("act", "code"),
    [
        (DOWN, "outcome_unknown"),
        (faults.respond(503, b""), "provider_unavailable"),
        (faults.respond(429, b""), "provider_unavailable"),
        (faults.respond(200, b"<html>"), "response_invalid"),
        (faults.respond(302, b"", {"Location": "https://example.com/"}), "redirect_refused"),
        (faults.close_after_request, "outcome_unknown"),
        (error_response("server_error"), "server_error"),
        (error_response("temporarily_unavailable"), "temporarily_unavailable"),
    ],
)
def test_breaker_opens_after_failures_of_the_provider(act: Any, code: str, clock: Clock) -> None:
    guard = protection(clock)
    with FaultServer(act) as server, make_client(server, guard) as client:
        fail_requests(client, 3)
        before = len(server.requests)
        with pytest.raises(grantway.ProviderPausedError) as paused:
            request_token(client)
        assert (paused.value.retry_after, len(server.requests)) == (5.0, before)
        state = guard.state()
    assert (state.breaker, state.why) == ("open", f"3 failures in a row, the last: {code}")
    assert state.until is not None


def test_breaker_opens_for_an_unreachable_provider(clock: Clock) -> None:
    guard = protection(clock)
    with FaultServer(GRANTED) as server:
        pass
    with make_client(server, guard) as client:
        fail_requests(client, 3)
        with pytest.raises(grantway.ProviderPausedError):
            request_token(client)
    assert guard.state().why.endswith("connection_failed")


@pytest.mark.parametrize(
    "code", ["invalid_grant", "invalid_client", "invalid_scope", "slow_down", "of_our_own"]
)
def test_oauth_errors_do_not_open_the_breaker(code: str, clock: Clock) -> None:
    guard = protection(clock, failures=1)
    with FaultServer(error_response(code)) as server, make_client(server, guard) as client:
        fail_requests(client, 30)
        assert len(server.requests) == 30
    assert guard.state().breaker == "closed"


def test_calls_that_were_never_sent_do_not_count(clock: Clock) -> None:
    def failing(exchange: Exchange) -> Any:
        yield from ()
        raise grantway.ConfigurationError("invalid middleware")

    guard = protection(clock, failures=1)
    with FaultServer(GRANTED) as server, make_client(server, guard, failing) as client:
        for _ in range(3):
            with pytest.raises(grantway.ConfigurationError):
                request_token(client)
    assert (guard.state().breaker, guard.state().in_flight) == ("closed", 0)


@pytest.fixture
def half_open(clock: Clock) -> Iterator[SimpleNamespace]:
    """Return a half-open breaker whose probe waits for a delayed response."""
    held = HeldResponses()
    guard = protection(clock)
    with (
        FaultServer(DOWN, DOWN, DOWN, held) as server,
        make_client(server, guard, retry=grantway.RetryPolicy(attempts=1)) as client,
    ):
        fail_requests(client, 3)
        clock.now += 5.0
        assert guard.state().breaker == "half_open"
        yield SimpleNamespace(held=held, guard=guard, server=server, client=client)


def test_half_open_breaker_admits_one_call_of_64(half_open: Any) -> None:
    calls = CallerThreads(64, lambda: request_token(half_open.client))
    shed = calls.wait_for(63)
    half_open.held.wait_for(1)
    assert {type(each) for each in shed} == {grantway.ProviderPausedError}
    assert {each.retry_after for each in shed} == {1.0}
    assert len(half_open.server.requests) == 4
    half_open.held.gate.set()
    assert [type(each) for each in calls.join()[63:]] == [grantway.Token]
    assert half_open.guard.state().breaker == "closed"
    assert {
        type(each) for each in CallerThreads(64, lambda: request_token(half_open.client)).join()
    } == {grantway.Token}


def test_failed_probes_double_the_pause_up_to_the_maximum(clock: Clock) -> None:
    guard = protection(clock, longest=18.0)
    pauses = []
    with (
        FaultServer(DOWN) as server,
        # A retry would be safe for this grant, but a probe sends only one request.
        make_client(server, guard, retry=grantway.RetryPolicy(attempts=1)) as client,
        make_client(server, guard, retry=grantway.RetryPolicy(attempts=3, base=0.0)) as patient,
    ):
        fail_requests(client, 3)
        for probes in range(4):
            assert len(server.requests) == 3 + probes
            with pytest.raises(grantway.ProviderPausedError) as paused:
                request_token(client)
            pauses.append(paused.value.retry_after)
            clock.now += paused.value.retry_after
            fail_requests(patient, 1)
    assert pauses == [5.0, 10.0, 18.0, 18.0]
    assert guard.state().why == (
        "3 failures in a row, the last: outcome_unknown; the probe failed too (outcome_unknown)"
    )


def test_an_oauth_error_in_a_probe_closes_the_breaker(clock: Clock) -> None:
    guard = protection(clock)
    script = (DOWN, DOWN, DOWN, error_response("invalid_grant"), GRANTED)
    with FaultServer(*script) as server, make_client(server, guard) as client:
        fail_requests(client, 3)
        clock.now += 5.0
        fail_requests(client, 1)
        assert request_token(client).access_token == "at-1"


def test_a_call_sent_before_the_breaker_opened_does_not_close_it(clock: Clock) -> None:
    held, guard = HeldResponses(), protection(clock)
    with FaultServer(held, DOWN, DOWN, DOWN) as server, make_client(server, guard) as client:
        early = CallerThreads(1, lambda: request_token(client))
        held.wait_for(1)
        fail_requests(client, 3)
        held.gate.set()
        assert isinstance(early.join()[0], grantway.Token)
        assert guard.state().breaker == "open"


def test_recovery_resets_the_counts(clock: Clock) -> None:
    rules = BreakerRules(failures=3, share=0.6, least_calls=4, open_for=5.0, window=1000.0)
    breaker = Breaker(rules, clock, lambda: 0.0)

    def call(*, failed: bool | None) -> None:
        assert breaker.pause() is None
        breaker.record_outcome(breaker.admit(), failed, "test")

    for _ in range(2):
        for _ in range(3):
            call(failed=True)
        assert breaker.left == 5.0
        clock.now += 5.0
        call(failed=None)  # did not reach the provider
        assert breaker.state == "half_open"
        call(failed=False)
        assert breaker.state == "closed"
        for failed in (False, False, True):
            call(failed=failed)
        assert breaker.state == "closed"
        call(failed=False)


@pytest.mark.parametrize(("jitter", "pause"), [(0.0, 4.0), (0.5, 3.0), (1.0, 2.0)])
def test_jitter_reduces_a_pause_by_up_to_half(jitter: float, pause: float, clock: Clock) -> None:
    breaker = Breaker(BreakerRules(failures=1, open_for=4.0), clock, lambda: jitter)
    breaker.record_outcome(breaker.admit(), failed=True)
    assert breaker.left == pause


def test_a_call_sent_before_an_outage_does_not_reopen_the_breaker(clock: Clock) -> None:
    held, guard = HeldResponses(500, b""), protection(clock, failures=1)
    with FaultServer(held, DOWN, GRANTED) as server, make_client(server, guard) as client:
        early = CallerThreads(1, lambda: request_token(client))
        held.wait_for(1)
        fail_requests(client, 1)
        clock.now += 5.0
        request_token(client)
        held.gate.set()
        assert isinstance(early.join()[0], grantway.OutcomeUnknownError)
        assert guard.state().breaker == "closed"


def test_share_of_failures_opens_the_breaker_after_enough_calls(clock: Clock) -> None:
    guard = protection(clock, failures=100, share=0.5, least_calls=10, window=30.0)
    with (
        FaultServer(*[DOWN, GRANTED] * 4, DOWN, DOWN) as server,
        make_client(server, guard) as client,
    ):
        for _ in range(4):
            fail_requests(client, 1)
            request_token(client)
        fail_requests(client, 1)
        assert guard.state().breaker == "closed"
        fail_requests(client, 1)
    assert guard.state().why == "6 of 10 calls in 30 s failed, the last: outcome_unknown"


def test_calls_outside_the_window_do_not_count(clock: Clock) -> None:
    guard = protection(clock, failures=100, share=0.5, least_calls=4, window=30.0)
    with FaultServer(DOWN) as server, make_client(server, guard) as client:
        fail_requests(client, 3)
        clock.now += 35.0
        fail_requests(client, 3)
        assert guard.state().breaker == "closed"
        fail_requests(client, 1)
        assert guard.state().breaker == "open"


# --- Retry-After ----------------------------------------------------------------------------------


def test_retry_after_of_one_response_applies_to_all_calls(clock: Clock) -> None:
    guard = protection(clock)
    with FaultServer(LATER, GRANTED) as server, make_client(server, guard) as client:
        with pytest.raises(grantway.ProviderUnavailableError):
            request_token(client)
        for passed in (0.0, 29.5):
            clock.now += passed
            errors = CallerThreads(32, lambda: request_token(client)).join()
            assert {type(each) for each in errors} == {grantway.ProviderPausedError}
            assert {each.retry_after for each in errors} == {30.0 - passed}
            assert guard.state().why == "the provider sent Retry-After"
        assert len(server.requests) == 1
        clock.now += 0.5
        assert request_token(client).access_token == "at-1"
        assert guard.state().breaker == "closed"


def test_retry_after_rejects_waiting_calls(clock: Clock) -> None:
    held, guard = HeldResponses(), protection(clock, at_once=2)
    with FaultServer(held, LATER) as server, make_client(server, guard) as client:
        first = CallerThreads(1, lambda: request_token(client))
        held.wait_for(1)
        outcomes = CallerThreads(5, lambda: request_token(client)).join()
        kinds = sorted(type(each).__name__ for each in outcomes)
        assert kinds == ["ProviderPausedError"] * 4 + ["ProviderUnavailableError"]
        assert len(server.requests) == 2
        held.gate.set()
        first.join()


def test_retry_after_is_capped(clock: Clock) -> None:
    guard = protection(clock, retry_after_cap=60.0)
    year = faults.respond(503, b"", {"Retry-After": "31536000"})
    with FaultServer(year, GRANTED) as server, make_client(server, guard) as client:
        fail_requests(client, 1)
        with pytest.raises(grantway.ProviderPausedError) as paused:
            request_token(client)
        assert paused.value.retry_after == 60.0
        clock.now += 60.0
        request_token(client)


def test_failures_do_not_extend_retry_after(clock: Clock) -> None:
    guard = protection(clock)
    with FaultServer(*[LATER] * 8, GRANTED) as server, make_client(server, guard) as client:
        for _ in range(8):  # more failures than open the breaker
            fail_requests(client, 1)
            with pytest.raises(grantway.ProviderPausedError) as paused:
                request_token(client)
            assert paused.value.retry_after == 30.0
            clock.now += 30.0
        request_token(client)
        assert guard.state().failures == 0
        assert len(server.requests) == 9


def test_a_running_call_is_not_retried_during_retry_after(clock: Clock) -> None:
    """Its retry policy would wait for Retry-After and occupy the bulkhead in the meantime."""
    guard = protection(clock)
    patient = grantway.RetryPolicy(attempts=3, base=0.0)
    with (
        FaultServer(faults.respond(429, b"", {"Retry-After": "1"}), GRANTED) as server,
        make_client(server, guard, retry=patient) as client,
    ):
        with pytest.raises(grantway.ProviderUnavailableError) as error:
            request_token(client)
        assert (error.value.retry_after, len(server.requests)) == (1.0, 1)


def test_retry_after_stops_a_call_that_waits_for_its_next_attempt(clock: Clock) -> None:
    guard = protection(clock)
    others: list[grantway.Client] = []

    @grantway.hookimpl
    def grantway_observe(event: grantway.Event) -> None:
        if event.kind == "retry" and others:
            fail_requests(others.pop(), 1)  # another caller, which gets Retry-After

    registry = grantway.build_registry(
        {"watch": SimpleNamespace(grantway_observe=grantway_observe)}
    )
    patient = grantway.RetryPolicy(attempts=3, base=0.01)
    with (
        FaultServer(faults.respond(503, b""), LATER, GRANTED) as server,
        make_client(server, guard) as other,
        make_client(server, guard, retry=patient, registry=registry) as client,
    ):
        others.append(other)
        with pytest.raises(grantway.ProviderUnavailableError):
            request_token(client)
        assert len(server.requests) == 2


# --- Users of a protection ------------------------------------------------------------------------


def test_a_credential_reports_the_pause_and_sends_nothing(clock: Clock) -> None:
    guard = protection(clock)
    with FaultServer(LATER, GRANTED) as server, make_client(server, guard) as client:
        fail_requests(client, 1)
        credential = client.credential(grant_type="client_credentials")
        with pytest.raises(grantway.ProviderPausedError) as paused:
            credential.token(timeout=20)  # less than the pause
        assert paused.value.retry_after == 30.0
        assert isinstance(credential.last_error, grantway.ProviderPausedError)
        assert len(server.requests) == 1


def test_the_broker_forwards_retry_after(clock: Clock) -> None:
    guard = protection(clock)
    with FaultServer(LATER, GRANTED) as server, make_client(server, guard) as client:
        endpoint = TokenEndpoint(Broker(client, clients=lambda *_: True))
        body = b"grant_type=client_credentials&client_id=shop"
        for _ in range(2):
            response = endpoint.respond("POST", {"Content-Type": FORM}, body)
            assert (response.status, response.headers["retry-after"]) == (503, "30")
        assert len(server.requests) == 1


def test_listeners_get_every_notice_and_their_errors_do_not_fail_calls(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    notices: list[Notice] = []

    def failing(notice: Notice) -> None:
        raise ValueError(notice.kind)

    guard = protection(clock, failures=1)
    guard.listen(failing)
    guard.listen(notices.append)
    with (
        FaultServer(DOWN, GRANTED) as server,
        make_client(server, guard) as client,
        caplog.at_level(logging.INFO, "grantway.gateway"),
    ):
        fail_requests(client, 1)
        with pytest.raises(grantway.ProviderPausedError):
            request_token(client)
        clock.now += 5.0
        request_token(client)
    assert [(each.kind, each.state.breaker, each.reason) for each in notices] == [
        ("load", "closed", ""),
        ("load", "open", ""),
        ("breaker", "open", ""),
        ("shed", "open", "open"),
        ("load", "half_open", ""),
        ("breaker", "half_open", ""),
        ("load", "closed", ""),
        ("breaker", "closed", ""),
    ]
    assert "A listener of login raised ValueError" in caplog.text
    assert "login: breaker open: 1 failures in a row" in caplog.text


@pytest.mark.slow
def test_keeps_no_objects_of_completed_calls(clock: Clock) -> None:
    guard = protection(clock, failures=10_000, share=1.0, least_calls=10_000)
    gc.collect()
    before = [each for each in gc.get_objects() if type(each) is Exchange]  # from earlier tests

    def reachable() -> int:
        seen, todo = set(), [guard._breaker, guard._bulkhead]
        while todo:
            each: Any = todo.pop()
            if id(each) not in seen and not isinstance(each, type):
                seen.add(id(each))
                todo.extend(
                    found
                    for found in gc.get_referents(each)
                    if isinstance(found, (dict, list, set, tuple, str, int, float))
                    or type(found).__module__.startswith("grantway")
                )
        return len(seen)

    with FaultServer(*[DOWN, GRANTED] * 100, DOWN) as server, make_client(server, guard) as client:
        counts = []
        for _ in range(4):
            for _ in range(25):
                fail_requests(client, 1)
                request_token(client)
            counts.append(reachable())
    assert max(counts) - min(counts) <= 4  # integers above 256 are separate objects
    gc.collect()
    after = [each for each in gc.get_objects() if type(each) is Exchange]
    assert not [each for each in after if not any(each is old for old in before)]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
def test_a_forked_child_starts_without_its_parents_calls() -> None:
    held = HeldResponses()
    with FaultServer(DOWN, held, GRANTED) as server:
        program = f"""
            import os, signal, threading, time
            import grantway
            from grantway_plugins.gateway._protection import *
            guard = Protection(
                "login",
                breaker=BreakerRules(failures=1, open_for=0.01),
                bulkhead=BulkheadRules(at_once=1, waiting=0),
            )
            client = grantway.Client(
                grantway.Provider(token_endpoint={server.token_endpoint!r}),
                client_id="c", client_secret="s", middleware=[guard],
                retry=grantway.RetryPolicy(attempts=1),
            )
            def ask():
                return client.create_token(grant_type="client_credentials")
            try:
                ask()
            except grantway.OutcomeUnknownError:
                pass
            while guard.state().breaker != "half_open":
                time.sleep(0.01)
            probe = threading.Thread(target=ask)
            probe.start()
            print("sent", flush=True)
            input()
            child = os.fork()
            if not child:
                signal.alarm(20)
                before, token = guard.state().in_flight, ask().access_token
                print(before, token, guard.state().breaker, flush=True)
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
            print(guard.state().in_flight, flush=True)
            probe.join()
            client.close()
        """
        with subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(program)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                assert process.stdout.readline() == "sent\n"
                held.wait_for(1)
                process.stdin.write("\n")
                process.stdin.flush()
                assert process.stdout.readline() == "0 at-1 closed\n"
                assert process.stdout.readline() == "1\n"
            finally:
                held.gate.set()
            assert process.wait(PATIENCE) == 0


class ConcurrentCalls:
    """Middleware inside the protection that counts concurrent calls."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.in_progress = self.peak = 0

    def __call__(self, exchange: Exchange) -> Any:
        with self._lock:
            self.in_progress += 1
            self.peak = max(self.peak, self.in_progress)
        try:
            return (yield exchange)
        finally:
            with self._lock:
                self.in_progress -= 1


def test_limits_hold_through_every_kind_of_failure_and_recovery(
    clock: Clock,
) -> None:
    actions = itertools.cycle(
        [
            GRANTED,
            DOWN,
            faults.respond(429, b"", {"Retry-After": "2"}),
            faults.close_after_request,
            faults.stall,
            error_response("invalid_grant"),
            faults.reset_after_request,
            faults.half(),
        ]
    )
    concurrent, guard = (
        ConcurrentCalls(),
        protection(clock, at_once=3, waiting=4, open_for=1.0, longest=2.0),
    )
    recovered = threading.Event()

    def act(stage: faults.Stage) -> bool:
        return bool((GRANTED if recovered.is_set() else next(actions))(stage))

    with (
        FaultServer(act) as server,
        make_client(server, guard) as other,
        make_client(
            server,
            guard,
            concurrent,
            retry=grantway.RetryPolicy(attempts=2, base=0.0),
            transport=HttpTransport(read_timeout=0.1),
        ) as client,
    ):

        def send_calls() -> list[object]:
            outcomes: list[object] = []
            for _ in range(20):
                try:
                    outcomes.append(type(request_token(client)))
                except grantway.GrantwayError as error:
                    outcomes.append(type(error))
                clock.now += 0.05
            return outcomes

        outcomes = Counter(itertools.chain.from_iterable(CallerThreads(24, send_calls).join()))
        assert outcomes.total() == 24 * 20
        assert outcomes[grantway.ProviderPausedError] > 0
        assert 1 <= concurrent.peak <= 3
        recovered.set()
        clock.now += 10.0
        assert request_token(other).access_token == "at-1"
        assert guard.state() == ProtectionState("login", "closed", "", None, 0, 0, 0)


# --- Invalid settings -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        (BreakerRules, "failures", 0),
        (BreakerRules, "failures", True),
        (BreakerRules, "least_calls", 1.5),
        (BreakerRules, "share", 0),
        (BreakerRules, "share", 1.1),
        (BreakerRules, "share", float("nan")),
        (BreakerRules, "share", "half"),
        (BreakerRules, "window", 0),
        (BreakerRules, "open_for", -1),
        (BreakerRules, "longest", 1.0),
        (BreakerRules, "retry_after_cap", float("inf")),
        (BulkheadRules, "at_once", 0),
        (BulkheadRules, "waiting", -1),
        (BulkheadRules, "retry_after", 0),
    ],
)
def test_an_invalid_setting_is_named(kind: Any, name: str, value: Any) -> None:
    with pytest.raises(grantway.ConfigurationError, match=rf"{kind.__name__}\.{name}: "):
        kind(**{name: value})
