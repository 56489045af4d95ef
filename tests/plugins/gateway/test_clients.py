"""Authentication of callers."""

from __future__ import annotations

from typing import Any

import pytest
import requests

import grantway
from grantway.testing import faults
from grantway_plugins.gateway import TokenEndpoint, hash_secret
from tests.plugins.gateway.conftest import CLIENTS, SHOP, THEIRS, Brokered, Serve
from tests.waiting import PATIENCE

NEXT = "the-next-secret-of-the-shop-0123456789"
ASK = {"grant_type": "client_credentials"}


def request_token(brokered: Brokered, serve: Serve, clients: Any, **data: str) -> requests.Response:
    backend, server = brokered(faults.respond(), clients=clients)
    url = serve("asgi", TokenEndpoint(backend))
    response = requests.post(url, data={**ASK, **data}, timeout=PATIENCE)
    assert len(server.requests) == (response.status_code == 200)
    return response


def test_rejects_every_caller_by_default(brokered: Brokered, serve: Serve) -> None:
    response = request_token(brokered, serve, None, **SHOP)
    assert (response.status_code, response.json()["error"]) == (401, "invalid_client")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (SHOP, 200),
        ({"client_id": "kiosk"}, 200),
        ({"client_id": "kiosk", "client_secret": THEIRS}, 401),
        ({"client_id": "shop"}, 401),
        ({"client_id": "shop", "client_secret": ""}, 401),
        ({"client_id": "shop", "client_secret": THEIRS + "x"}, 401),
        ({"client_id": "shop", "client_secret": CLIENTS["shop"]}, 401),
        ({"client_id": "unknown", "client_secret": THEIRS}, 401),
        ({"client_id": "", "client_secret": THEIRS}, 401),
        ({}, 401),
        ({**SHOP, "client_assertion": "a.b.c"}, 401),
    ],
)
def test_accepts_clients_with_a_matching_hash(
    sent: dict[str, str], status: int, brokered: Brokered, serve: Serve
) -> None:
    assert request_token(brokered, serve, CLIENTS, **sent).status_code == status


@pytest.mark.parametrize(
    ("secret", "status"), [(THEIRS, 200), (NEXT, 200), (NEXT + "x", 401), (None, 401)]
)
def test_accepts_the_old_and_the_new_secret_during_a_rotation(
    secret: str | None, status: int, brokered: Brokered, serve: Serve
) -> None:
    clients = {"shop": [hash_secret(THEIRS), hash_secret(NEXT)]}
    sent = {"client_id": "shop", **({"client_secret": secret} if secret else {})}
    assert request_token(brokered, serve, clients, **sent).status_code == status


def test_rejects_two_authentication_methods_at_once(
    brokered: Brokered, serve: Serve, http: requests.Session
) -> None:
    backend, server = brokered(faults.respond())
    url = serve("asgi", TokenEndpoint(backend))
    response = http.post(url, data={**ASK, **SHOP}, auth=("shop", THEIRS))
    assert (response.status_code, response.json()["error"]) == (400, "invalid_request")
    assert not server.requests


@pytest.mark.parametrize("gives", [1, "yes", object(), {}, [True]])
def test_accepts_a_caller_only_if_the_function_returns_true(
    gives: Any, brokered: Brokered, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    assert request_token(brokered, serve, lambda *_: gives, **SHOP).status_code == 401
    assert f"clients returned a {type(gives).__name__}; return a bool" in caplog.text
    assert THEIRS not in caplog.text


def test_rejects_the_caller_if_the_function_raises(
    brokered: Brokered, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    def rule(client_id: str, secret: str | None) -> bool:
        raise LookupError(f"no {secret}")

    response = request_token(brokered, serve, rule, **SHOP)
    assert (response.status_code, response.json()["error"]) == (500, "server_error")
    assert THEIRS not in response.text + caplog.text


@pytest.mark.parametrize("smuggled", ["shop\0", "shop\r\nx: y", "\u2028"])
@pytest.mark.parametrize("place", ["client_id", "client_secret"])
def test_rejects_control_characters_before_calling_the_function(
    smuggled: str, place: str, brokered: Brokered, serve: Serve
) -> None:
    calls: list[Any] = []

    def rule(*given: Any) -> bool:
        calls.append(given)
        return True

    assert request_token(brokered, serve, rule, **{**SHOP, place: smuggled}).status_code == 401
    assert not calls


async def _late(_client_id: str, _secret: str | None) -> bool:
    return True


@pytest.mark.parametrize(
    "clients",
    [
        {"shop": THEIRS},
        {"shop": "sha256:"},
        {"shop": []},
        {"shop": [THEIRS]},
        {"shop": [hash_secret(THEIRS), None]},
        {"shop": b"sha256:"},
        {"shop": 7},
        {"": None},
        {7: None},
        "shop",
        7,
        _late,
    ],
)
def test_rejects_invalid_clients_arguments(clients: Any, brokered: Brokered) -> None:
    with pytest.raises(grantway.ConfigurationError, match="clients: ") as caught:
        brokered(faults.respond(), clients=clients)
    assert THEIRS not in str(caught.value)


def test_rejects_hashing_a_short_secret() -> None:
    assert hash_secret(THEIRS) == hash_secret(THEIRS) != hash_secret(THEIRS + "x")
    with pytest.raises(grantway.ConfigurationError, match="at least 22 characters") as caught:
        hash_secret("hunter2")
    assert "hunter2" not in str(caught.value)
