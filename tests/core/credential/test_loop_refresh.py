"""Refreshes on event loops: shared with threads, never cancelled, and stored before a loop ends."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from grantway import AsyncStore, Client, Freshness, Store, Token
from grantway._credentials import credential_config, single_flight
from grantway._exceptions import (
    ConfigurationError,
    InvalidClientException,
    InvalidGrantException,
    LoginNeededError,
    OutcomeUnknownError,
    ProviderPausedError,
    StoreSaveError,
    WaitTimeoutError,
)
from grantway_plugins.stores.file._store import FileStore
from grantway_plugins.stores.memory._store import MemoryStore
from tests.core.credential.conftest import Start
from tests.core.credential.doubles import FaultyStore
from tests.core.credential.scenes import PATIENCE, SECRET, Clock, Gate, issue, token
from tests.core.credential.test_async import arrival

LOGIN: dict[str, Any] = {"grant_type": "urn:ietf:params:oauth:grant-type:device_code"}
CODE: dict[str, Any] = {
    "grant_type": "authorization_code",
    "code": "c-1",
    "redirect_uri": "http://127.0.0.1/cb",
    "code_verifier": "v" * 43,
}
EXACT = Freshness(jitter=0)


@contextmanager
def no_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail if the block starts a thread."""

    def start(self: threading.Thread) -> None:
        raise AssertionError(f"started the thread {self.name}")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", start)
        yield


# --- Single flight --------------------------------------------------------------------------------


