"""Gateways that share only a Valkey server request each token once."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing

import pytest
import redis
import requests

from tests.faults import FaultServer, respond
from tests.plugins.gateway.running.conftest import Backends
from tests.plugins.gateway.running.programs import PATIENCE, CountingProvider, gateway
from tests.plugins.gateway.servers import asgi_server
from tests.valkey import valkey_server
from tests.waiting import until

TENANTS = [f"t{number}" for number in range(10)]


@pytest.mark.slow
def test_three_gateways_fetch_each_token_once(backends: Backends) -> None:
    (backends.folder / "secret.txt").write_text("the secret of all three")
    provider = CountingProvider("the secret of all three")
    with ExitStack() as stack, asgi_server(provider) as provider_url, valkey_server() as valkey:
        text = (
            '[gateway]\nlisten = "127.0.0.1:0"\nadmin = "127.0.0.1:0"\n'
            f'store = {{kind = "redis", url = "{valkey.url}"}}\n'
            + provider.table(provider_url)
            + backends.route(more='extra = {tenant = "{tenant}"}\n')
        )
        # Each gateway has a separate file and folder.
        runs = []
        for number in range(3):
            folder = backends.folder / str(number)
            folder.mkdir()
            (folder / "secret.txt").write_text("the secret of all three")
            (folder / "gateway.toml").write_text(text)
            runs.append(stack.enter_context(gateway(folder / "gateway.toml")))
        requested = [(run.url, tenant) for tenant in TENANTS for run in runs for _ in range(2)]

        def send_request(target: tuple[str, str]) -> tuple[str, int, str]:
            url, tenant = target
            response = requests.get(f"{url}/orders", headers={"X-Tenant": tenant}, timeout=PATIENCE)
            authorization = dict(response.json()["headers"]).get("authorization", "")
            return tenant, response.status_code, authorization

        with ThreadPoolExecutor(12) as threads:
            first = set(threads.map(send_request, requested))
            assert first == {(tenant, 200, f"Bearer {tenant}-1") for tenant in TENANTS}
            assert provider.issued == Counter(TENANTS)
            # The upstream rejects all tokens at once; one of the gateways fetches each replacement.
            backends.echo.rejected_tokens.update(f"Bearer {tenant}-1" for tenant in TENANTS)
            second = set(threads.map(send_request, requested))
            assert second == {(tenant, 200, f"Bearer {tenant}-2") for tenant in TENANTS}
            assert provider.issued == Counter(TENANTS * 2)
            # A gateway that starts later finds all tokens in the store.
            folder = backends.folder / "late"
            folder.mkdir()
            (folder / "secret.txt").write_text("an invalid secret")
            (folder / "gateway.toml").write_text(text)
            late = stack.enter_context(gateway(folder / "gateway.toml"))
            assert (
                set(threads.map(send_request, [(late.url, tenant) for tenant in TENANTS])) == second
            )
        assert provider.rejected == 0


@pytest.mark.slow
def test_a_token_deleted_on_another_machine_is_dropped(backends: Backends) -> None:
    with (
        FaultServer(*[respond()] * 3) as provider,
        valkey_server() as valkey,
        closing(redis.Redis.from_url(valkey.url, protocol=2)) as raw,
    ):
        text = (
            '[gateway]\nlisten = "127.0.0.1:0"\nadmin = "127.0.0.1:0"\nrecheck = 0.2\n'
            f'store = {{kind = "redis", url = "{valkey.url}"}}\n'
            f'[providers.idp]\ntoken_endpoint = "{provider.token_endpoint}"\n'
            'client_id = "gateway"\nclient_secret = "a secret"\n' + backends.route()
        )
        with gateway(backends.write(text)) as run:

            def request() -> None:
                headers = {"X-Tenant": "t0"}
                response = requests.get(f"{run.url}/orders", headers=headers, timeout=PATIENCE)
                assert response.status_code == 200

            request()
            time.sleep(0.3)
            request()
            assert len(provider.requests) == 1
            raw.flushdb()
            time.sleep(0.3)
            request()
            assert len(provider.requests) == 2


@pytest.mark.slow
def test_gateways_share_the_failures_of_a_provider(backends: Backends) -> None:
    """The second one sends nothing, but still serves the token that it has in memory."""
    with (
        ExitStack() as stack,
        FaultServer(respond(), respond(500, b"")) as provider,
        valkey_server() as valkey,
    ):
        text = (
            '[gateway]\nlisten = "127.0.0.1:0"\nadmin = "127.0.0.1:0"\nrecheck = 60\n'
            f'store = {{kind = "redis", url = "{valkey.url}"}}\n'
            f'[providers.idp]\ntoken_endpoint = "{provider.token_endpoint}"\n'
            'client_id = "gateway"\nclient_secret = "a secret"\n'
            "breaker = {failures = FAILURES, open_for = 60.0}\n"
            + backends.route(more='extra = {tenant = "{tenant}"}\n')
        )
        urls = []
        for number, failures in enumerate((2, 1000)):  # the second one's own never suffice
            file = backends.write(text.replace("FAILURES", f"{failures}"), f"{number}.toml")
            urls.append(stack.enter_context(gateway(file)).url)

        def status(url: str, tenant: str) -> int:
            headers = {"X-Tenant": tenant}
            return requests.get(f"{url}/orders", headers=headers, timeout=PATIENCE).status_code

        assert [status(url, "t0") for url in urls] == [200, 200]
        assert {status(urls[0], tenant) for tenant in ("t1", "t2")} <= {502, 503}
        with closing(redis.Redis.from_url(valkey.url, protocol=2)) as raw:
            until(lambda: list(raw.scan_iter("grantway:grantway failures *")))

        def rejects(number: int) -> bool:
            """Return whether the second gateway rejects a request without asking the provider."""
            sent = len(provider.requests)
            return status(urls[1], f"new-{number}") == 503 and len(provider.requests) == sent

        # It reads the failures of others at most once a second, and does not wait for a slow store.
        numbers = itertools.count()
        until(lambda: rejects(next(numbers)))
        assert status(urls[1], "t0") == 200
