"""Clients that manage their registration (RFC 7592)."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest
import requests

from grantway_plugins.issuer import IssuerServer, IssuerSettings
from grantway_plugins.issuer._decisions.operator_clients import (
    add_client,
    remove_client,
    rotate_secret,
)
from grantway_plugins.issuer._decisions.randomness import digest
from grantway_plugins.issuer._storage.store import IssuerStore
from tests.plugins.issuer.conftest import BASIC, CALLBACK, Caller, Clock

OTHER = "http://127.0.0.1:9000/callback"


class Registration:
    """A registered client with its registration access token."""

    def __init__(self, caller: Caller, **metadata: Any) -> None:
        asked = {"redirect_uris": [CALLBACK], "scope": "a b", "client_name": "Tool", **metadata}
        made = caller.http.post(f"{caller.url}/register", json=asked)
        assert made.status_code == 201, made.text
        self.http = caller.http
        self.made: dict[str, Any] = made.json()
        self.url: str = self.made["registration_client_uri"]
        self.token: str = self.made["registration_access_token"]
        self.id: str = self.made["client_id"]

    def call(
        self, method: str, json: Any = None, token: str | None = None, url: str | None = None
    ) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.token if token is None else token}"}
        return self.http.request(method, url or self.url, json=json, headers=headers)

    def put(self, **metadata: Any) -> requests.Response:
        return self.call("PUT", {"client_id": self.id, "redirect_uris": [CALLBACK], **metadata})


@pytest.fixture
def registration(caller: Caller) -> Registration:
    return Registration(caller)


def test_a_client_reads_its_registration(registration: Registration) -> None:
    found = registration.call("GET")
    assert found.status_code == 200
    assert found.headers["cache-control"] == "no-store"
    secrets = {"client_secret", "client_secret_expires_at"}
    assert found.json() == {k: v for k, v in registration.made.items() if k not in secrets}


def test_a_client_replaces_its_metadata(registration: Registration, caller: Caller) -> None:
    changed = registration.put(client_name="New", redirect_uris=[OTHER], scope="a")
    assert changed.status_code == 200, changed.text
    found = registration.call("GET").json()
    assert (found["client_name"], found["redirect_uris"], found["scope"]) == ("New", [OTHER], "a")
    assert found["client_id_issued_at"] == registration.made["client_id_issued_at"]
    caller.id, caller.secret = registration.id, registration.made["client_secret"]
    caller.method = "client_secret_basic"
    page = caller.http.get(caller.authorize_url(redirect_uri=OTHER))
    assert page.status_code == 200
    assert caller.http.get(caller.authorize_url()).status_code == 400
    # The secret stays valid.
    assert caller.as_rfc("/introspect", token="x").status_code == 200


def test_a_request_may_repeat_the_current_secret(registration: Registration) -> None:
    assert registration.put(client_secret=registration.made["client_secret"]).status_code == 200
    wrong = registration.put(client_secret="another")
    assert wrong.status_code == 400
    assert "another" not in wrong.text


def test_a_public_client_that_becomes_confidential_gets_a_secret(caller: Caller) -> None:
    public = Registration(caller, token_endpoint_auth_method="none")
    assert "client_secret" not in public.made
    changed = public.put(token_endpoint_auth_method="client_secret_post").json()
    assert changed["client_secret"]
    back = public.put(token_endpoint_auth_method="none").json()
    assert "client_secret" not in back
    caller.id, caller.secret, caller.method = public.id, changed["client_secret"], "x"
    response = caller.rfc(
        "/token",
        grant_type="refresh_token",
        refresh_token="x",
        client_id=public.id,
        client_secret=changed["client_secret"],
    )
    assert response.status_code == 401


def test_a_client_deletes_its_registration_and_its_tokens(rfc: Caller) -> None:
    registration = Registration(rfc, grant_types=["client_credentials"])
    client = rfc.clone()
    client.id, client.secret = registration.id, registration.made["client_secret"]
    client.method = "client_secret_basic"
    token = client.as_rfc("/token", grant_type="client_credentials").json()["access_token"]
    assert registration.call("DELETE").status_code == 204
    assert registration.call("GET").status_code == 401
    assert client.as_rfc("/introspect", token=token).status_code == 401


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_only_the_token_of_the_client_is_accepted(
    registration: Registration, caller: Caller, method: str
) -> None:
    other = Registration(caller)
    body = {"client_id": registration.id, "redirect_uris": [OTHER]} if method == "PUT" else None
    for token in ("", "gwm_wrong", other.token, registration.made["client_secret"]):
        response = registration.call(method, body, token)
        assert response.status_code == 401
        assert response.headers["www-authenticate"].startswith("Bearer")
    assert registration.call("GET").json()["redirect_uris"] == [CALLBACK]


def test_a_change_does_not_restore_a_secret_that_the_operator_replaced(database: str) -> None:
    with IssuerServer(database=database) as running, Caller(running.url) as caller:
        registration = Registration(caller)
        assert registration.call("GET").status_code == 200  # the issuer may remember the client
        with closing(IssuerStore(database)) as operator:
            caller.secret = rotate_secret(operator, registration.id, overlap=0)
        assert registration.put().status_code == 200
        with closing(IssuerStore(database)) as operator:
            client = operator.run(lambda transaction: transaction.clients.find(registration.id))
        assert client is not None
        assert client.authentication.secret_digest == digest(caller.secret)


def test_a_change_does_not_restore_a_client_that_the_operator_removed(database: str) -> None:
    with IssuerServer(database=database) as running, Caller(running.url) as caller:
        registration = Registration(caller)
        assert registration.call("GET").status_code == 200
        with closing(IssuerStore(database)) as operator:
            remove_client(operator, registration.id)
        for method in ("GET", "DELETE"):
            assert registration.call(method).status_code == 401
        assert registration.put().status_code == 401


def test_a_client_gets_no_tokens_after_another_process_removed_it(database: str) -> None:
    """They would outlive the removal, which revokes the earlier ones."""
    with IssuerServer(database=database) as running, Caller(running.url) as caller:
        with closing(IssuerStore(database)) as operator:
            made = add_client(operator, {"grant_types": ["client_credentials"]})
            caller.id, caller.secret, caller.method = (
                made["client_id"],
                made["client_secret"],
                BASIC,
            )
            assert caller.as_rfc("/token", grant_type="client_credentials").status_code == 200
            remove_client(operator, caller.id)
        response = caller.as_rfc("/token", grant_type="client_credentials")
        assert (response.status_code, response.json()["error"]) == (401, "invalid_client")


def test_an_unknown_or_missing_client_id_is_rejected(registration: Registration) -> None:
    base = registration.url.partition("?")[0]
    for url in (base, f"{base}?client_id=unknown", f"{base}?client_id=a&client_id=b"):
        assert registration.call("GET", url=url).status_code in {400, 401}
    assert registration.call("PUT", {"redirect_uris": [OTHER]}).status_code == 401


@pytest.mark.parametrize(
    ("metadata", "error"),
    [
        ({"redirect_uris": ["nowhere"]}, "invalid_redirect_uri"),
        ({"redirect_uris": []}, "invalid_redirect_uri"),
        ({"grant_types": ["magic"]}, "invalid_client_metadata"),
        ({"token_endpoint_auth_method": "magic"}, "invalid_client_metadata"),
        ({"client_name": ""}, "invalid_client_metadata"),
        ({"client_secret": 7}, "invalid_request"),
        ({"registration_access_token": "x"}, "invalid_request"),
        ({"client_id_issued_at": 1}, "invalid_request"),
    ],
)
def test_invalid_metadata_changes_nothing(
    registration: Registration, metadata: dict[str, Any], error: str
) -> None:
    response = registration.put(**metadata)
    assert response.status_code == 400
    assert response.json()["error"] == error
    found = registration.call("GET").json()
    assert found["redirect_uris"] == [CALLBACK]
    assert found["client_name"] == "Tool"


def test_an_anonymous_client_gets_no_further_permissions(clock: Clock) -> None:
    with IssuerServer(IssuerSettings(), clock=clock) as running, Caller(running.url) as caller:
        registration = Registration(caller)
        response = registration.put(grant_types=["client_credentials"])
        assert response.status_code == 400
        assert "Anonymous clients" in response.json()["error_description"]


def test_a_change_extends_the_registration(clock: Clock) -> None:
    with IssuerServer(IssuerSettings(), clock=clock) as running, Caller(running.url) as caller:
        registration = Registration(caller)
        clock.tick(80 * 86_400)
        assert registration.put().status_code == 200
        clock.tick(80 * 86_400)
        assert registration.call("GET").status_code == 200
        clock.tick(11 * 86_400)
        assert registration.call("GET").status_code == 401
