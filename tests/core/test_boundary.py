"""Errors of third-party code during a call name the code, and nothing is sent twice."""

from __future__ import annotations

import logging
from typing import Any

import pytest

import grantway
from grantway import (
    Client,
    ConfigurationError,
    Grant,
    GrantSchema,
    PluginError,
    Provider,
    hookimpl,
)
from grantway.testing import Register
from grantway_plugins.stores.memory._store import MemoryStore
from grantway_plugins.testing._live_issuer import LiveIssuer
from tests import faults
from tests.faults import FaultServer

ANYWHERE = Provider("https://provider.example/token")


class Proof:
    """A client authentication whose members a test replaces."""

    client_id = "c"

    def __init__(self, **parts: Any) -> None:
        vars(self).update(parts)

    def authenticate(self, request: Any) -> Any:
        request.fields["client_id"] = self.client_id

    def secrets(self) -> Any:
        return ()


async def late(*arguments: Any, **named: Any) -> Any:
    """Return None asynchronously."""


def behind(*arguments: Any, **named: Any) -> Any:
    """Return a coroutine from a plain function."""
    return late(*arguments, **named)


class Provides:
    """Registers a client authentication and a store, both created by one function."""

    def __init__(self, make: Any) -> None:
        self.make = make

    @hookimpl
    def grantway_register_client_auth(self) -> dict[str, Any]:
        return {"api_key": lambda client_id, client_secret: self.make()}

    @hookimpl
    def grantway_register_stores(self) -> dict[str, Any]:
        return {"acme": self.make}


def registry(make: Any) -> grantway.Registry:
    return grantway.build_registry({"acme": Provides(make)}, only=["grantway"], strict=True)


# --- Client authentication ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (None, "is None"),
        (Proof, "is a class"),
        (object(), "has no client_id"),
        (Proof(authenticate=None), "has no method authenticate"),
        (Proof(authenticate=late), "has an asynchronous authenticate"),
        (Proof(secrets=late), "has an asynchronous secrets"),
        (Proof(secrets=lambda: None), "returns None from secrets()"),
        (Proof(secrets=lambda: "very-secret"), "returns a str from secrets()"),
        (Proof(secrets=lambda: (b"very-secret",)), "returns a tuple from secrets()"),
    ],
)
def test_rejects_an_invalid_client_authentication(made: Any, expected: str) -> None:
    with pytest.raises(ConfigurationError, match="auth: ") as raised:
        Client(ANYWHERE, client_id="c", auth="api_key", registry=registry(lambda: made))
    assert f"the object that the plugin acme of application creates {expected}" in str(raised.value)
    assert "very-secret" not in str(raised.value)
    if made is not None:
        with pytest.raises(ConfigurationError) as raised:
            Client(ANYWHERE, client_id="c", auth=made)
        assert expected in str(raised.value)


def _set_secrets(request: Any) -> None:
    request.secrets = "very-secret"


def _set_learn(request: Any) -> None:
    request.learn = late


@pytest.mark.parametrize(
    ("authenticate", "expected"),
    [
        (behind, "has an asynchronous authenticate"),
        (lambda request: {"client_id": "c"}, "returned a dict from authenticate"),
        (_set_secrets, "set secrets of the request to a str"),
        (_set_learn, "set learn of the request to an asynchronous function"),
    ],
    ids=["coroutine", "dict", "secrets", "learn"],
)
def test_does_not_send_a_request_whose_client_authentication_failed(
    authenticate: Any, expected: str
) -> None:
    with FaultServer(faults.respond()) as server:
        proof = Proof(authenticate=authenticate)
        with (
            Client(Provider(server.token_endpoint), client_id="c", auth=proof) as client,
            pytest.raises(PluginError, match=r"tests\.core\.test_boundary\.Proof") as raised,
        ):
            client.create_token(grant_type="client_credentials")
        assert not server.requests
    assert expected in str(raised.value)


# --- Stores -------------------------------------------------------------------------------------


class Odd(MemoryStore):
    """A store whose load does not return a token."""

    found: Any = None

    def load(self, key: str) -> Any:
        return self.found() if callable(self.found) else self.found


