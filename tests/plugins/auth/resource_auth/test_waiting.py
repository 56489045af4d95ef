"""Concurrent requests to a resource: one login, one refresh, and logins that are interrupted."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any

import httpx2
import pytest

import grantway
from grantway_grants import authorization_code
from grantway_plugins.auth import ResourceAuth, StepUpRequiredError
from grantway_plugins.auth._resource.need import Need, Reason
from grantway_plugins.stores import MemoryStore
from tests.plugins.auth.libraries import OPTIONS, gather
from tests.plugins.auth.resource import Seen
from tests.plugins.auth.resource_auth.test_interrupted import callers
from tests.plugins.auth.sites import REDIRECT, REFRESH, Issuer, Logins, Site, auth_for, get, visit
from tests.waiting import PATIENCE, until

MANY = 64
ASYNC = ["httpx", "httpx2", "aiohttp"]


def at_once(site: Site, auth: ResourceAuth, path: str = "/mcp") -> list[int]:
    """Send requests in many threads, and return their statuses."""
    together = threading.Barrier(MANY)

    def send() -> int:
        together.wait(PATIENCE)
        return get(site, auth, path)

    with ThreadPoolExecutor(MANY) as pool:
        return [each.result() for each in [pool.submit(send) for _ in range(MANY)]]


@pytest.mark.slow
@pytest.mark.parametrize("library", [*ASYNC, "threads"])
class TestManyRequests:
    """Many requests at once, in tasks or threads."""

    def send(self, library: str, site: Site, auth: ResourceAuth, path: str = "/mcp") -> None:
        if library == "threads":
            statuses = at_once(site, auth, path)
        else:
            statuses = asyncio.run(gather(library, auth, f"{site.url}{path}", MANY))
        assert statuses == [200] * MANY

    def test_share_one_login(
        self, site: Site, issuer: Issuer, logins: Logins, library: str
    ) -> None:
        self.send(library, site, auth_for(site, logins))
        assert (len(logins.calls), issuer.count("/register"), site.looks) == (1, 1, 1)

    def test_share_one_refresh(
        self, site: Site, issuer: Issuer, logins: Logins, library: str
    ) -> None:
        auth = auth_for(site, logins)
        site.rejected.add(auth.token().access_token)
        self.send(library, site, auth)
        assert (len(logins.calls), issuer.count("/token", REFRESH)) == (1, 1)

    def test_share_one_step_up(self, site: Site, logins: Logins, library: str) -> None:
        site.required["/mcp/write"] = {"write"}
        auth = auth_for(site, logins)
        auth.token()
        self.send(library, site, auth, "/mcp/write")
        assert len(logins.calls) == 2

    def test_share_one_change_of_the_issuer(
        self, site: Site, issuer: Issuer, logins: Logins, library: str
    ) -> None:
        auth = auth_for(site, logins)
        auth.token()
        judge, before = site.respond_to, len(site.seen)

        def respond(seen: Seen) -> tuple[int, dict[str, str]]:
            # A request that begins later has the refreshed token, and refreshes it once more.
            until(lambda: len(site.seen) >= before + MANY)
            return judge(seen)

        site.respond_to = respond  # type: ignore[method-assign]
        with Issuer() as other:
            site.issuer = other
            self.send(library, site, auth)
            assert other.count("/register") == 1
        assert len(logins.calls) == 2
        assert issuer.count("/token", REFRESH) == 1


@pytest.mark.slow
def test_many_requests_share_one_failed_login(site: Site, logins: Logins) -> None:
    """The user cancels, and is not asked by the other requests."""
    logins.fail = grantway.FlowTimeoutError("The login was not finished.")
    logins.begin = lambda: until(lambda: len(site.seen), lambda seen: seen >= MANY)

    async def main() -> list[Any]:
        limits = httpx2.Limits(max_connections=MANY)
        auth = auth_for(site, logins)
        async with httpx2.AsyncClient(auth=auth, limits=limits, **OPTIONS) as client:
            gets = (client.get(site.mcp) for _ in range(MANY))
            return await asyncio.gather(*gets, return_exceptions=True)

    errors = asyncio.run(main())
    assert {type(each) for each in errors} <= {grantway.FlowTimeoutError, grantway.LoginNeededError}
    assert len(logins.calls) == 1


def test_a_failed_login_is_not_repeated_at_once(site: Site, logins: Logins) -> None:
    logins.fail = grantway.AccessDeniedException("The user denied the request.")
    auth = auth_for(site, logins)
    with pytest.raises(grantway.AccessDeniedException):
        get(site, auth)
    with pytest.raises(grantway.LoginNeededError, match="The user denied the request") as caught:
        get(site, auth)
    assert isinstance(caught.value.__cause__, grantway.AccessDeniedException)
    assert len(logins.calls) == 1
    logins.fail = None
    auth.log_in()
    assert get(site, auth) == 200


class CountedStore(MemoryStore):
    """A store that counts the calls that took a lock, or wait for one, by key."""

    def __init__(self) -> None:
        super().__init__()
        self.locks: Counter[str] = Counter()

    def lock(self, key: str, timeout: float) -> AbstractContextManager[int]:
        self.locks[key] += 1
        return super().lock(key, timeout)


def test_a_login_after_a_failed_one_is_shared(site: Site, logins: Logins) -> None:
    """Between objects with the same store, such as those of two processes."""
    store = CountedStore()
    logins.fail = grantway.AccessDeniedException("The user denied the request.")
    with pytest.raises(grantway.AccessDeniedException):
        get(site, auth_for(site, logins, store=store))
    logins.fail = None
    both = 3  # with the failed one
    logins.begin = lambda: until(lambda: max(store.locks.values()), lambda most: most >= both)
    with ThreadPoolExecutor(2) as pool:
        sent = [pool.submit(get, site, auth_for(site, logins, store=store)) for _ in range(2)]
        assert [each.result() for each in sent] == [200, 200]
    assert len(logins.calls) == 2


def test_a_login_in_the_event_loop(site: Site) -> None:
    async def main() -> int:
        approved = asyncio.Event()

        async def login(client: grantway.Client, **options: Any) -> grantway.Token:
            await approved.wait()
            return await authorization_code.login_by_paste_async(
                client, lambda url: asyncio.to_thread(visit, url), redirect_uri=REDIRECT, **options
            )

        async def approve() -> None:
            await asyncio.to_thread(until, lambda: site.looks)
            approved.set()

        async with httpx2.AsyncClient(auth=auth_for(site, login), **OPTIONS) as client:
            response, _ = await asyncio.gather(client.get(site.mcp), approve())
            return response.status_code

    assert asyncio.run(main()) == 200


def test_a_blocking_login_does_not_block_the_event_loop(site: Site, logins: Logins) -> None:
    went_on = threading.Event()
    logins.begin = lambda: went_on.wait(PATIENCE)

    async def main() -> int:
        async def go_on() -> None:
            await asyncio.to_thread(until, lambda: logins.calls)
            went_on.set()

        async with httpx2.AsyncClient(auth=auth_for(site, logins), **OPTIONS) as client:
            response, _ = await asyncio.gather(client.get(site.mcp), go_on())
            return response.status_code

    assert asyncio.run(main()) == 200


def test_an_async_login_needs_an_async_caller(site: Site) -> None:
    async def login(client: grantway.Client, **options: Any) -> grantway.Token:
        raise AssertionError("not called")

    with pytest.raises(grantway.ConfigurationError, match="login: is async"):
        get(site, auth_for(site, login))


def test_the_login_ends_when_its_task_is_cancelled(site: Site) -> None:
    ended: list[threading.Event] = []
    running = threading.Event()

    def login(client: grantway.Client, *, cancel: threading.Event, **_: Any) -> grantway.Token:
        running.set()
        assert cancel.wait(PATIENCE)
        ended.append(cancel)
        raise grantway.FlowCancelledError("The login was cancelled.")

    async def main() -> None:
        auth = auth_for(site, login)
        task = asyncio.create_task(auth.token_async())
        await asyncio.to_thread(running.wait, PATIENCE)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    until(lambda: ended)


def test_a_login_goes_on_if_a_caller_times_out(site: Site, logins: Logins) -> None:
    finish = threading.Event()
    logins.begin = lambda: finish.wait(PATIENCE)
    auth = auth_for(site, logins)
    with pytest.raises(grantway.WaitTimeoutError):
        auth.token(timeout=0.05)
    finish.set()
    assert auth.token().scope == ("read",)
    assert len(logins.calls) == 1


def test_a_login_cannot_use_the_token_that_it_gets(site: Site) -> None:
    made: list[ResourceAuth] = []

    def login(client: grantway.Client, **options: Any) -> grantway.Token:
        return made[0].token()

    made.append(auth_for(site, login))
    with pytest.raises(grantway.ConfigurationError, match="would wait for itself"):
        get(site, made[0])


def test_a_login_must_return_a_token(site: Site) -> None:
    with pytest.raises(grantway.ConfigurationError, match="login: must return a Token"):
        get(site, auth_for(site, lambda client, **_: "token"))


def test_a_token_that_cannot_be_stored_is_kept(site: Site, logins: Logins) -> None:
    store: Any = grantway.default_registry().store("memory")
    auth = auth_for(site, logins, store=store)
    save, full = store.save, [True]

    def fail(key: str, token: grantway.Token, *, fence: int = 0) -> None:
        if full and key.startswith("resource token"):
            raise grantway.StoreSaveError("The disk is full.")
        save(key, token, fence=fence)

    store.save = fail
    with pytest.raises(grantway.StoreSaveError) as caught:
        auth.token()
    assert caught.value.token is not None
    full.clear()
    assert auth.token().access_token == caught.value.token.access_token
    assert len(logins.calls) == 1


def test_a_step_up_does_not_stop_other_requests(site: Site, logins: Logins) -> None:
    site.required["/mcp/write"] = {"write"}
    auth = auth_for(site, logins)
    auth.token()
    finish = threading.Event()
    logins.begin = lambda: finish.wait(PATIENCE)
    with ThreadPoolExecutor(1) as pool:
        stepping = pool.submit(get, site, auth, "/mcp/write")
        until(lambda: len(logins.calls), lambda calls: calls == 2)
        assert get(site, auth) == 200
        finish.set()
        assert stepping.result() == 200


def test_an_error_of_a_step_up_has_the_response(site: Site, logins: Logins) -> None:
    site.required["/mcp/write"] = {"write"}
    auth = auth_for(site, logins)
    auth.token()
    logins.fail = grantway.AccessDeniedException("no")
    with pytest.raises(grantway.AccessDeniedException):
        get(site, auth, "/mcp/write")
    with pytest.raises(StepUpRequiredError) as caught:
        get(site, auth, "/mcp/write")
    assert caught.value.response.status_code == 403


def test_no_caller_gets_a_rejected_token_of_another_one(site: Site, logins: Logins) -> None:
    auth = auth_for(site, logins)
    tokens, finder = auth._tokens, auth._tokens.sessions.finder
    begun, go_on = threading.Event(), threading.Event()

    def look(*_given: Any) -> None:
        begun.set()
        assert go_on.wait(PATIENCE)

    finder.other_issuer = look  # type: ignore[method-assign, assignment]
    with ThreadPoolExecutor(2) as pool:
        former = auth.token()
        waiting = [pool.submit(tokens.token_of_other_issuer, former)]
        assert begun.wait(PATIENCE)
        waiting.append(pool.submit(tokens.token_of_other_issuer, auth.log_in()))
        until(lambda: callers(auth) == 2)
        go_on.set()
        assert [each.result() for each in waiting] == [None, None]


def test_no_caller_gets_the_token_that_it_presented(site: Site, logins: Logins) -> None:
    auth = auth_for(site, logins)
    sessions, jobs = auth._tokens.sessions, auth._tokens.jobs
    begun, go_on, existing = threading.Event(), threading.Event(), sessions.existing_token

    def wait(*given: Any) -> Any:
        begun.set()
        assert go_on.wait(PATIENCE)
        return existing(*given)

    old, new = auth.token(), auth.log_in(scope="write")
    sessions.existing_token = wait  # type: ignore[method-assign]
    with ThreadPoolExecutor(2) as pool:
        one, other = (
            Need(Reason.STEP_UP, (each.access_token,), scope=("write",)) for each in (old, new)
        )
        first = pool.submit(jobs.wait, one)
        assert begun.wait(PATIENCE)
        second = pool.submit(jobs.wait, other)
        until(lambda: callers(auth) == 2)
        go_on.set()
        assert first.result() == new
        with pytest.raises(grantway.LoginNeededError, match="a login a moment ago"):
            second.result()
