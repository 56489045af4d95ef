"""Client authentication methods of plugins, verified by the issuer."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import pickle
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from marshmallow import Schema, fields, validate

import grantway
from grantway._types.issuer_plugins import IssuerClientAuth
from grantway.testing import Register
from grantway_plugins.cli.app import app
from grantway_plugins.issuer import (
    Denial,
    IssuerRequest,
    IssuerServer,
    IssuerSettings,
    RegisteredClient,
    Transaction,
)
from grantway_plugins.testing._live_issuer import LiveIssuer
from tests.plugins.issuer.conftest import BASIC, Caller

KEY = "key-0123456789abcdef"
DIGEST = hashlib.sha256(KEY.encode()).hexdigest()
CREDENTIALS = "client_credentials"


class ApiKeys:
    """Verifies a key in a header. The client sends its id in the body, or in a second header."""

    schema = Schema.from_dict(
        {"api_key_sha256": fields.String(required=True, validate=validate.Length(equal=64))}
    )()

    def client_id(self, request: IssuerRequest) -> str | None:
        if request.headers.get("x-boom") == "id":
            raise RuntimeError(KEY)
        return request.headers.get("x-client-id")

    def verify(
        self, request: IssuerRequest, client: RegisteredClient, transaction: Transaction
    ) -> bool | Denial:
        assert KEY not in repr(request)
        boom: Any = request.headers.get("x-boom")
        if boom == "verify":
            raise RuntimeError(KEY)
        if boom == "wrong":
            return "yes"  # type: ignore[return-value]
        if boom == "deny":
            return Denial("use_challenge", "Send the challenge again")
        key = hashlib.sha256(request.headers.get("x-api-key", "").encode()).hexdigest()
        return hmac.compare_digest(key, client.metadata["api_key_sha256"])


class Certificates:
    """Finds a client id too, and has no metadata."""

    schema = None

    def client_id(self, request: IssuerRequest) -> str | None:
        return request.headers.get("x-certificate")

    def verify(self, request: Any, client: Any, transaction: Any) -> bool:
        return "x-certificate" in request.headers


class Unfinished(ApiKeys):
    """Has no schema, or a wrong one."""

    def __init__(self, schema: Any = None) -> None:
        self.given = schema

    def __getattribute__(self, name: str) -> Any:
        if name != "schema":
            return super().__getattribute__(name)
        if self.given is None:
            raise AttributeError(name)
        return self.given


@dataclass(frozen=True)
class ApiKey:
    """The client's part."""

    client_id: str
    key: str = field(repr=False)

    def authenticate(self, request: Any) -> None:
        request.headers["X-Api-Key"] = self.key
        request.fields["client_id"] = self.client_id

    def secrets(self) -> tuple[str, ...]:
        return (self.key,)


class Plugin:
    """Registers both parts."""

    @grantway.hookimpl
    def grantway_register_issuer_client_auth(self) -> dict[str, IssuerClientAuth]:
        return {"api_key": ApiKeys(), "certificate": Certificates()}

    @grantway.hookimpl
    def grantway_register_client_auth(self) -> dict[str, Any]:
        return {"api_key": lambda client_id, _secret: ApiKey(client_id, KEY)}


@pytest.fixture(scope="module")
def registry() -> grantway.Registry:
    return grantway.build_registry({"keys": Plugin()}, strict=True)


@pytest.fixture(scope="module")
def url(registry: grantway.Registry) -> Iterator[str]:
    with IssuerServer(IssuerSettings(registration="unrestricted"), registry=registry) as server:
        yield server.url


@pytest.fixture
def caller(url: str) -> Iterator[Caller]:
    with Caller(url) as made:
        yield made


@pytest.fixture
def client(caller: Caller) -> Caller:
    """A client that is registered for the method of the plugin."""
    caller.register_rfc(
        token_endpoint_auth_method="api_key",
        api_key_sha256=DIGEST,
        grant_types=[CREDENTIALS],
        ignored="yes",
    )
    return caller


def ask(client: Caller, data: dict[str, str] | None = None, **headers: str) -> Any:
    headers = {"X-Api-Key": KEY, **{name.replace("_", "-"): it for name, it in headers.items()}}
    return client.http.post(
        f"{client.url}/token",
        data={"grant_type": CREDENTIALS, **({"client_id": client.id} if data is None else data)},
        headers=headers,
    )


def test_lists_the_methods_of_plugins(caller: Caller) -> None:
    listed = caller.http.get(f"{caller.url}/.well-known/oauth-authorization-server").json()
    standard = ["none", "client_secret_basic", "client_secret_post", "private_key_jwt"]
    added = ["api_key", "certificate"]
    assert listed["token_endpoint_auth_methods_supported"] == standard + added
    assert listed["introspection_endpoint_auth_methods_supported"] == standard[1:] + added


