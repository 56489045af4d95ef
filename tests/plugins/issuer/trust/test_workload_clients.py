"""Clients that authenticate with the tokens of a platform, from the file to the access token."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

import grantway
from grantway_plugins import profiles
from grantway_plugins._jose import cached_keys
from grantway_plugins.gateway import EmbeddedIssuer, TokenEndpoint
from grantway_plugins.gateway._config import ConfigFile
from grantway_plugins.gateway._running.building import build_runtime
from grantway_plugins.gateway.upstream._tenant import EVERYBODY
from grantway_plugins.grants import token_exchange
from grantway_plugins.issuer import IssuerServer, IssuerSettings, TrustedIssuer
from grantway_plugins.issuer._decisions.operator_clients import add_client
from grantway_plugins.secrets import KubernetesToken
from grantway_plugins.testing import WorkloadIssuer
from tests.plugins.gateway.frameworks import FRAMEWORKS

ORDERS = "system:serviceaccount:prod:orders"
GRANTS = ["client_credentials", token_exchange.GRANT_TYPE]
JWT = "urn:ietf:params:oauth:token-type:jwt"


@pytest.fixture(scope="module")
def cluster() -> Iterator[WorkloadIssuer]:
    with WorkloadIssuer() as running:
        yield running


@contextmanager
def issuer(trusted: str, folder: Path) -> Iterator[tuple[IssuerServer, str]]:
    """Run an issuer that trusts another one, and return it with the id of its client."""
    database = folder / "issuer.db"
    metadata = {"grant_types": GRANTS, "token_endpoint_auth_method": "federated_jwt"}
    with IssuerServer(IssuerSettings(), database=database) as first:
        client_id = add_client(first.store, metadata)["client_id"]
    rules = TrustedIssuer(trusted, subjects=(ORDERS,), clients={ORDERS: client_id})
    settings = IssuerSettings(registration="off", trusted_issuers=(rules,))
    with IssuerServer(settings, database=database) as server:
        yield server, client_id


def test_a_client_follows_the_rotation_of_tokens_and_keys(
    cluster: WorkloadIssuer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cached_keys, "PAUSE", 0.0)
    file = tmp_path / "token"
    with issuer(cluster.url, tmp_path) as (server, client_id):
        cluster.write_token(file, ORDERS, server.url, lifetime=60)
        with grantway.Client(
            grantway.Provider.discover(server.url),
            client_id=client_id,
            client_assertion=KubernetesToken(file),
        ) as client:
            client.create_token(grant_type="client_credentials")
            cluster.rotate()
            cluster.write_token(file, ORDERS, server.url, lifetime=60)
            client.create_token(grant_type="client_credentials")
            exchanged = client.create_token(
                grant_type=token_exchange.GRANT_TYPE,
                subject_token=KubernetesToken(file),
                subject_token_type=JWT,
            )
            assert 0 < (exchanged.expires_in or 0) <= 60
            cluster.write_token(file, "system:serviceaccount:prod:other", server.url)
            with pytest.raises(grantway.InvalidClientException) as rejected:
                client.create_token(grant_type="client_credentials")
    assert file.read_text() not in str(rejected.value)


def test_a_profile_and_a_gateway_file_name_the_source(
    cluster: WorkloadIssuer, tmp_path: Path
) -> None:
    with issuer(cluster.url, tmp_path) as (server, client_id):
        cluster.write_token(tmp_path / "token", ORDERS, server.url)
        workload = (
            f'client_id = "{client_id}"\n'
            'client_assertion = { source = "kubernetes", path = "token" }\n'
        )
        file = tmp_path / "profiles.toml"
        file.write_text(
            f'[profiles.orders]\nprovider = "{server.url}"\n{workload}'
            'grant = "client_credentials"\nstore = "memory"\n'
        )
        with profiles.load("orders", file) as profile:
            assert profile.token()
        gateway = tmp_path / "gateway.toml"
        gateway.write_text(
            f'[providers.idp]\nissuer = "{server.url}"\n{workload}'
            '[routes.orders]\npath = "/orders"\nupstream = "http://127.0.0.1:9000"\n'
            'provider = "idp"\ntenant = "single"\non_failure = "closed"\n'
        )
        runtime = build_runtime(ConfigFile(gateway))
        try:
            (route,) = runtime.upstream.routes
            assert route.credential.credential(EVERYBODY).token()  # type: ignore[union-attr]
        finally:
            runtime.components.close()


@pytest.mark.parametrize("framework", ["asgi", "wsgi"])
def test_the_embedded_issuer_of_a_gateway_trusts_the_same_issuers(
    framework: str, cluster: WorkloadIssuer, tmp_path: Path
) -> None:
    with issuer(cluster.url, tmp_path) as (server, _):
        endpoint = TokenEndpoint(EmbeddedIssuer(server.store, server.settings))
        with FRAMEWORKS[framework](endpoint) as url:
            params = {
                "grant_type": "client_credentials",
                "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                "client_assertion": cluster.token(ORDERS, server.url),
            }
            assert requests.post(f"{url}/token", data=params, timeout=10).status_code == 200
            params["client_assertion"] = cluster.token("someone", server.url)
            assert requests.post(f"{url}/token", data=params, timeout=10).status_code == 401


@pytest.mark.parametrize("embedded", [False, True])
def test_unavailable_keys_are_a_temporary_failure(tmp_path: Path, *, embedded: bool) -> None:
    with (
        WorkloadIssuer("http://127.0.0.1:1") as lost,
        issuer("http://127.0.0.1:1", tmp_path) as (server, client_id),
        FRAMEWORKS["wsgi"](TokenEndpoint(EmbeddedIssuer(server.store, server.settings))) as other,
    ):
        url = other if embedded else server.url
        params = {
            "grant_type": "client_credentials",
            "client_id": client_id,
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": lost.token(ORDERS, server.url),
        }
        failed = requests.post(f"{url}/token", data=params, timeout=30)
        assert (failed.status_code, failed.headers["Retry-After"]) == (503, "1")
        assert failed.json() == {
            "error": "server_error",
            "error_description": "The keys of the token's issuer cannot be read at the moment; try "
            "again",
        }
        health = requests.get(f"{server.url}/health", timeout=10)
        assert health.status_code == 200
