"""Logins of threads and event loops together, and logins whose event loop or caller ends."""

from __future__ import annotations

import asyncio
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import grantway
from grantway_grants import authorization_code
from grantway_plugins.auth import ResourceAuth
from tests.plugins.auth.sites import (
    REDIRECT,
    Logins,
    Site,
    auth_for,
    folder_store,
    get,
    visit,
)
from tests.waiting import PATIENCE, until


async def log_in(client: grantway.Client, **options: Any) -> grantway.Token:
    return await authorization_code.login_by_paste_async(
        client, lambda url: asyncio.to_thread(visit, url), redirect_uri=REDIRECT, **options
    )


def callers(auth: ResourceAuth) -> int:
    """Return how many callers wait."""
    return sum(each.cancel.callers for each in auth._tokens.jobs._jobs.values())


def starting(client: grantway.Client, **options: Any) -> Any:
    """Return the coroutine of a login without being asynchronous."""
    return log_in(client, **options)


@pytest.mark.parametrize("login", [log_in, starting])
def test_a_blocking_call_does_not_prevent_an_async_login(site: Site, login: Any) -> None:
    auth = auth_for(site, login)
    with pytest.raises(grantway.ConfigurationError, match="login: is async"):
        get(site, auth)
    assert asyncio.run(auth.token_async()).scope == ("read",)
    assert get(site, auth) == 200


def test_a_blocking_call_joins_an_async_login(site: Site) -> None:
    async def login(client: grantway.Client, **options: Any) -> grantway.Token:
        await asyncio.to_thread(until, lambda: callers(auth) == 2)
        return await log_in(client, **options)

    async def main() -> None:
        waiting = asyncio.create_task(auth.token_async())
        await asyncio.to_thread(until, lambda: callers(auth))
        blocking = asyncio.create_task(asyncio.to_thread(auth.token))
        assert await waiting == await blocking

    auth = auth_for(site, login)
    asyncio.run(main())


def test_a_blocking_call_does_not_stop_the_loop_of_its_login(site: Site) -> None:
    async def main() -> None:
        begun, finish = asyncio.Event(), asyncio.Event()

        async def login(client: grantway.Client, **options: Any) -> grantway.Token:
            begun.set()
            await finish.wait()
            return await log_in(client, **options)

        auth = auth_for(site, login)
        waiting = asyncio.create_task(auth.token_async())
        await begun.wait()
        with pytest.raises(grantway.ConfigurationError, match="token_async"):
            auth.token()
        finish.set()
        assert (await waiting).scope == ("read",)

    asyncio.run(main())


@pytest.mark.parametrize("blocking", [False, True])
def test_callers_log_in_themselves_if_the_loop_of_the_login_ends(
    site: Site, blocking: bool
) -> None:
    begun = threading.Event()

    async def hang(client: grantway.Client, **options: Any) -> grantway.Token:
        if begun.is_set():
            return await log_in(client, **options)
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError("not reached")

    async def ends() -> None:
        waiting = asyncio.create_task(auth.token_async())
        await asyncio.to_thread(until, lambda: callers(auth) == 2)
        waiting.cancel()

    auth = auth_for(site, hang)
    with ThreadPoolExecutor(2) as pool:
        ending = pool.submit(asyncio.run, ends())
        assert begun.wait(PATIENCE)
        if blocking:
            with pytest.raises(grantway.ConfigurationError, match="login: is async"):
                auth.token()
        else:
            assert asyncio.run(auth.token_async()).scope == ("read",)
        ending.result()


@pytest.mark.parametrize("call", ["client", "accept"])
def test_a_login_cannot_wait_for_its_own_lock(site: Site, call: str) -> None:
    logins = Logins()

    def login(client: grantway.Client, **options: Any) -> grantway.Token:
        token = logins(client, **options)
        auth.client() if call == "client" else auth.accept(token)
        return token

    auth = auth_for(site, login)
    with pytest.raises(grantway.ConfigurationError, match="would wait for itself"):
        auth.token()


def test_a_cancelled_request_does_not_wait_for_a_resource_that_hangs() -> None:
    """Otherwise the program could not exit before the timeout of the discovery."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/mcp"
        auth = ResourceAuth(url, client_name="test", login=Logins())

        async def main() -> socket.socket:
            waiting = asyncio.create_task(auth.token_async())
            connection, _ = await asyncio.to_thread(server.accept)
            waiting.cancel()
            return connection

        with asyncio.run(main()):
            (job,) = auth._tokens.jobs._jobs.values()
            assert isinstance(job.flight.exception(PATIENCE), grantway.FlowCancelledError)
    until(lambda: "grantway-discovery" not in {each.name for each in threading.enumerate()})


def test_an_interrupted_login_does_not_fail_those_that_wait_for_it(
    site: Site, tmp_path: Path
) -> None:
    """For example because of a timeout in another process."""
    running, logins = threading.Event(), Logins()

    def hang(client: grantway.Client, *, cancel: threading.Event, **_: Any) -> grantway.Token:
        running.set()
        assert cancel.wait(PATIENCE)
        raise grantway.FlowCancelledError("The login was cancelled.")

    store = folder_store(tmp_path)
    locked, lock = threading.Event(), store.lock

    def tell(key: str, timeout: float) -> Any:
        locked.set()
        return lock(key, timeout)

    store.lock = tell  # type: ignore[method-assign]

    async def interrupted() -> None:
        auth = auth_for(site, hang, store=folder_store(tmp_path))
        waiting = asyncio.create_task(auth.token_async())
        await asyncio.to_thread(locked.wait, PATIENCE)
        waiting.cancel()

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(asyncio.run, interrupted())
        assert running.wait(PATIENCE)
        assert auth_for(site, logins, store=store).token().scope == ("read",)
        first.result()
    assert len(logins.calls) == 1


def test_a_token_that_was_not_stored_does_not_replace_a_later_one(site: Site) -> None:
    store: Any = grantway.default_registry().store("memory")
    save = store.save

    def fail(key: str, token: grantway.Token, *, fence: int = 0) -> None:
        if key.startswith("resource token"):
            raise grantway.StoreSaveError("The disk is full.")
        save(key, token, fence=fence)

    auth, other = (auth_for(site, Logins(), store=store) for _ in range(2))
    store.save = fail
    with pytest.raises(grantway.StoreSaveError):
        auth.token()
    store.save = save
    later = other.log_in(scope="write")
    assert auth.token() == later
    assert auth_for(site, store=store).token() == later
