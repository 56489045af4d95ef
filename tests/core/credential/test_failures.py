"""What a failed renewal means for those who hold a live token, and for those who wait."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
import traceback
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import pairwise

import pytest

from grantway import Freshness, Token
from grantway._credentials import single_flight as flight
from grantway._credentials.token_state import Snapshot
from grantway._exceptions import (
    InternalServerException,
    InvalidClientException,
    OutcomeUnknownError,
    ProviderPausedError,
    ProviderUnavailableError,
    WaitTimeoutError,
)
from grantway._transport.deadline import Deadline
from grantway_plugins.stores.memory._store import MemoryStore
from tests import faults
from tests.core.credential.conftest import Start
from tests.core.credential.scenes import (
    PATIENCE,
    SECRET,
    Clock,
    Gate,
    at_once,
    issue,
    refuse,
    settle_down,
    token,
)

EXACT = Freshness(jitter=0)


def test_the_live_token_goes_on_and_the_pause_grows(start: Start, clock: Clock) -> None:
    client, server = start(issue(), refuse("invalid_client", 401))
    credential = client.credential(**SECRET, freshness=EXACT)
    credential.token()
    clock.step(3301)
    tries: list[int] = []
    for second in range(1, 200):
        assert credential.token().access_token == "at-1"
        settle_down()
        if len(server.requests) - 1 > len(tries):
            tries.append(second)
        clock.step(1)
    assert isinstance(credential.last_error, InvalidClientException)
    # 0.5, 1, 2, ... 60 s, each shortened by up to half.
    assert 6 <= len(tries) <= 14
    pauses = [later - sooner for sooner, later in pairwise(tries)]
    assert pauses[0] <= 2
    assert max(pauses) >= 16
    assert max(pauses) <= 61


def test_after_a_failure_the_next_success_forgets_it(start: Start, clock: Clock) -> None:
    client, _ = start(issue(), faults.answer(500, b"{}"), issue())
    credential = client.credential(**SECRET, freshness=EXACT)
    credential.token()
    clock.step(3301)
    credential.token()
    settle_down()
    failure = credential.last_error
    assert isinstance(failure, OutcomeUnknownError)
    clock.step(1)
    credential.token()
    settle_down()
    assert credential.last_error is None
    assert credential.token().access_token == "at-3"


@pytest.mark.parametrize(("said", "kept"), [(40, 40), (100_000, 3600)])
def test_retry_after_is_kept_within_reason(start: Start, said: int, kept: int) -> None:
    client, server = start(faults.answer(429, b"", {"Retry-After": str(said)}))
    credential = client.credential(**SECRET)
    with pytest.raises(ProviderUnavailableError):
        credential.token()
    with pytest.raises(ProviderPausedError, match="The next one is allowed") as caught:
        credential.token(timeout=5)
    assert kept - 30 < caught.value.retry_after <= kept
    assert caught.value.evidence.status == 429
    assert isinstance(caught.value.__cause__, ProviderUnavailableError)
    assert len(server.requests) == 1


def test_a_caller_who_cannot_wait_out_the_pause_is_told_at_once(start: Start, clock: Clock) -> None:
    client, server = start(faults.answer(503, b"", {"Retry-After": "30"}), issue())
    credential = client.credential(**SECRET)
    with pytest.raises(ProviderUnavailableError):
        credential.token()
    begun = time.monotonic()
    for result in at_once([lambda: credential.token(timeout=20)] * 16):
        assert isinstance(result, ProviderPausedError)
    assert time.monotonic() - begun < 20
    clock.step(31)
    assert credential.token().access_token == "at-2"
    assert len(server.requests) == 2


def test_a_failure_is_shared_and_not_kept(start: Start) -> None:
    gate = Gate(refuse("server_error", 400, "try later"))
    client, server = start(gate, issue())
    credential = client.credential(**SECRET)
    with ThreadPoolExecutor(16) as threads:
        waiting = [threads.submit(credential.token) for _ in range(16)]
        gate.wait()
        gate.opened.set()
        errors = [each.exception() for each in waiting]
    asked = len(server.requests)
    # Who came before the failure shares it; who came after waits for the pause, and has a token.
    failed = [each for each in errors if each is not None]
    assert failed
    assert all(isinstance(each, InternalServerException) for each in failed)
    assert len({id(each) for each in failed}) == len(failed)
    for each in failed:
        shown = "".join(traceback.format_exception(each))
        assert "try later" in shown
        assert shown.count("in raise_copy") == 1
    assert asked <= 2
    assert credential.token().access_token == "at-2"


def test_a_caller_waits_no_longer_than_it_would_and_the_request_goes_on(start: Start) -> None:
    gate = Gate()
    client, server = start(gate)
    store = MemoryStore()
    credential = client.credential(**SECRET, store=store)
    with pytest.raises(WaitTimeoutError, match=r"No token within 0\.05 s"):
        credential.token(timeout=0.05)
    gate.wait()
    with pytest.raises(WaitTimeoutError):
        credential.token(timeout=0)
    gate.opened.set()
    settle_down()
    stored = store.load(credential.key)
    assert stored is not None
    assert stored.refresh_token == "rt-1"
    assert credential.token() == stored
    assert len(server.requests) == 1


def test_ctrl_c_of_a_caller_loses_no_refresh(start: Start) -> None:
    gate = Gate()
    client, server = start(gate)
    store = MemoryStore()
    credential = client.credential(**SECRET, store=store)
    main = threading.main_thread()

    def interrupt() -> None:
        gate.wait()
        assert main.ident is not None
        signal.pthread_kill(main.ident, signal.SIGINT)

    pressing = threading.Thread(target=interrupt)
    pressing.start()
    with pytest.raises(KeyboardInterrupt):
        credential.token()
    pressing.join()
    gate.opened.set()
    settle_down()
    assert store.load(credential.key) is not None
    assert credential.token().access_token == "at-1"
    assert len(server.requests) == 1


def test_ctrl_c_before_the_work_began_keeps_nobody_waiting(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, _ = start(issue())
    credential = client.credential(**SECRET)
    real = threading.Thread.start

    def interrupted(thread: threading.Thread) -> None:
        monkeypatch.setattr(threading.Thread, "start", real)
        raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        credential.token()
    assert credential.token().access_token == "at-1"


_start_thread = threading.Thread.start


def no_thread_for_renewals(thread: threading.Thread) -> None:
    """As a system that is out of threads, but for those of the test itself."""
    if thread.name == "grantway-refresh":
        raise RuntimeError("can't start new thread")
    _start_thread(thread)


def test_without_another_thread_the_caller_does_the_work(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, _ = start(issue())
    credential = client.credential(**SECRET)
    monkeypatch.setattr(threading.Thread, "start", no_thread_for_renewals)
    assert credential.token().access_token == "at-1"


def test_without_another_thread_no_event_loop_does_the_work(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, server = start(issue())
    credential = client.credential(**SECRET)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", no_thread_for_renewals)
        with pytest.raises(ProviderPausedError, match="refreshes are already running") as caught:
            asyncio.run(credential.token_async(timeout=0.2))
    assert caught.value.retry_after == 1.0
    assert not server.requests
    assert credential.token().access_token == "at-1"


def test_past_so_many_renewals_at_once_live_tokens_go_out_and_others_wait(
    start: Start, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(issue())
    client, server = start(issue(), gate, issue())
    lives, new, waits = (client.credential(**SECRET, subject=name) for name in "abc")
    assert lives.token().access_token == "at-1"
    monkeypatch.setattr(flight, "_MOST", 1)
    with ThreadPoolExecutor(1) as threads:
        asked = threads.submit(waits.token)
        gate.wait()
        clock.step(3600 - 120)  # in the advisory window of the first
        assert lives.token().access_token == "at-1"
        with pytest.raises(ProviderPausedError) as caught:
            new.token(timeout=0.5)
        assert 0 < caught.value.retry_after <= 1.0
        gate.opened.set()
        asked.result(PATIENCE)
    assert new.token().access_token == "at-3"
    assert len(server.requests) == 3


def test_a_failure_counts_once_however_many_waited_with_another_credential(start: Start) -> None:
    gate = Gate(faults.answer(500, b"{}"))
    client, server = start(gate)
    store = MemoryStore()
    one, other = (client.credential(**SECRET, store=store) for _ in range(2))
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(one.token)
        gate.wait()
        waiters = [other._step(Deadline(PATIENCE)) for _ in range(16)]
        gate.opened.set()
        assert isinstance(first.exception(), OutcomeUnknownError)
    works = {id(work) for work, _ in waiters}
    assert len(works) == 1

    def wait(work: Future[Token], seen: Snapshot) -> None:
        other._apply(seen, work)
        flight.raise_copy(work)

    errors = at_once([partial(wait, *waiter) for waiter in waiters])  # type: ignore[arg-type]
    assert all(isinstance(each, OutcomeUnknownError) for each in errors)
    assert other._state.failure is not None
    assert other._state.failure.failures == 1
    assert len(server.requests) == 1


def test_who_wakes_late_puts_no_old_token_back(start: Start) -> None:
    """A waiter that is slow to wake must not replace what came after its own token."""
    client, _ = start(issue(), issue())
    credential = client.credential(**SECRET)
    seen = Snapshot(credential._state.token, 0)
    first = credential.token()
    settle_down()
    late: Future[Token] = Future()
    late.set_result(first)
    credential.invalidate(first)
    second = credential.token()
    assert credential._apply(seen, late) is None
    assert credential.token() is second


def test_a_login_during_a_renewal_counts(start: Start) -> None:
    gate = Gate()
    client, _ = start(gate)
    credential = client.credential(grant_type="refresh_token", refresh_token="rt-seed")
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(credential.token)
        gate.wait()
        credential.accept(token(9))
        gate.opened.set()
        waiting.result()
    assert credential.token().access_token == "at-9"
