"""Failed refreshes: callers with a valid token, waiting callers, and pauses."""

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
from grantway._credentials import single_flight
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
    issue,
    reject,
    run_together,
    token,
    wait_for_refreshes,
)

EXACT = Freshness(jitter=0)


def test_returns_the_valid_token_and_lengthens_the_pauses(start: Start, clock: Clock) -> None:
    client, server = start(issue(), reject("invalid_client", 401))
    credential = client.credential(**SECRET, freshness=EXACT)
    credential.token()
    clock.step(3301)
    attempts: list[int] = []
    for second in range(1, 200):
        assert credential.token().access_token == "at-1"
        wait_for_refreshes()
        if len(server.requests) - 1 > len(attempts):
            attempts.append(second)
        clock.step(1)
    assert isinstance(credential.last_error, InvalidClientException)
    # 0.5, 1, 2, ... 60 s, each shortened by up to half.
    assert 6 <= len(attempts) <= 14
    pauses = [later - sooner for sooner, later in pairwise(attempts)]
    assert pauses[0] <= 2
    assert max(pauses) >= 16
    assert max(pauses) <= 61


def test_a_success_clears_the_last_error(start: Start, clock: Clock) -> None:
    client, _ = start(issue(), faults.respond(500, b"{}"), issue())
    credential = client.credential(**SECRET, freshness=EXACT)
    credential.token()
    clock.step(3301)
    credential.token()
    wait_for_refreshes()
    failure = credential.last_error
    assert isinstance(failure, OutcomeUnknownError)
    clock.step(1)
    credential.token()
    wait_for_refreshes()
    assert credential.last_error is None
    assert credential.token().access_token == "at-3"


@pytest.mark.parametrize(("sent", "honoured"), [(40, 40), (100_000, 3600)])
def test_honours_retry_after_up_to_an_hour(start: Start, sent: int, honoured: int) -> None:
    client, server = start(faults.respond(429, b"", {"Retry-After": str(sent)}))
    credential = client.credential(**SECRET)
    with pytest.raises(ProviderUnavailableError):
        credential.token()
    with pytest.raises(ProviderPausedError, match="The next one is allowed") as caught:
        credential.token(timeout=5)
    assert honoured - 30 < caught.value.retry_after <= honoured
    assert caught.value.evidence.status == 429
    assert isinstance(caught.value.__cause__, ProviderUnavailableError)
    assert len(server.requests) == 1


def test_raises_at_once_if_the_pause_exceeds_the_timeout(start: Start, clock: Clock) -> None:
    client, server = start(faults.respond(503, b"", {"Retry-After": "30"}), issue())
    credential = client.credential(**SECRET)
    with pytest.raises(ProviderUnavailableError):
        credential.token()
    begun = time.monotonic()
    for result in run_together([lambda: credential.token(timeout=20)] * 16):
        assert isinstance(result, ProviderPausedError)
    assert time.monotonic() - begun < 20
    clock.step(31)
    assert credential.token().access_token == "at-2"
    assert len(server.requests) == 2


def test_shares_a_failure_but_does_not_cache_it(start: Start) -> None:
    gate = Gate(reject("server_error", 400, "try later"))
    client, server = start(gate, issue())
    credential = client.credential(**SECRET)
    with ThreadPoolExecutor(16) as threads:
        waiting = [threads.submit(credential.token) for _ in range(16)]
        gate.wait()
        gate.opened.set()
        errors = [each.exception() for each in waiting]
    requests = len(server.requests)
    # Earlier callers share the failure; later callers wait for the pause and get a token.
    failed = [each for each in errors if each is not None]
    assert failed
    assert all(isinstance(each, InternalServerException) for each in failed)
    assert len({id(each) for each in failed}) == len(failed)
    for each in failed:
        shown = "".join(traceback.format_exception(each))
        assert "try later" in shown
        assert shown.count("in raise_copy") == 1
    assert requests <= 2
    assert credential.token().access_token == "at-2"


def test_a_timeout_does_not_cancel_the_request(start: Start) -> None:
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
    wait_for_refreshes()
    stored = store.load(credential.key)
    assert stored is not None
    assert stored.refresh_token == "rt-1"
    assert credential.token() == stored
    assert len(server.requests) == 1