class Late(MemoryStore):
    """A store whose save is asynchronous."""

    async def save(self, *arguments: Any, **named: Any) -> None:  # type: ignore[override]
        """Save asynchronously."""


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (None, "is None"),
        (object(), "has no method load"),
        (Late(), "has an asynchronous method save"),
    ],
)
def test_rejects_an_invalid_store(made: Any, expected: str) -> None:
    with pytest.raises(
        ConfigurationError, match="the object that the plugin acme of application creates"
    ) as raised:
        registry(lambda: made).store("acme")
    assert expected in str(raised.value)
    if made is not None:
        client = Client(ANYWHERE, client_id="c")
        with pytest.raises(ConfigurationError, match=expected):
            client.credential(grant_type="client_credentials", store=made)


@pytest.mark.parametrize(
    ("found", "expected"), [({"access_token": "x"}, "a dict"), (late, "a coroutine")]
)
def test_names_a_store_that_returns_something_other_than_a_token(found: Any, expected: str) -> None:
    store = Odd()
    store.found = found
    message = rf"load of the store tests\.core\.test_boundary\.Odd returned {expected}"
    with FaultServer(faults.respond()) as server:
        with Client(Provider(server.token_endpoint), client_id="c") as client:
            credential = client.credential(grant_type="client_credentials", store=store)
            with pytest.raises(grantway.StoreUnreadableError, match=message):
                credential.token()
        assert not server.requests


# --- Other code -----------------------------------------------------------------------------------


def test_on_token_must_not_be_asynchronous() -> None:
    with FaultServer(faults.respond()) as server:
        with Client(Provider(server.token_endpoint), client_id="c") as client:
            with pytest.raises(ConfigurationError, match="on_token: must be a function"):
                client.credential(grant_type="client_credentials", on_token=late)
            kept = client.credential(grant_type="client_credentials", on_token=behind)
            with pytest.raises(ConfigurationError, match="on_token: must not be asynchronous"):
                kept.token()
        assert len(server.requests) == 1


def test_amend_of_a_dialect_must_not_be_asynchronous() -> None:
    with pytest.raises(ConfigurationError, match="amend: must be a plain function"):
        grantway.Dialect("late", amend=late)


class LateTransport:
    """A transport with an asynchronous send."""

    send = staticmethod(late)

    def close(self) -> None:
        pass


def test_a_transport_must_not_be_asynchronous() -> None:
    transport: Any = LateTransport()
    with pytest.raises(ConfigurationError, match="transport: send is asynchronous"):
        Client(ANYWHERE, client_id="c", transport=transport)


def test_reports_an_asynchronous_observer_once(caplog: pytest.LogCaptureFixture) -> None:
    class Watches:
        @hookimpl
        def grantway_observe(self, event: Any) -> Any:
            return late()

    watching = grantway.build_registry({"watch": Watches()}, only=["grantway"], strict=True)
    with FaultServer(faults.respond()) as server:
        provider = Provider(server.token_endpoint)
        with Client(provider, client_id="c", registry=watching) as client:
            client.create_token(grant_type="client_credentials")
    warnings = [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]
    assert warnings == [
        "The observer application/watch is asynchronous; further failures are only counted."
    ]


class Undecided:
    """An issuer grant that returns no decision."""

    def __init__(self, decision: Any = None) -> None:
        self.decision = decision

    def decide(self, request: Any, transaction: Any) -> Any:
        return self.decision() if callable(self.decision) else self.decision


@pytest.mark.parametrize(
    ("decision", "expected"), [(None, "None"), ({}, "a dict"), (late, "coroutine")]
)
def test_logs_an_issuer_grant_without_a_decision(
    grantway_register: Register,
    grantway_issuer: LiveIssuer,
    caplog: pytest.LogCaptureFixture,
    decision: Any,
    expected: str,
) -> None:
    grant = Grant("urn:example:coupon", GrantSchema())
    grantway_register(grant, issuer=Undecided(decision))
    client = grantway_issuer.client()
    with pytest.raises(grantway.GrantwayError):
        client.create_token(grant_type="urn:example:coupon", attempts=1)
    assert "decide of the issuer grant urn:example:coupon (urn:example:coupon of application)" in (
        caplog.text
    )
    assert expected in caplog.text
