"""Client registration, shared by all processes that use a store."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import grantway
from grantway._exceptions import (
    ConfigurationError,
    InvalidClientException,
    InvalidClientMetadataException,
)
from grantway._requests.client_auth import ClientSecretBasic, ClientSecretPost
from grantway.testing import faults
from grantway.testing.faults import Act, FaultServer
from grantway_grants import device_code
from grantway_plugins.issuer import IssuerServer, IssuerSettings, Lifetimes
from grantway_plugins.registration import LEAST, registered_client
from grantway_plugins.stores.file._store import FileStore
from grantway_plugins.stores.memory._store import MemoryStore
from tests import forked
from tests.waiting import PATIENCE

#: The second run of this program uses the token of the first.
PROGRAM = """
import json
import sys
import grantway
from grantway_grants import device_code
from grantway_plugins.registration import registered_client

issuer, folder = sys.argv[1:]
store = grantway.default_registry().store("file", folder=folder)
provider = grantway.Provider.discover(issuer)
with registered_client(provider, client_name="program", scope="read", store=store) as client:
    credential = client.credential(grant_type=device_code.GRANT_TYPE, subject="you", store=store)
    try:
        token = credential.token()
    except grantway.LoginNeededError:
        token = device_code.login(client, lambda todo: None, scope=["read"])
        credential.accept(token)
        print("logged in", end=" ")
    print(client.client_id, token.access_token)
