"""The log says why a store returns no token, which the response to a request does not say."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from grantway import Client, Provider, Token
from grantway._exceptions import StoreError, StoreUnreadableError, TransportError
from grantway_plugins.gateway.upstream import RequestContext, Route, UpstreamAuth, single
from grantway_plugins.gateway.upstream._rejection import response_for
from grantway_plugins.gateway.upstream._store_failures import StoreFailures
from grantway_plugins.stores import EncryptedStore, FileStore, generate_key


def route(folder: Path, key: str, token: Token | None = None) -> Route:
    """Return a route whose tokens are encrypted with a key, after storing one."""
    store = EncryptedStore(FileStore(folder), key=key)
    client = Client(Provider(token_endpoint="http://127.0.0.1:1/token"), client_id="x", auth="none")
    credential = client.credential(grant_type="client_credentials", store=store)
    if token is not None:
        credential.accept(token)
    return Route(
        "orders",
        provider="idp",
        credential=lambda _: credential,
        tenant=single(),
        on_failure="closed",
    )


def test_logs_that_a_key_is_missing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "grantway_plugins.gateway.upstream._upstream_token.STORE_FAILURES", StoreFailures()
    )
    route(tmp_path, generate_key(), Token("a-secret-token", expires_in=3600))
    rules = UpstreamAuth([route(tmp_path, generate_key())])

    def fetched() -> StoreUnreadableError:
        token = rules.open(RequestContext("api.example.com", "/", lambda _: ()))
        assert token is not None
        with pytest.raises(StoreUnreadableError) as raised:
            token.fetch()
        with pytest.raises(StoreUnreadableError):
            asyncio.run(token.fetch_async())
        return raised.value

    caplog.set_level(logging.INFO)
    response = response_for(fetched())
    assert (response.status, b"key" in response.body) == (503, False)
    (record,) = caplog.records
    message = record.getMessage()
    assert message.startswith("No token for a request of route orders: store_unreadable: ")
    assert "Add that key after the newest" in message
    assert "a-secret-token" not in message


def test_logs_each_error_code_once_per_minute(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    now = 0.0
    failures = StoreFailures(lambda: now)
    orders = route(tmp_path, generate_key())
    for error in (StoreError("down"), StoreError("down"), StoreUnreadableError("unreadable")):
        failures.failed(orders, error)
    failures.failed(orders, TransportError("the health of the provider reports it"))
    assert [each.levelname for each in caplog.records] == ["ERROR", "ERROR"]
    now = 61.0
    failures.failed(orders, StoreError("down"))
    assert len(caplog.records) == 3
