"""An issuer that accepts one SSH key, and a client."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import asyncssh
import pytest
import requests
from grantway_ssh import GRANT_TYPE, SshAssertion, key_file

import grantway
from grantway_plugins.issuer import IssuerServer, IssuerSettings

PRINCIPAL = "alice@example.com"


def new_key(file: Path, kind: str = "ssh-ed25519") -> Path:
    """Write a key pair, as ssh-keygen does."""
    key = asyncssh.generate_private_key(kind)
    key.write_private_key(file)
    file.chmod(0o600)
    key.write_public_key(file.with_suffix(".pub"))
    return file


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys")


@pytest.fixture(scope="session")
def key(folder: Path) -> Path:
    return new_key(folder / "alice")


@pytest.fixture(scope="session")
def allowed(folder: Path, key: Path) -> Path:
    file = folder / "allowed_signers"
    file.write_text(f"{PRINCIPAL} {key.with_suffix('.pub').read_text()}")
    return file


@pytest.fixture(scope="session")
def registry(allowed: Path) -> grantway.Registry:
    return grantway.build_registry(
        only=["grantway", "grantway-ssh"],
        strict=True,
        settings={"ssh": {"allowed_signers": str(allowed)}},
    )


@pytest.fixture(scope="session")
def server(folder: Path, registry: grantway.Registry) -> Iterator[IssuerServer]:
    settings = IssuerSettings(registration="unrestricted")
    database = folder / "issuer.db"
    with IssuerServer(settings, database=database, registry=registry) as running:
        yield running


@pytest.fixture(scope="session")
def client_id(server: IssuerServer) -> str:
    return register(server)


def register(server: IssuerServer) -> str:
    """Register a public client."""
    metadata = {
        "grant_types": [GRANT_TYPE],
        "scope": "deploy",
        "token_endpoint_auth_method": "none",
    }
    made = requests.post(f"{server.url}/register", json=metadata, timeout=10)
    registered: str = made.json()["client_id"]
    return registered


@pytest.fixture
def client(
    server: IssuerServer, client_id: str, registry: grantway.Registry
) -> Iterator[grantway.Client]:
    provider = grantway.Provider.discover(server.url)
    with grantway.Client(provider, client_id=client_id, registry=registry) as made:
        yield made


@pytest.fixture
def assertion(client: grantway.Client, key: Path) -> SshAssertion:
    return SshAssertion(client, PRINCIPAL, key_file(key))
