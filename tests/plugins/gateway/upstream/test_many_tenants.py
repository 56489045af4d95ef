"""A hundred concurrent tenants: each gets its own token, fetched once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
import requests

from grantway_plugins.gateway.upstream import (
    HttpxUpstreamAuth,
    RequestsUpstreamAuth,
    UpstreamAuth,
)
from tests.plugins.gateway.upstream.conftest import Gateway
from tests.plugins.gateway.upstream.servers import Tenants

Make = Callable[..., UpstreamAuth]
TENANTS, EACH, AT_ONCE = 100, 3, 24


@pytest.fixture
def wanted() -> list[str]:
    names = [f"tenant-{number}" for number in range(TENANTS)] * EACH
    random.Random(7).shuffle(names)
    return names


def test_requests_in_threads(
    upstream: Make, tenants: Tenants, target: str, wanted: list[str]
) -> None:
    auth = RequestsUpstreamAuth(upstream())

    def ask(tenant: str) -> list[str]:
        headers = {"X-Tenant": tenant}
        response = requests.get(f"{target}/x", headers=headers, auth=auth, timeout=60)
        found: list[str] = response.json()["tenant"]
        return found

    with ThreadPoolExecutor(AT_ONCE) as pool:
        assert list(pool.map(ask, wanted)) == [[tenant] for tenant in wanted]
    assert tenants.given == dict.fromkeys(wanted, 1)


def test_httpx_in_tasks(upstream: Make, tenants: Tenants, target: str, wanted: list[str]) -> None:
    async def ask_all() -> list[list[str]]:
        limits = httpx.Limits(max_connections=AT_ONCE)
        auth = HttpxUpstreamAuth(upstream())
        async with httpx.AsyncClient(auth=auth, timeout=60, limits=limits) as client:

            async def ask(tenant: str) -> list[str]:
                response = await client.get(f"{target}/x", headers={"X-Tenant": tenant})
                found: list[str] = response.json()["tenant"]
                return found

            return await asyncio.gather(*map(ask, wanted))

    assert asyncio.run(ask_all()) == [[tenant] for tenant in wanted]
    assert tenants.given == dict.fromkeys(wanted, 1)


def test_a_gateway_whose_tokens_are_revoked_meanwhile(
    gateway: Gateway, upstream: Make, tenants: Tenants, wanted: list[str]
) -> None:
    url = gateway(upstream())
    revoked = {f"tenant-{number}" for number in range(10)}
    for tenant in revoked:
        tenants.application.revoke(tenants.pool.token(tenant))

    def ask(tenant: str) -> tuple[int, list[str]]:
        headers = {"X-Tenant": tenant}
        response = requests.post(f"{url}/x", data=b"body", headers=headers, timeout=60)
        assert response.json()["body"] == "body"
        return response.status_code, response.json()["tenant"]

    with ThreadPoolExecutor(AT_ONCE) as pool:
        assert list(pool.map(ask, wanted)) == [(200, [tenant]) for tenant in wanted]
    assert tenants.given == {tenant: 2 if tenant in revoked else 1 for tenant in wanted}