def test_registers_a_client_with_its_own_metadata_and_no_secret(client: Caller) -> None:
    made = client.http.post(
        f"{client.url}/register",
        json={
            "token_endpoint_auth_method": "api_key",
            "api_key_sha256": DIGEST,
            "grant_types": [CREDENTIALS],
            "ignored": "yes",
        },
    ).json()
    assert made["api_key_sha256"] == DIGEST
    assert made["token_endpoint_auth_method"] == "api_key"
    assert not {"client_secret", "ignored"} & set(made)


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ({"token_endpoint_auth_method": "api_key"}, "api_key_sha256: Missing data"),
        (
            {"token_endpoint_auth_method": "api_key", "api_key_sha256": "x"},
            "api_key_sha256: Length must be 64",
        ),
        ({"token_endpoint_auth_method": "other"}, "Must be one of: none, client_secret_basic"),
    ],
)
def test_rejects_invalid_metadata(caller: Caller, metadata: Any, reason: str) -> None:
    asked = {"grant_types": [CREDENTIALS], **metadata}
    response = caller.http.post(f"{caller.url}/register", json=asked)
    assert response.json()["error"] == "invalid_client_metadata"
    assert reason in response.json()["error_description"]


def test_authenticates_at_every_endpoint(client: Caller, registry: grantway.Registry) -> None:
    with grantway.Client(
        grantway.Provider.discover(client.url),
        client_id=client.id,
        auth="api_key",
        registry=registry,
    ) as asking:
        token = asking.create_token(grant_type=CREDENTIALS).access_token
    mine = {"client_id": client.id, "token": token}
    headers = {"X-Api-Key": KEY}
    found = client.http.post(f"{client.url}/introspect", data=mine, headers=headers).json()
    assert (found["active"], found["sub"]) == (True, client.id)
    revoked = client.http.post(f"{client.url}/revoke", data=mine, headers=headers)
    assert revoked.status_code == 200
    found = client.http.post(f"{client.url}/introspect", data=mine, headers=headers).json()
    assert found == {"active": False}


def test_finds_the_client_in_its_credentials(client: Caller) -> None:
    assert ask(client, {}, x_client_id=client.id).status_code == 200
    for headers in ({}, {"x_client_id": "unknown"}):
        assert ask(client, {}, **headers).status_code == 401
    two = ask(client, {}, x_client_id=client.id, x_certificate="another")
    assert (two.status_code, two.json()["error"]) == (400, "invalid_request")


@pytest.mark.parametrize("key", ["", "wrong"])
def test_rejects_wrong_credentials(client: Caller, key: str) -> None:
    response = ask(client, X_Api_Key=key)
    assert (response.status_code, response.json()["error"]) == (401, "invalid_client")


def test_accepts_only_the_registered_method(client: Caller, caller: Caller, url: str) -> None:
    wrong = {"client_id": client.id, "client_secret": KEY}
    assert ask(client, wrong).status_code == 401
    with Caller(url) as other:
        other.register_rfc(grant_types=[CREDENTIALS], token_endpoint_auth_method=BASIC)
        assert ask(other).status_code == 401
        assert ask(other, {}, x_client_id=other.id).status_code == 401
        other.register_rfc(grant_types=[CREDENTIALS], token_endpoint_auth_method="certificate")
        assert ask(other).status_code == 401
        assert ask(other, {}, x_client_id=other.id).status_code == 401
        assert ask(other, x_certificate=other.id).status_code == 200


def test_a_plugin_can_choose_the_error(client: Caller) -> None:
    response = ask(client, x_boom="deny")
    assert (response.status_code, response.json()["error"]) == (400, "use_challenge")


@pytest.mark.parametrize("where", ["verify", "wrong"])
def test_a_failing_plugin_fails_the_request_of_its_client(
    client: Caller, where: str, caplog: pytest.LogCaptureFixture
) -> None:
    response = ask(client, x_boom=where)
    assert (response.status_code, response.json()["error"]) == (500, "server_error")
    assert KEY not in response.text + caplog.text
    assert "verify of the issuer client authentication api_key (keys of" in caplog.text