"""


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    settings = IssuerSettings(approve="auto", lifetimes=Lifetimes(device_interval=0))
    with IssuerServer(settings) as server:
        yield server.url


@pytest.fixture
def provider(issuer: str) -> grantway.Provider:
    return grantway.Provider.discover(issuer)


def registering(server: FaultServer) -> grantway.Provider:
    """Return a provider whose registration endpoint is a fault server."""
    return grantway.Provider(
        token_endpoint=server.token_endpoint,
        metadata={"registration_endpoint": f"{server.url}/register"},
    )


def client_id(provider: grantway.Provider, store: Any, **options: Any) -> str:
    asked = {"client_name": "program", "store": store, "scope": ["read"], **options}
    with registered_client(provider, **asked) as client:
        return client.client_id


def test_a_second_process_uses_the_token_of_the_first(issuer: str, tmp_path: Path) -> None:
    def run() -> str:
        done = forked.run(
            [sys.executable, "-W", "error", "-c", PROGRAM, issuer, tmp_path / "tokens"],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    first = run()
    assert first.startswith("logged in ")
    assert run() == first.removeprefix("logged in ")


def test_concurrent_processes_register_once(issuer: str, tmp_path: Path) -> None:
    provider = grantway.Provider.discover(issuer)

    def register(_number: int) -> str:
        return client_id(provider, FileStore(tmp_path))

    with ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(register, range(16)))) == 1


@pytest.mark.parametrize(
    "change",
    [{"client_name": "other"}, {"scope": "write"}, {"redirect_uri": "http://127.0.0.1/other"}],
)
def test_different_clients_have_different_registrations(
    provider: grantway.Provider, change: dict[str, Any]
) -> None:
    store = MemoryStore()
    mine = client_id(provider, store)
    assert client_id(provider, store, scope="read") == mine
    assert client_id(provider, store, **change) != mine
    assert client_id(provider, store) == mine


def test_each_provider_has_its_own_registration(provider: grantway.Provider) -> None:
    store = MemoryStore()
    mine = client_id(provider, store)
    with IssuerServer() as other:
        assert client_id(grantway.Provider.discover(other.url), store) != mine
    assert client_id(provider, store) == mine


def test_replaces_an_unknown_registration_once() -> None:
    store, settings = MemoryStore(), IssuerSettings(approve="auto")
    with IssuerServer(settings) as before:
        provider, port = grantway.Provider.discover(before.url), int(before.url.rpartition(":")[2])
        forgotten = client_id(provider, store)
    # The database was in memory, so the new issuer does not know the client.
    with IssuerServer(settings, port=port):
        with (
            registered_client(
                provider, client_name="program", store=store, scope=["read"]
            ) as client,
            pytest.raises(InvalidClientException),
        ):
            device_code.DeviceFlow(client).start()
        assert client.client_id == forgotten
        replaced = client_id(provider, store, instead_of=forgotten)
        assert replaced != forgotten
        # Another process that notices it later uses the new registration.
        assert client_id(provider, store, instead_of=forgotten) == replaced
        assert client_id(provider, store) == replaced


def test_replaces_a_registration_that_expires_soon() -> None:
    def registered(name: str, seconds: float) -> Act:
        ends = int(time.time() + seconds)
        made = {"client_id": name, "client_secret": "s" * 40, "client_secret_expires_at": ends}
        return faults.respond(201, made)

    script = [registered("first", LEAST - 1), registered("second", 1000)]
    with FaultServer(*script) as server:
        provider, store = registering(server), MemoryStore()
        names = [client_id(provider, store) for _ in range(3)]
    assert names == ["first", "second", "second"]


def test_the_client_has_the_given_scope_and_options(
    provider: grantway.Provider,
) -> None:
    seen: list[str] = []

    def middleware(exchange: Any) -> Any:
        seen.append(exchange.step)
        return (yield exchange)

    with registered_client(
        provider, client_name="program", store=MemoryStore(), scope="read", middleware=[middleware]
    ) as client:
        token = device_code.login(client, lambda todo: None)
        assert token.scope == ("read",)
        assert seen == ["device_authorization", "token"]


@pytest.mark.parametrize(
    ("redirect_uri", "application_type"),
    [
        ("http://127.0.0.1/callback", "native"),
        ("com.example.app:/callback", "native"),
        ("https://app.example.com/callback", "web"),
    ],
)
def test_registers_the_type_that_permits_the_redirect_uri(
    redirect_uri: str, application_type: str
) -> None:
    with FaultServer(faults.respond(201, {"client_id": "a"})) as server:
        client_id(registering(server), MemoryStore(), redirect_uri=redirect_uri)
        assert server.requests[0].json["application_type"] == application_type


def test_rejects_a_client_id(provider: grantway.Provider) -> None:
    with pytest.raises(TypeError, match="client_id"):
        registered_client(provider, client_name="a", store=MemoryStore(), client_id="mine")


def test_reports_a_provider_without_registration() -> None:
    provider = grantway.Provider(token_endpoint="https://login.example.com/token")
    with pytest.raises(ConfigurationError, match="registration_endpoint: this provider has none"):
        registered_client(provider, client_name="a", store=MemoryStore())


def test_a_rejected_registration_stores_nothing() -> None:
    refusal = {"error": "invalid_client_metadata", "error_description": "no such scope"}
    registered = {"client_id": "mine"}
    script = [faults.respond(400, refusal), faults.respond(201, registered)]
    with FaultServer(*script) as server:
        provider, store = registering(server), MemoryStore()
        with pytest.raises(InvalidClientMetadataException, match="no such scope"):
            client_id(provider, store)
        assert client_id(provider, store) == "mine"


@pytest.mark.parametrize(
    "unusable",
    [
        {"token_endpoint_auth_method": "private_key_jwt"},
        {"token_endpoint_auth_method": "\x1b[2J"},
        {"token_endpoint_auth_method": {"a": 1}},
        {"client_id": "\ud800"},
        {"client_secret": "\ud800"},
        {"client_secret": 5},
    ],
)
def test_an_unusable_registration_is_not_stored(unusable: dict[str, Any]) -> None:
    """Such as one that the provider made by mistake; it would prevent every later login."""
    script = [
        faults.respond(201, {"client_id": "first", **unusable}),
        faults.respond(201, {"client_id": "mine"}),
    ]
    with FaultServer(*script) as server:
        provider, store = registering(server), MemoryStore()
        with pytest.raises(grantway.ResponseInvalidError, match="registered a client without") as e:
            client_id(provider, store)
        assert str(e.value).isprintable()
        assert client_id(provider, store) == "mine"


@pytest.mark.parametrize("ends", [0, -1, 10**400, 10**15, float("nan"), float("inf"), True, "1"])
def test_a_registration_with_an_invalid_end_does_not_end(ends: Any) -> None:
    registered = {"client_id": "mine", "client_secret": "s" * 40, "client_secret_expires_at": ends}
    with FaultServer(faults.respond(201, registered)) as server:
        provider, store = registering(server), MemoryStore()
        assert [client_id(provider, store) for _ in range(2)] == ["mine"] * 2


@pytest.mark.parametrize(
    ("offered", "registered"),
    [
        (["client_secret_basic", "none", "client_secret_post"], "none"),
        # Servers of MCP's SDK accept Basic only with a client_id in the body.
        (["client_secret_basic", "client_secret_post"], "client_secret_post"),
        (["client_secret_basic", "private_key_jwt"], "client_secret_basic"),
        (None, "client_secret_basic"),
    ],
)
def test_registers_a_method_that_the_provider_offers(
    offered: list[str] | None, registered: str
) -> None:
    with FaultServer(faults.respond(201, {"client_id": "c", "client_secret": "s"})) as server:
        provider = registering(server)
        metadata = {**provider.metadata, "token_endpoint_auth_methods_supported": offered}
        client_id(replace(provider, metadata=metadata), MemoryStore())
    [request] = server.requests
    assert json.loads(request.body)["token_endpoint_auth_method"] == registered


@pytest.mark.parametrize("method", [None, "", "none", ...], ids=["null", "", "none", "missing"])
@pytest.mark.parametrize(
    ("offered", "used"),
    [(["none", "client_secret_basic"], ClientSecretBasic), (["none"], ClientSecretPost)],
)
def test_a_client_that_got_a_secret_uses_it(method: Any, offered: list[str], used: type) -> None:
    """Figma and Supabase require a secret that they return to a client that requested none."""
    made = {"client_id": "c", "client_secret": "the secret", "token_endpoint_auth_method": method}
    made = {name: value for name, value in made.items() if value is not ...}
    with FaultServer(faults.respond(201, made)) as server:
        provider = registering(server)
        metadata = {**provider.metadata, "token_endpoint_auth_methods_supported": offered}
        provider = replace(provider, metadata=metadata)
        with registered_client(provider, client_name="a", store=MemoryStore()) as client:
            assert type(client.auth) is used
    [request] = server.requests
    assert json.loads(request.body)["token_endpoint_auth_method"] == "none"


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("body", [b"<html>slow down", {"error": "too_many_requests"}])
def test_a_busy_registration_endpoint_says_when_to_try_again(status: int, body: Any) -> None:
    act = faults.respond(status, body, {"Retry-After": "60"})
    with FaultServer(act) as server:
        provider = registering(server)
        with pytest.raises(grantway.ProviderUnavailableError, match=r"again in 60 s") as caught:
            client_id(provider, MemoryStore())
    assert caught.value.retry_after == 60
    assert "Register one manually" in str(caught.value)


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (401, b"", "with status 401. Register one manually, and use its client_id."),
        (400, b"Redirect URI must use HTTPS", "The response begins: Redirect URI must use HTTPS"),
        (
            403,
            {"error": "insufficient_scope", "error_description": "Host not trusted."},
            "insufficient_scope: Host not trusted. Register one manually, and use its client_id.",
        ),
    ],
)
def test_a_rejected_registration_says_what_to_do(status: int, body: Any, expected: str) -> None:
    with (
        FaultServer(faults.respond(status, body)) as server,
        pytest.raises(grantway.GrantwayError) as caught,
    ):
        client_id(registering(server), MemoryStore())
    assert str(caught.value).endswith(expected)