@pytest.mark.parametrize("with_store", [True, False])
def test_a_thousand_tasks_cause_one_refresh_and_start_no_thread(
    with_store: bool, start: Start, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The server starts a thread for each connection, so the gate is opened by the test.
    gate = Gate()
    client, server = start(gate)
    credential = client.credential(**LOGIN, store=MemoryStore() if with_store else None)
    credential.accept(token(9))
    clock.step(3600)

    async def main() -> list[Token]:
        threads = threading.active_count()
        tasks = [asyncio.create_task(credential.token_async()) for _ in range(1000)]
        await arrival(gate)
        started = {each.name for each in threading.enumerate()[threads:]}
        assert not {name for name in started if name.startswith(("grantway", "asyncio"))}
        gate.opened.set()
        return await asyncio.gather(*tasks)

    assert {each.access_token for each in asyncio.run(main())} == {"at-1"}
    assert len(server.requests) == 1


def test_a_refresh_starts_no_thread(
    start: Start, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client responds by itself, because a server would start threads."""

    class Issuer(Client):
        async def create_token_async(self, **params: Any) -> Token:
            await asyncio.sleep(0)
            return token(1)

    client, _ = start(issue(), kind=Issuer)
    store = MemoryStore()
    credential = client.credential(**LOGIN, store=store, freshness=EXACT)

    async def main() -> None:
        await credential.accept_async(token(9))
        clock.step(3400)
        assert (await credential.token_async()).access_token == "at-9"
        clock.step(200)
        assert (await credential.token_async()).access_token == "at-1"
        await credential.forget_async()

    with no_threads(monkeypatch):
        asyncio.run(main())
    assert store.load(credential.key) is None


def test_threads_and_two_event_loops_share_one_refresh(start: Start) -> None:
    gate = Gate()
    client, server = start(gate)
    credential = client.credential(**SECRET)
    with ThreadPoolExecutor(10) as threads:
        first = threads.submit(lambda: asyncio.run(credential.token_async()))
        gate.wait()
        second = threads.submit(lambda: asyncio.run(credential.token_async()))
        others = [threads.submit(credential.token) for _ in range(8)]
        gate.opened.set()
        found = {each.result(PATIENCE) for each in (first, second, *others)}
    assert {each.access_token for each in found} == {"at-1"}
    assert len(server.requests) == 1


def test_a_refresh_on_the_loop_starts_in_the_advisory_window(start: Start, clock: Clock) -> None:
    client, server = start(issue())
    store = MemoryStore()
    credential = client.credential(**LOGIN, store=store, freshness=EXACT)
    credential.accept(token(9))
    clock.step(3400)

    async def main() -> str:
        return (await credential.token_async()).access_token

    # asyncio.run cancels the refresh before its first step.
    assert asyncio.run(main()) == "at-9"
    stored = store.load(credential.key)
    assert stored is not None
    assert stored.refresh_token == "rt-1"
    assert credential.token().access_token == "at-1"
    assert len(server.requests) == 1


# --- Cancelling -----------------------------------------------------------------------------------


def test_cancelling_all_waiting_tasks_does_not_cancel_the_refresh(
    start: Start, clock: Clock
) -> None:
    gate = Gate()
    client, server = start(gate)
    store = MemoryStore()
    credential = client.credential(**LOGIN, store=store)
    credential.accept(token(9))
    clock.step(3600)

    async def main() -> str:
        tasks = [asyncio.create_task(credential.token_async()) for _ in range(100)]
        await arrival(gate)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        assert all(task.cancelled() for task in tasks)
        gate.opened.set()
        return (await credential.token_async()).access_token

    assert asyncio.run(main()) == "at-1"
    stored = store.load(credential.key)
    assert stored is not None
    assert stored.refresh_token == "rt-1"
    assert len(server.requests) == 1


def test_each_waiting_task_has_its_own_timeout(start: Start, clock: Clock) -> None:
    gate = Gate()
    client, server = start(gate)
    credential = client.credential(**LOGIN)
    credential.accept(token(9))
    clock.step(3600)
    ended: list[object] = []

    async def wait(timeout: float) -> None:  # noqa: ASYNC109 - as token_async
        try:
            ended.append((await credential.token_async(timeout)).access_token)
        except WaitTimeoutError:
            ended.append(timeout)
        if len(ended) == 3:
            gate.opened.set()

    async def main() -> None:
        timeouts = (PATIENCE, 0.03, 0.01, PATIENCE, 0.02)
        await asyncio.gather(*(wait(timeout) for timeout in timeouts))

    asyncio.run(main())
    assert {*ended[:3]} == {0.01, 0.02, 0.03}
    assert ended[3:] == ["at-1", "at-1"]
    assert len(server.requests) == 1


@pytest.mark.parametrize("ending", ["asyncio.run", "all tasks cancelled"])
def test_the_end_of_a_program_does_not_lose_the_new_refresh_token(
    ending: str, start: Start, clock: Clock
) -> None:
    """The provider responds only after the program has cancelled all tasks."""
    gate = Gate()
    client, server = start(gate)
    store = MemoryStore()
    credential = client.credential(**LOGIN, store=store)
    credential.accept(token(9))
    clock.step(3600)

    async def wait() -> None:
        try:
            await credential.token_async()
        finally:
            gate.opened.set()

    async def main() -> None:
        waiting = asyncio.create_task(wait())
        await arrival(gate)
        assert not waiting.done()
        if ending == "all tasks cancelled":
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.wait(others)

    asyncio.run(main())
    assert gate.opened.is_set()
    stored = store.load(credential.key)
    assert stored is not None
    assert (stored.access_token, stored.refresh_token) == ("at-1", "rt-1")
    assert len(server.requests) == 1


def test_a_refresh_that_starts_while_the_loop_ends_is_stored(start: Start, clock: Clock) -> None:
    client, _ = start(issue())
    store = MemoryStore()
    credential = client.credential(**LOGIN, store=store, freshness=EXACT)
    credential.accept(token(9))
    clock.step(3400)

    async def serve() -> None:
        try:
            await asyncio.sleep(PATIENCE)
        finally:
            await credential.token_async()  # in the advisory window: returns without waiting

    async def main() -> None:
        serving = asyncio.create_task(serve())
        await asyncio.sleep(0)
        assert not serving.done()

    asyncio.run(main())
    stored = store.load(credential.key)
    assert stored is not None
    assert stored.refresh_token == "rt-1"


def test_a_loop_waits_no_longer_than_the_longest_refresh(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Endless(Client):
        async def create_token_async(self, **params: Any) -> Token:
            await asyncio.Event().wait()
            raise AssertionError

    monkeypatch.setattr(credential_config, "_STORE_CALLS", 0.0)
    client, _ = start(issue(), kind=Endless, timeout=0.05)
    credential = client.credential(**SECRET)

    async def main() -> None:
        with pytest.raises(WaitTimeoutError):
            await credential.token_async(0)

    asyncio.run(main())
    assert isinstance(credential.last_error, OutcomeUnknownError)
    assert not credential.refreshing()


# --- Loops that are closed or stopped -------------------------------------------------------------


class Awaited(Client):
    """A client whose first response the test sends; the others come from the provider.

    No connection is open meanwhile, because closing a loop would leave it open.
    """

    response: asyncio.Future[Token] | None = None

    async def create_token_async(self, **params: Any) -> Token:
        if self.response is not None:
            return await super().create_token_async(**params)
        self.response = asyncio.get_running_loop().create_future()
        return await self.response

    def begin(self, credential: Any) -> asyncio.AbstractEventLoop:
        """Return an event loop that was stopped after it had sent a request."""
        loop = asyncio.new_event_loop()

        async def main() -> None:
            waiting = asyncio.ensure_future(credential.token_async())
            while self.response is None:  # noqa: ASYNC110 - the request is sent in a few steps
                await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.wait([waiting])

        loop.run_until_complete(main())
        return loop


def finish(loop: asyncio.AbstractEventLoop) -> None:
    """End a loop as ``asyncio.run`` does."""
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


@pytest.mark.parametrize("kind", ["memory", "file"])
def test_closing_a_loop_during_a_request_gives_waiting_threads_an_error(
    kind: str, start: Start, clock: Clock, tmp_path: Path
) -> None:
    client, server = start(issue(), kind=Awaited)
    store: Store = MemoryStore() if kind == "memory" else FileStore(tmp_path)
    credential = client.credential(**LOGIN, store=store)
    credential.accept(token(9))
    clock.step(3600)
    loop = client.begin(credential)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(credential.token)
        with pytest.raises(WaitTimeoutError, match="waits for its event loop"):
            credential.token(0.05)
        loop.close()
        with pytest.raises(OutcomeUnknownError, match="the event loop was closed"):
            waiting.result(PATIENCE)
    # The lock is free, and the old refresh token may be sent again.
    assert credential.token().access_token == "at-1"
    assert server.requests[0].form["refresh_token"] == ["rt-9"]
    assert not credential.refreshing()


def test_closing_a_loop_during_a_request_does_not_send_a_code_twice(start: Start) -> None:
    client, server = start(issue(), kind=Awaited)
    credential = client.credential(**CODE)
    client.begin(credential).close()
    with pytest.raises(LoginNeededError):
        credential.token()
    assert isinstance(credential.last_error, LoginNeededError)
    assert not server.requests


def test_a_stopped_loop_finishes_the_refresh_when_it_runs_again(start: Start) -> None:
    client, server = start(issue(), kind=Awaited)
    credential = client.credential(**SECRET)
    loop = client.begin(credential)
    response = token(1)
    client.response.set_result(response)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(credential.token)
        running = threading.Thread(target=loop.run_forever)
        running.start()
        assert waiting.result(PATIENCE) is response
    loop.call_soon_threadsafe(loop.stop)
    running.join(PATIENCE)
    finish(loop)
    assert not server.requests


def test_callers_do_not_wait_forever_for_a_stopped_loop(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credential_config, "_STORE_CALLS", 0.2 - 2 * PATIENCE)
    client, _ = start(issue(), kind=Awaited, timeout=PATIENCE)
    credential = client.credential(**SECRET)
    loop = client.begin(credential)
    assert credential.token(float("inf")).access_token == "at-1"
    # A late response does not replace the newer token.
    client.response.set_result(token(9))
    finish(loop)
    assert credential.token().access_token == "at-1"


def test_forgets_refreshes_of_closed_loops_before_it_rejects_others(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, _ = start(issue(), kind=Awaited)
    client.begin(client.credential(**SECRET, subject="closed")).close()
    monkeypatch.setattr(single_flight, "_MOST", 1)
    assert client.credential(**SECRET, subject="other").token().access_token == "at-1"


# --- The blocking API on the same loop ------------------------------------------------------------


@pytest.mark.parametrize("call", ["token", "accept", "forget"])
def test_a_blocking_call_on_the_refreshing_loop_is_rejected(call: str, start: Start) -> None:
    gate = Gate()
    client, _ = start(gate)
    credential = client.credential(**SECRET, store=MemoryStore())

    async def main() -> None:
        waiting = asyncio.create_task(credential.token_async())
        await arrival(gate)
        arguments = [token(5)] if call == "accept" else []
        with pytest.raises(ConfigurationError, match=rf"await credential\.{call}_async\(\)"):
            getattr(credential, call)(*arguments)
        gate.opened.set()
        await waiting

    asyncio.run(main())


def test_on_token_is_called_on_the_loop_and_cannot_wait_for_itself(
    start: Start, clock: Clock
) -> None:
    client, _ = start(issue())
    seen: list[object] = []

    def look(new: Token) -> None:
        seen.append(asyncio.get_running_loop())
        if len(seen) == 1:
            credential.token()

    credential = client.credential(**SECRET, on_token=look)

    async def main() -> Token:
        with pytest.raises(ConfigurationError, match="would wait for itself"):
            await credential.token_async()
        token = await credential.token_async()
        assert set(seen) == {asyncio.get_running_loop()}
        return token

    assert asyncio.run(main()).access_token == "at-1"


def test_a_source_that_waits_for_its_own_credential_is_rejected(start: Start) -> None:
    class Circular(Client):
        async def create_token_async(self, **params: Any) -> Token:
            return await credential.token_async()

    client, _ = start(issue(), kind=Circular)
    credential = client.credential(**SECRET)
    with pytest.raises(ConfigurationError, match="would wait for itself"):
        asyncio.run(credential.token_async())


# --- Rules of a refresh ---------------------------------------------------------------------------


def test_a_failed_save_is_retried_on_the_loop(start: Start, clock: Clock) -> None:
    client, server = start(issue())
    store = FaultyStore()
    credential = client.credential(**LOGIN, store=store)
    credential.accept(token(9))
    clock.step(3600)
    store.full = True

    async def main() -> None:
        with pytest.raises(StoreSaveError, match="the next call saves it"):
            await credential.token_async()
        store.full = False
        assert await credential.token_async() == store.load(credential.key)

    asyncio.run(main())
    assert store.saved[-1][1] == 7
    assert len(server.requests) == 1


def test_withdraws_a_rejected_refresh_token_on_the_loop(start: Start, clock: Clock) -> None:
    class Rejecting(Client):
        async def create_token_async(self, **params: Any) -> Token:
            raise InvalidGrantException("revoked")

    client, _ = start(issue(), kind=Rejecting)
    store = MemoryStore()
    credential = client.credential(**LOGIN, store=store)
    credential.accept(token(9))
    clock.step(3600)
    with pytest.raises(LoginNeededError):
        asyncio.run(credential.token_async())
    assert store.load(credential.key) is None


def test_finds_a_token_that_another_process_stored_during_the_pause(start: Start) -> None:
    class Rejecting(Client):
        async def create_token_async(self, **params: Any) -> Token:
            raise InvalidClientException("invalid_client")

    client, _ = start(issue(), kind=Rejecting)
    store = MemoryStore()
    credential = client.credential(**SECRET, store=store)

    async def main() -> str:
        with pytest.raises(InvalidClientException):
            await credential.token_async()
        store.save(credential.key, token(7))
        while True:
            try:
                return (await credential.token_async(0)).access_token
            except ProviderPausedError:  # until the store was read in the background
                await asyncio.sleep(0)

    assert asyncio.run(main()) == "at-7"


# --- Stores without asynchronous or blocking methods ----------------------------------------------


class ThreadBoundStore(MemoryStore):
    """A blocking store whose lock must be released by the thread that acquired it."""

    load_async = save_async = delete_async = lock_async = None  # type: ignore[assignment]

    def __init__(self) -> None:
        super().__init__()
        self.guard = threading.RLock()

    @contextmanager
    def _hold(self, key: str, timeout: float) -> Iterator[int]:
        with self.guard, super()._hold(key, timeout):
            yield 0

    def check_writable(self, key: str, token: Token) -> None:
        assert threading.current_thread() is not threading.main_thread()


@pytest.mark.parametrize("kind", ["thread-bound", "file"])
def test_a_blocking_store_runs_in_threads(
    kind: str, start: Start, clock: Clock, tmp_path: Path
) -> None:
    client, server = start(issue())
    store: Store = ThreadBoundStore() if kind == "thread-bound" else FileStore(tmp_path)
    credential = client.credential(**LOGIN, store=store)

    async def main() -> Token:
        await credential.accept_async(token(9))
        clock.step(3600)
        return await credential.token_async()

    assert asyncio.run(main()) == store.load(credential.key)
    with store.lock(credential.key, 0):
        pass
    asyncio.run(credential.forget_async())
    assert store.load(credential.key) is None
    assert len(server.requests) == 1


def test_cancelling_a_wait_for_the_lock_of_a_blocking_store_releases_it_later() -> None:
    from grantway._credentials.async_store import asynchronous  # noqa: PLC0415 - used only here

    store = ThreadBoundStore()
    store.guard.acquire()

    async def main() -> None:
        async def hold() -> None:
            async with asynchronous(store).lock_async("key", PATIENCE):
                raise AssertionError

        waiting = asyncio.create_task(hold())
        await asyncio.sleep(0.01)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(main())
    store.guard.release()
    with store.lock("key", PATIENCE):
        pass


class OnlyAsyncStore:
    """A store without blocking methods."""

    def __init__(self) -> None:
        self._store = MemoryStore()
        for name in ("load", "save", "delete", "lock"):
            setattr(self, f"{name}_async", getattr(self._store, f"{name}_async"))


def test_a_store_with_asynchronous_methods_only_works_on_loops_only(
    start: Start, clock: Clock
) -> None:
    client, _ = start(issue())
    store: AsyncStore = OnlyAsyncStore()  # type: ignore[assignment]
    credential = client.credential(**LOGIN, store=store)

    async def main() -> Token:
        await credential.accept_async(token(9))
        clock.step(3600)
        return await credential.token_async()

    found = asyncio.run(main())
    assert found.access_token == "at-1"
    credential.invalidate(found)
    for call in (credential.token, lambda: credential.accept(token(5)), credential.forget):
        with pytest.raises(ConfigurationError, match=r"asynchronous methods only.*_async\(\)"):
            call()


def test_a_store_whose_plain_methods_are_asynchronous_is_rejected(start: Start) -> None:
    class Misnamed(MemoryStore):
        async def load(self, key: str) -> Token | None:  # type: ignore[override]
            return None

    client, _ = start(issue())
    with pytest.raises(ConfigurationError, match="load; call it load_async, and use it with await"):
        client.credential(**SECRET, store=Misnamed())
