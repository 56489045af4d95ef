"""Values that the response of a refresh omits are kept, unless they describe one response only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from grantway import Store, Token
from grantway_plugins.stores.file._store import FileStore
from grantway_plugins.stores.memory._store import MemoryStore
from tests import faults
from tests.core.credential.conftest import Start
from tests.core.credential.scenes import issue, token

LOGIN: dict[str, Any] = {"grant_type": "authorization_code", "subject": "me"}
OLD = token(
    9,
    seconds_left=-1,
    id_token="header.claims.signature",
    scope=("read", "write"),
    extra={
        "instance_url": "https://eu1.example.com",
        "team": {"id": "T1"},
        "clientId": "c-1",
        "registrationExpiresAt": "2031-01-01T00:00:00Z",
        "authorization_details": [{"type": "payment"}],
        "session_state": "browser",
        "not-before-policy": 1700000000,
        "refresh_expires_in": 1800,
        "x_refresh_token_expires_in": 1800,
        "refreshTokenExpiresAt": 1900000000,
        "ext_expires_in": 3600,
        "expires_on": "1900000000",
        ".expires": "Mon, 01 Jan 2031 00:00:00 GMT",
        "issued_at": "1278448832702",
        "signature": "of the last response",
        "jti": "at-9",
        "c_nonce": "n",
    },
)
KEPT = {"instance_url", "team", "clientId", "registrationExpiresAt", "authorization_details"}


@pytest.mark.parametrize("kind", ["no store", "memory", "file"])
def test_keeps_values_that_the_response_omits(kind: str, start: Start, tmp_path: Path) -> None:
    stores: dict[str, Store | None] = {
        "no store": None,
        "memory": MemoryStore(),
        "file": FileStore(tmp_path),
    }
    store = stores[kind]
    client, _ = start(issue(refresh_token=None))
    credential = client.credential(**LOGIN, store=store)
    credential.accept(OLD)
    refreshed = credential.token()
    assert (refreshed.access_token, refreshed.refresh_token) == ("at-1", "rt-9")
    assert (refreshed.id_token, refreshed.scope) == (OLD.id_token, ("read", "write"))
    assert dict(refreshed.extra) == {name: OLD.extra[name] for name in KEPT}
    if store is not None:
        assert store.load(credential.key) == refreshed


def test_values_in_the_response_replace_previous_ones(start: Start) -> None:
    client, _ = start(
        issue(
            scope="read",
            id_token="new.id.token",
            instance_url="https://eu2.example.com",
            team=None,
            session_state="new",
        )
    )
    credential = client.credential(**LOGIN)
    credential.accept(OLD)
    refreshed = credential.token()
    assert (refreshed.scope, refreshed.id_token) == (("read",), "new.id.token")
    assert refreshed.extra["instance_url"] == "https://eu2.example.com"
    assert refreshed.extra["session_state"] == "new"
    assert refreshed.extra["team"] == OLD.extra["team"]  # null means omitted


@pytest.mark.parametrize("scope", ["read", ["read"]])
def test_a_refresh_with_a_scope_yields_a_token_with_that_scope(scope: Any, start: Start) -> None:
    client, server = start(issue())
    credential = client.credential(**LOGIN, refresh={"scope": scope})
    credential.accept(OLD)
    assert credential.token().scope == ("read",)
    assert server.requests[0].form["scope"] == ["read"]


def test_a_token_of_the_refresh_token_grant_has_the_requested_scope(start: Start) -> None:
    client, _ = start(issue())
    credential = client.credential(
        grant_type="refresh_token", refresh_token="rt-0", scope=["read"], key="k"
    )
    credential.accept(OLD)
    assert credential.token().scope == ("read",)


def test_keeps_nothing_of_the_token_of_another_login(start: Start) -> None:
    client, _ = start(issue())
    credential = client.credential(**LOGIN)
    credential.accept(OLD)
    credential.accept(Token("at-b", expires_in=0, refresh_token="rt-b"))
    assert (credential.token().id_token, dict(credential.token().extra)) == (None, {})


@pytest.mark.parametrize("with_store", [True, False])
def test_keeps_a_new_refresh_token_that_comes_without_an_access_token(
    with_store: bool, start: Start
) -> None:
    store = MemoryStore() if with_store else None
    client, server = start(
        faults.respond(200, {"access_token": None, "refresh_token": "rt-new"}), issue()
    )
    credential = client.credential(**LOGIN, store=store)
    credential.accept(OLD)
    with pytest.raises(Exception, match="access_token") as caught:
        credential.token()
    assert "rt-new" not in str(caught.value) + repr(caught.value)
    if store is not None:
        stored = store.load(credential.key)
        assert stored is not None
        assert (stored.access_token, stored.refresh_token) == ("at-9", "rt-new")
    # Longer than the pause after the failure.
    assert credential.token(timeout=20).access_token == "at-2"
    assert server.requests[1].form["refresh_token"] == ["rt-new"]
