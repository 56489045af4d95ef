"""Many concurrent tenants: each gets its own token, fetched once."""

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

pytestmark = pytest.mark.slow

Make = Callable[..., UpstreamAuth]
#: Four times as many tenants as requests at once, so that tenants come and go.
TENANTS, EACH, AT_ONCE = 32, 3, 8


@pytest.fixture
def wanted() -> list[str]:
    names = [f"tenant-{number}" for number in range(TENANTS)] * EACH
    random.Random(7).shuffle(names)
    return names


def test_requests_in_threads(
    upstream: Make, tenants: Tenants, target: str, wanted: list[str]
) -> None:
    auth = RequestsUpstreamAuth(upstream())

    def get_tokens(tenant: str) -> list[str]:
        headers = {"X-Tenant": tenant}
        response = requests.get(f"{target}/x", headers=headers, auth=auth, timeout=60)
        found: list[str] = response.json()["tenant"]
        return found

    with ThreadPoolExecutor(AT_ONCE) as pool:
        assert list(pool.map(get_tokens, wanted)) == [[tenant] for tenant in wanted]
    assert tenants.issued == dict.fromkeys(wanted, 1)


def test_httpx_in_tasks(upstream: Make, tenants: Tenants, target: str, wanted: list[str]) -> None:
    async def get_all() -> list[list[str]]:
        limits = httpx.Limits(max_connections=AT_ONCE)
        auth = HttpxUpstreamAuth(upstream())
        async with httpx.AsyncClient(auth=auth, timeout=60, limits=limits) as client:

            async def get_tokens(tenant: str) -> list[str]:
                response = await client.get(f"{target}/x", headers={"X-Tenant": tenant})
                found: list[str] = response.json()["tenant"]
                return found

            return await asyncio.gather(*map(get_tokens, wanted))

    assert asyncio.run(get_all()) == [[tenant] for tenant in wanted]
    assert tenants.issued == dict.fromkeys(wanted, 1)


def test_replaces_revoked_tokens_of_many_tenants(
    gateway: Gateway, upstream: Make, tenants: Tenants, wanted: list[str]
) -> None:
    url = gateway(upstream())
    revoked = {f"tenant-{number}" for number in range(10)}
    for tenant in revoked:
        tenants.application.revoke(tenants.pool.token(tenant))

    def get_tokens(tenant: str) -> tuple[int, list[str]]:
        headers = {"X-Tenant": tenant}
        response = requests.post(f"{url}/x", data=b"body", headers=headers, timeout=60)
        assert response.json()["body"] == "body"
        return response.status_code, response.json()["tenant"]

    with ThreadPoolExecutor(AT_ONCE) as pool:
        assert list(pool.map(get_tokens, wanted)) == [(200, [tenant]) for tenant in wanted]
    assert tenants.issued == {tenant: 2 if tenant in revoked else 1 for tenant in wanted}
