"""Tests of a token that is revoked while many callers use it: one refresh, and no failure."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from grantway_plugins.auth import TokenAuth
from tests.plugins.auth.libraries import LIBRARIES, gather
from tests.plugins.auth.resource import Application, Resource

pytestmark = pytest.mark.slow

THREADS, TASKS = 64, 64


@pytest.fixture
def revoked() -> set[str]:
    return set()


@pytest.fixture
def resource(application: Application, revoked: set[str]) -> Resource:
    """Run a resource that knows the application's valid tokens without introspection."""
    return Resource(lambda token: token in application.tokens and token not in revoked)


@pytest.mark.parametrize("library", ["requests", "httpx", "httpx2"])
def test_threads_share_one_refresh(
    application: Application, resource: Resource, revoked: set[str], library: str
) -> None:
    credential = application.credential()
    revoked.add(credential.token().access_token)
    together = threading.Barrier(THREADS)

    def send() -> int:
        together.wait(30)
        return LIBRARIES[library](credential, resource.url, b"x").status

    with resource, ThreadPoolExecutor(THREADS) as pool:
        statuses = [each.result() for each in [pool.submit(send) for _ in range(THREADS)]]
    assert statuses == [200] * THREADS
    assert len(application.tokens) == 2
    first, second = (f"Bearer {token}" for token in application.tokens)
    assert 1 <= resource.authorizations.count(first) <= THREADS
    assert resource.authorizations.count(second) == THREADS


ASYNC = ["httpx", "httpx2", "aiohttp"]


@pytest.mark.parametrize("library", ASYNC)
def test_tasks_share_one_refresh(
    application: Application, resource: Resource, revoked: set[str], library: str
) -> None:
    credential = application.credential()
    revoked.add(credential.token().access_token)
    with resource:
        auth = TokenAuth(credential, origins=[resource.url])
        statuses = asyncio.run(gather(library, auth, resource.url, TASKS))
    assert statuses == [200] * TASKS
    assert len(application.tokens) == 2
    assert resource.authorizations.count(f"Bearer {application.tokens[1]}") == TASKS


@pytest.mark.parametrize("library", ASYNC)
def test_a_refresh_does_not_block_the_event_loop(application: Application, library: str) -> None:
    loop_went_on = threading.Event()
    waited: list[bool] = []
    credential = application.client.credential(
        grant_type="client_credentials",
        # Block the token request until the event loop has run another task.
        on_token=lambda token: waited.append(loop_went_on.wait(30)),
    )

    async def send(url: str) -> list[int]:
        auth = TokenAuth(credential, origins=[url])
        got = asyncio.create_task(gather(library, auth, url, 1))
        await asyncio.sleep(0)  # the refresh has started and cannot end yet
        loop_went_on.set()
        return await got

    with Resource(application.active) as resource:
        assert asyncio.run(send(resource.url)) == [200]
    assert waited == [True]
