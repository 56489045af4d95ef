"""Tests of ``Client(auth="...")``, with methods of grantway and of plugins."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from joserfc.jwk import ECKey

import grantway
from grantway._exceptions import ConfigurationError, GrantConflictError
from grantway._requests.client_auth import ClientAuthFactory, ClientSecretBasic, NoAuth
from grantway._requests.outgoing_request import OutgoingRequest
from grantway.testing import ClientAuthTests
from grantway_plugins.client_auth import ClientSecretJwt, DPoP, MutualTls, PrivateKeyJwt
from tests.plugins.client_auth.scripted import TOKEN_ENDPOINT, Scripted, token

PEM = ECKey.generate_key("P-256").as_pem(private=True).decode()


def auth_of(method: str | None, secret: str | None, registry: Any = None) -> Any:
    client = grantway.Client(
        grantway.Provider(TOKEN_ENDPOINT),
        client_id="my-client",
        client_secret=secret,
        auth=method,
        registry=registry,
        transport=Scripted([]),
    )
    assert client.client_id == "my-client"
    return client.auth


class TestMethods(ClientAuthTests):
    """The tests for every client authentication."""

    check_locals = True
    public = (*ClientAuthTests.public, "DPoP")  # a proof is useless without the key

    @pytest.fixture(params=["private_key_jwt", "client_secret_jwt", "tls_client_auth", "dpop"])
    def client_auth(self, request: pytest.FixtureRequest) -> grantway.ClientAuth:
        if request.param == "dpop":
            return DPoP(ClientSecretBasic("my-client", "a client secret"), PEM)
        secrets = {"private_key_jwt": PEM, "client_secret_jwt": "a secret of 32 bytes or longer !!"}
        auth: grantway.ClientAuth = auth_of(request.param, secrets.get(request.param))
        return auth


@pytest.mark.parametrize(
    ("method", "secret", "kind"),
    [
        ("private_key_jwt", PEM, PrivateKeyJwt),
        ("client_secret_jwt", "s" * 32, ClientSecretJwt),
        ("tls_client_auth", None, MutualTls),
        ("self_signed_tls_client_auth", None, MutualTls),
        (None, None, NoAuth),
        (None, "s", ClientSecretBasic),
        ("client_secret_basic", None, NoAuth),
    ],
)
def test_selects_a_method_by_its_registered_name(
    method: str | None, secret: str | None, kind: type
) -> None:
    assert type(auth_of(method, secret)) is kind


@pytest.mark.parametrize(
    ("method", "secret", "says"),
    [
        ("private_key_jwt", None, "client_secret: is missing; private_key_jwt"),
        ("private_key_jwt", "no key", "must be a private key"),
        ("client_secret_jwt", None, "client_secret: is missing; client_secret_jwt requires it"),
        ("client_secret_jwt", "short", "at least 32 bytes"),
        ("tls_client_auth", "s", "mutual TLS does not use one"),
        ("private_key_jwd", None, "private_key_jwd.*is not registered.*private_key_jwt"),
    ],
)
def test_rejects_unusable_settings_at_construction(
    method: str, secret: str | None, says: str
) -> None:
    with pytest.raises(ConfigurationError, match=says):
        auth_of(method, secret)


class ApiKey:
    """A third-party method in as few lines as possible."""

    def __init__(self, client_id: str, key: str | None) -> None:
        self.client_id, self.key = client_id, key or ""

    def authenticate(self, request: OutgoingRequest) -> None:
        request.headers["X-Api-Key"] = self.key

    def secrets(self) -> tuple[str, ...]:
        return (self.key,)


def plugin(method: str, factory: object = ApiKey) -> object:
    @grantway.hookimpl
    def grantway_register_client_auth() -> dict[str, ClientAuthFactory]:
        return {method: factory}  # type: ignore[dict-item]

    return SimpleNamespace(grantway_register_client_auth=grantway_register_client_auth)


def test_a_plugin_registers_a_method() -> None:
    registry = grantway.build_registry({"keys": plugin("api_key")})
    transport = Scripted([token()])
    client = grantway.Client(
        grantway.Provider(TOKEN_ENDPOINT),
        client_id="my-client",
        client_secret="k-123456",
        auth="api_key",
        registry=registry,
        transport=transport,
    )
    client.create_token(grant_type="refresh_token", refresh_token="rt-1")
    assert transport.requests[0].headers["X-Api-Key"] == "k-123456"


@pytest.mark.parametrize("method", ["client_secret_basic", "none", "private_key_jwt"])
def test_two_plugins_cannot_register_the_same_method(method: str) -> None:
    with pytest.raises(GrantConflictError, match=method):
        grantway.build_registry({"keys": plugin(method)})


def test_a_plugin_with_an_invalid_factory_fails_to_load() -> None:
    registry = grantway.build_registry({"keys": plugin("api_key", "ApiKey")})
    (status,) = [status for status in registry.plugins if status.name == "keys"]
    assert status.state == "failed"
    assert "client authentication" in status.reason
    assert "api_key" not in registry.client_auth


WITHOUT_JOSERFC = """
import sys
sys.modules["joserfc"] = None
import grantway
provider = grantway.Provider("https://as.example/token")
grantway.Client(provider, client_id="c", auth="tls_client_auth")
assert "cryptography" not in sys.modules
try:
    grantway.Client(provider, client_id="c", client_secret="s" * 32, auth="client_secret_jwt")
except grantway.ConfigurationError as error:
    print(error)
"""


def test_only_methods_that_need_a_missing_extra_fail_and_name_it() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_JOSERFC], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "pip install 'grantway[jose]'" in done.stdout
