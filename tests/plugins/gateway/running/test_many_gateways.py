"""Gateways that share only a Valkey server request each token once."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
import requests

from tests.plugins.gateway.running.conftest import Backends
from tests.plugins.gateway.running.programs import PATIENCE, CountingProvider, gateway
from tests.plugins.gateway.servers import asgi_server
from tests.valkey import valkey_server

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