def test_interrupting_a_caller_does_not_cancel_the_refresh(start: Start) -> None:
    gate = Gate()
    client, server = start(gate)
    store = MemoryStore()
    credential = client.credential(**SECRET, store=store)
    main = threading.main_thread()

    def interrupt() -> None:
        gate.wait()
        assert main.ident is not None
        signal.pthread_kill(main.ident, signal.SIGINT)

    interrupter = threading.Thread(target=interrupt)
    interrupter.start()
    with pytest.raises(KeyboardInterrupt):
        credential.token()
    interrupter.join()
    gate.opened.set()
    wait_for_refreshes()
    assert store.load(credential.key) is not None
    assert credential.token().access_token == "at-1"
    assert len(server.requests) == 1


def test_interrupting_the_start_of_a_refresh_does_not_block_later_callers(
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


def no_thread_for_refreshes(thread: threading.Thread) -> None:
    """Start the threads of the test only, as a system without free threads would."""
    if thread.name == "grantway-refresh":
        raise RuntimeError("can't start new thread")
    _start_thread(thread)


def test_the_caller_refreshes_if_no_thread_can_start(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, _ = start(issue())
    credential = client.credential(**SECRET)
    monkeypatch.setattr(threading.Thread, "start", no_thread_for_refreshes)
    assert credential.token().access_token == "at-1"


def test_an_event_loop_is_not_blocked_if_no_thread_can_start(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, server = start(issue())
    credential = client.credential(**SECRET)

    async def main() -> None:
        credential.token(timeout=0.2)

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", no_thread_for_refreshes)
        with pytest.raises(ProviderPausedError, match="refreshes are already running") as caught:
            asyncio.run(main())
    assert caught.value.retry_after == 1.0
    assert not server.requests
    assert credential.token().access_token == "at-1"


def test_returns_valid_tokens_while_the_number_of_refreshes_is_limited(
    start: Start, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(issue())
    client, server = start(issue(), gate, issue())
    held, new, slow = (client.credential(**SECRET, subject=name) for name in "abc")
    assert held.token().access_token == "at-1"
    monkeypatch.setattr(single_flight, "_MOST", 1)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(slow.token)
        gate.wait()
        clock.step(3600 - 120)  # in the advisory window of the held token
        assert held.token().access_token == "at-1"
        with pytest.raises(ProviderPausedError) as caught:
            new.token(timeout=0.5)
        assert 0 < caught.value.retry_after <= 1.0
        gate.opened.set()
        waiting.result(PATIENCE)
    assert new.token().access_token == "at-3"
    assert len(server.requests) == 3


def test_counts_a_failure_once_for_all_callers_of_another_credential(start: Start) -> None:
    gate = Gate(faults.respond(500, b"{}"))
    client, server = start(gate)
    store = MemoryStore()
    one, other = (client.credential(**SECRET, store=store) for _ in range(2))
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(one.token)
        gate.wait()
        waiters = [other._step(Deadline(PATIENCE)) for _ in range(16)]
        gate.opened.set()
        assert isinstance(first.exception(), OutcomeUnknownError)
    assert len({id(future) for future, _ in waiters}) == 1

    def finish(future: Future[Token], seen: Snapshot) -> None:
        other._apply(seen, future)
        single_flight.raise_copy(future)

    errors = run_together([partial(finish, *waiter) for waiter in waiters])  # type: ignore[arg-type]
    assert all(isinstance(each, OutcomeUnknownError) for each in errors)
    assert other._state.failure is not None
    assert other._state.failure.failures == 1
    assert len(server.requests) == 1


def test_a_late_result_does_not_replace_a_newer_token(start: Start) -> None:
    client, _ = start(issue(), issue())
    credential = client.credential(**SECRET)
    seen = Snapshot(credential._state.token, 0)
    first = credential.token()
    wait_for_refreshes()
    late: Future[Token] = Future()
    late.set_result(first)
    credential.invalidate(first)
    second = credential.token()
    assert credential._apply(seen, late) is None
    assert credential.token() is second


def test_a_login_during_a_refresh_takes_precedence(start: Start) -> None:
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
