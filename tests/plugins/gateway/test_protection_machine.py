"""Stateful test of the breaker against a simple model, with random sequences of events."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from grantway_plugins.gateway._protection.breaker import Breaker, BreakerRules, Ticket
from tests.plugins.gateway.concurrency import Clock

RULES = BreakerRules(
    failures=3,
    share=0.5,
    window=10.0,
    least_calls=6,
    open_for=4.0,
    longest=20.0,
    retry_after_cap=50.0,
)
#: Multiples of 1/16, which floats add exactly.
SECONDS = st.one_of(
    st.sampled_from([0.5, 1.0, 4.0, 10.0, 20.0, 50.0]),
    st.integers(0, 60 * 16).map(lambda sixteenths: sixteenths / 16),
)


class BreakerMachine(RuleBasedStateMachine):
    """Calls start and end, time passes, and the provider sends ``Retry-After``."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.jitter = 0.0
        self.breaker = Breaker(RULES, self.clock, lambda: self.jitter)
        self.calls: list[Ticket] = []
        self.probes: list[Ticket] = []
        self.paused_until = 0.0
        self.failures = 0
        #: Calls that began since the breaker last opened or closed.
        self.term: list[Ticket] = []

    @rule(jitter=st.integers(0, 16).map(lambda sixteenths: sixteenths / 16))
    def set_jitter(self, jitter: float) -> None:
        self.jitter = jitter

    @rule(seconds=SECONDS)
    def time_passes(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule(seconds=SECONDS)
    def provider_sends_retry_after(self, seconds: float) -> None:
        self.breaker.pause_for(seconds)
        if seconds > 0:
            self.paused_until = max(self.paused_until, self.clock.now + min(seconds, 50.0))
            assert self.breaker.pause() is not None

    @precondition(lambda self: self.breaker.pause() is None)
    @rule()
    def a_call_begins(self) -> None:
        assert self.clock.now >= self.paused_until
        before = self.breaker.state
        ticket = self.breaker.admit()
        self.calls.append(ticket)
        if before == "half_open":
            self.probes.append(ticket)
            pause = self.breaker.pause()
            assert pause is not None
            assert pause.reason == "probing"
        else:
            self.term.append(ticket)

    @precondition(lambda self: bool(self.calls))
    @rule(data=st.data(), failed=st.sampled_from([True, False, None]))
    def a_call_ends(self, data: st.DataObject, failed: bool | None) -> None:
        ticket = self.calls.pop(data.draw(st.integers(0, len(self.calls) - 1)))
        opened, until = self.breaker._open_until is not None, self.breaker._open_until
        self.breaker.record_outcome(ticket, failed, "test")
        now_open = self.breaker._open_until is not None
        if ticket in self.probes:
            self.probes.remove(ticket)
            assert now_open is (failed is not False)
            if not now_open:
                self.failures, self.term = 0, []
        elif opened or ticket not in self.term:
            # The call began before the breaker last changed, so it does not count.
            assert self.breaker._open_until == until
            assert opened or self.breaker.failures == self.failures
        elif failed is not None:
            self.failures = self.failures + 1 if failed else 0
            assert self.breaker.failures == self.failures
            if self.failures >= RULES.failures:
                assert now_open
            if not failed:
                assert not now_open
        if now_open and not opened:
            self.term = []
        if now_open and self.breaker._open_until != until:
            assert self.breaker._open_until is not None
            assert 2.0 <= self.breaker._open_until - self.clock.now <= RULES.longest

    @rule()
    def fork(self) -> None:
        self.breaker.forget_calls()
        self.calls, self.probes, self.term = [], [], []

    @invariant()
    def at_most_one_probe(self) -> None:
        assert len(self.probes) <= 1

    @invariant()
    def properties_agree_with_the_state(self) -> None:
        pause, state = self.breaker.pause(), self.breaker.state
        assert (self.breaker.left > 0) is (state == "open")
        if state == "open":
            assert pause is not None
            assert pause.seconds == self.breaker.left > 0
            assert self.breaker.why
        elif state == "half_open":
            assert (pause is not None) is bool(self.probes)
        else:
            assert pause is None
            assert not self.breaker.why

    @invariant()
    def pauses_are_bounded(self) -> None:
        assert self.breaker.left <= max(RULES.longest, RULES.retry_after_cap)

    def teardown(self) -> None:
        """Check that calls resume once the provider recovers."""
        for ticket in self.calls:
            self.breaker.record_outcome(ticket, failed=True)
        self.clock.now += max(RULES.longest, RULES.retry_after_cap)
        assert self.breaker.pause() is None
        self.breaker.record_outcome(self.breaker.admit(), failed=False)
        assert self.breaker.state == "closed"


TestBreaker = BreakerMachine.TestCase
TestBreaker.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
