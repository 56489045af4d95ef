"""Programming errors, and changes by other processes during a pause."""

from __future__ import annotations

import time
from typing import Any

import pytest

from grantway import Client, NoAuth, Token
from grantway._exceptions import (
    ConfigurationError,
    ProviderPausedError,
    ProviderUnavailableError,
    RequestInvalidError,
)
from grantway_plugins.stores.memory._store import MemoryStore
from tests import faults
from tests.core.credential.conftest import Start
from tests.core.credential.scenes import SECRET, Clock, issue, token, wait_for_refreshes
from tests.waiting import PATIENCE

DEVICE = "urn:ietf:params:oauth:grant-type:device_code"


def test_a_token_stored_by_another_process_ends_the_pause(start: Start, clock: Clock) -> None:
    store = MemoryStore()
    client, server = start(faults.respond(503, b"", {"Retry-After": "600"}))
    credential = client.credential(**SECRET, store=store)
    with pytest.raises(ProviderUnavailableError):
        credential.token()
    with pytest.raises(ProviderPausedError):
        credential.token(timeout=PATIENCE)
    store.save(credential.key, token(7))  # as another machine does
    with pytest.raises(ProviderPausedError):
        credential.token(timeout=PATIENCE)  # reads the store in the background
    wait_for_refreshes()
    assert credential.token(timeout=PATIENCE).access_token == token(7).access_token
    assert len(server.requests) == 1


def test_rejects_a_call_of_token_from_on_token(start: Start) -> None:
    client, server = start(issue())
    nested = True

    def on_token(_token: Token) -> None:
        if nested:
            credential.token()

    credential = client.credential(**SECRET, on_token=on_token)
    with pytest.raises(ConfigurationError, match="on_token called token"):
        credential.token(timeout=PATIENCE)
    nested = False
    assert credential.token().access_token == "at-1"
    assert len(server.requests) == 1


def test_the_lifetime_of_an_accepted_token_without_expires_at_starts_now(
    start: Start, clock: Clock
) -> None:
    client, server = start(issue())
    credential = client.credential(grant_type="refresh_token", subject="me")
    credential.accept(Token("at-login", expires_in=600, refresh_token="rt-login"))
    found = credential.token()
    assert found.expires_at == pytest.approx(time.time() + 600, abs=30)
    clock.step(601)
    assert credential.token().access_token == "at-1"
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"grant_type": DEVICE, "scopes": "read"}, "scopes"),
        ({"grant_type": DEVICE, "scope": 7}, "scope"),
        (
            {
                "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
                "assertion": lambda: "a.b.c",
                "scop": "read",
                "subject": "me",
            },
            "scop",
        ),
    ],
)
def test_checks_the_parameters_when_the_credential_is_made(
    start: Start, given: dict[str, Any], field: str
) -> None:
    client, server = start()
    with pytest.raises(RequestInvalidError) as caught:
        client.credential(**given)
    assert list(caught.value.errors) == [field]
    assert not server.requests


@pytest.mark.parametrize(
    ("given", "rule"),
    [
        ({"store": "file"}, "must be a store, such as FileStore()"),
        ({"store": MemoryStore}, "must be a store"),
        ({"freshness": 60}, "must be a Freshness"),
        ({"on_token": "print"}, "must be a function"),
    ],
)
def test_rejects_invalid_options_when_the_credential_is_made(
    start: Start, given: dict[str, Any], rule: str
) -> None:
    client, server = start()
    with pytest.raises(ConfigurationError) as caught:
        client.credential(grant_type="client_credentials", **given)
    assert list(caught.value.errors) == list(given)
    assert rule in str(caught.value)
    assert not server.requests


def test_a_scope_as_text_and_as_a_list_has_one_key(start: Start) -> None:
    client, _ = start()
    text = client.credential(grant_type=DEVICE, subject="me", scope="read write")
    names = client.credential(grant_type=DEVICE, subject="me", scope=["read", "write"])
    assert text.key == names.key


class _Bound:
    """Client authentication whose tokens are bound to a key."""

    def __init__(self, thumbprint: str) -> None:
        self.thumbprint = thumbprint
        self.client_id, self.authenticate = "client", NoAuth("client").authenticate

    def secrets(self) -> tuple[str, ...]:
        return ()


def test_tokens_bound_to_different_keys_have_different_names(start: Start) -> None:
    client, _ = start()
    keys = set()
    for thumbprint in ("one", "two"):
        with Client(client.provider, client_id="client", auth=_Bound(thumbprint)) as bound:
            keys.add(bound.credential(**SECRET).key)
    assert len(keys) == 2