def test_a_failing_plugin_does_not_affect_other_clients(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with Caller(url) as other:
        other.register_rfc(grant_types=[CREDENTIALS], token_endpoint_auth_method="certificate")
        response = ask(other, {}, x_boom="id", x_certificate=other.id)
    assert response.status_code == 200
    assert "client_id of the issuer client authentication api_key (keys of" in caplog.text
    assert KEY not in caplog.text


def test_a_client_cannot_authenticate_without_the_plugin(tmp_path: Path) -> None:
    database = tmp_path / "issuer.db"
    settings = IssuerSettings(registration="unrestricted")
    registry = grantway.build_registry({"keys": Plugin()}, strict=True)
    with (
        IssuerServer(settings, database=database, registry=registry) as server,
        Caller(server.url) as client,
    ):
        client.register_rfc(
            token_endpoint_auth_method="api_key", api_key_sha256=DIGEST, grant_types=[CREDENTIALS]
        )
        assert ask(client).status_code == 200
    with IssuerServer(settings, database=database) as server:
        client.url = server.url
        assert ask(client).status_code == 401


def test_the_operator_adds_a_client_with_its_own_metadata(tmp_path: Path) -> None:
    metadata = tmp_path / "client.json"
    metadata.write_text(json.dumps({"api_key_sha256": DIGEST, "grant_types": [CREDENTIALS]}))
    database = tmp_path / "issuer.db"
    grantway.register_plugin("keys", Plugin())
    try:
        add = ["clients", "add", "shop", "--json", "--auth", "api_key", "--database", str(database)]
        missing = CliRunner().invoke(app, [*add, "--grant-type", CREDENTIALS])
        added = CliRunner().invoke(app, [*add, "--metadata", str(metadata)])
        assert added.exit_code == 0, added.output
        listed = CliRunner().invoke(app, ["clients", "list", "--json", "--database", str(database)])
        assert json.loads(listed.stdout)[0]["token_endpoint_auth_method"] == "api_key"
        with IssuerServer(IssuerSettings(), database=database) as server:
            client = Caller(server.url)
            client.id = json.loads(added.stdout)["client_id"]
            with client:
                assert ask(client).status_code == 200
    finally:
        grantway.unregister("keys")
    assert "api_key_sha256: Missing data" in missing.output


@pytest.mark.parametrize(
    ("method", "reason"),
    [
        (object(), "the issuer client authentication x has no client_id"),
        (ApiKeys, "is a type; use an object with client_id"),
        (Unfinished(), "the schema of the issuer client authentication x is missing"),
        (Unfinished(ApiKeys), "the schema of the issuer client authentication x is a type"),
    ],
)
def test_rejects_an_invalid_method_when_the_registry_is_built(method: Any, reason: str) -> None:
    class Broken:
        @grantway.hookimpl
        def grantway_register_issuer_client_auth(self) -> dict[str, Any]:
            return {"x": method}

    with pytest.raises(grantway.PluginLoadError, match=reason):
        grantway.build_registry({"mine": Broken()}, strict=True)


def test_standard_methods_cannot_be_overridden() -> None:
    class Overrides:
        @grantway.hookimpl
        def grantway_register_issuer_client_auth(self) -> dict[str, Any]:
            return {"none": ApiKeys()}

    with pytest.raises(grantway.GrantConflictError, match="none"):
        grantway.build_registry({"mine": Overrides()})


def test_a_client_with_metadata_can_be_copied_but_not_changed(
    registry: grantway.Registry,
) -> None:
    settings = IssuerSettings(registration="unrestricted")
    with IssuerServer(settings, registry=registry) as server, Caller(server.url) as client:
        client.register_rfc(
            token_endpoint_auth_method="api_key", api_key_sha256=DIGEST, grant_types=[CREDENTIALS]
        )
        found = server.store.run(lambda transaction: transaction.clients.find(client.id))
    assert found is not None
    with pytest.raises(TypeError):
        found.metadata["api_key_sha256"] = "x"  # type: ignore[index]
    assert pickle.loads(pickle.dumps(found)) == found
    assert DIGEST not in repr(found)


def test_a_method_that_cannot_be_imported_is_not_offered(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Late:
        @grantway.hookimpl
        def grantway_register_issuer_client_auth(self) -> dict[str, Any]:
            return {"x": "no_such_module:X"}

    registry = grantway.build_registry({"late": Late()})
    with caplog.at_level(logging.WARNING), IssuerServer(registry=registry):
        pass
    assert "The plugin late of application could not be loaded" in caplog.text


def test_the_issuer_of_the_fixtures_registers_such_a_client(
    grantway_register: Register, grantway_issuer: LiveIssuer
) -> None:
    grantway_register(Plugin())
    client = grantway_issuer.client(
        scope=["a"],
        grant_types=[CREDENTIALS],
        auth="api_key",
        metadata={"api_key_sha256": DIGEST},
    )
    assert client.create_token(grant_type=CREDENTIALS).scope == ("a",)
