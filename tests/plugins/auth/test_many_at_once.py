"""Tests of a token that is revoked while many callers use it: one refresh, and no failure."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
import requests

from grantway_plugins.auth import HttpxAuth, RequestsAuth
from tests.plugins.auth.resource import Application, Resource

THREADS, TASKS = 64, 200


@pytest.fixture
def revoked() -> set[str]:
    return set()


@pytest.fixture
def resource(application: Application, revoked: set[str]) -> Resource:
    """Run a resource that knows the application's valid tokens without introspection."""
    return Resource(lambda token: token in application.tokens and token not in revoked)


@pytest.mark.parametrize("library", ["requests", "httpx"])
def test_threads_share_one_refresh(
    application: Application, resource: Resource, revoked: set[str], library: str
) -> None:
    credential = application.credential()
    revoked.add(credential.token().access_token)
    together = threading.Barrier(THREADS)

    def by_requests() -> int:
        with requests.Session() as session:
            session.auth = RequestsAuth(credential)
            together.wait(30)
            return session.post(resource.url, data=b"x", timeout=30).status_code

    def by_httpx() -> int:
        with httpx.Client(auth=HttpxAuth(credential), timeout=30) as client:
            together.wait(30)
            return client.post(resource.url, content=b"x").status_code

    send = by_requests if library == "requests" else by_httpx
    with resource, ThreadPoolExecutor(THREADS) as pool:
        statuses = [each.result() for each in [pool.submit(send) for _ in range(THREADS)]]
    assert statuses == [200] * THREADS
    assert len(application.tokens) == 2
    first, second = (f"Bearer {token}" for token in application.tokens)
    assert 1 <= resource.authorizations.count(first) <= THREADS
    assert resource.authorizations.count(second) == THREADS


def test_tasks_share_one_refresh(
    application: Application, resource: Resource, revoked: set[str]
) -> None:
    credential = application.credential()
    revoked.add(credential.token().access_token)

    async def send() -> list[int]:
        limits = httpx.Limits(max_connections=64)
        auth = HttpxAuth(credential)
        async with httpx.AsyncClient(auth=auth, timeout=30, limits=limits) as client:
            posts = (client.post(resource.url, content=b"x") for _ in range(TASKS))
            return [each.status_code for each in await asyncio.gather(*posts)]

    with resource:
        statuses = asyncio.run(send())
    assert statuses == [200] * TASKS
    assert len(application.tokens) == 2
    assert resource.authorizations.count(f"Bearer {application.tokens[1]}") == TASKS


def test_a_refresh_does_not_block_the_event_loop(application: Application) -> None:
    loop_went_on = threading.Event()
    waited: list[bool] = []
    credential = application.client.credential(
        grant_type="client_credentials",
        # Block the token request until the event loop has run another task.
        on_token=lambda token: waited.append(loop_went_on.wait(30)),
    )

    async def send(url: str) -> int:
        async with httpx.AsyncClient(auth=HttpxAuth(credential), timeout=30) as client:
            got = asyncio.create_task(client.get(url))
            await asyncio.sleep(0)  # the refresh has started and cannot end yet
            loop_went_on.set()
            return (await got).status_code

    with Resource(application.active) as resource:
        assert asyncio.run(send(resource.url)) == 200
    assert waited == [True]
