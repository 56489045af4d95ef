"""Fixtures for fleets: a strict issuer and the stores that machines share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fleet.issuer import StrictIssuer
from tests.fleet.machines import StoreOptions
from tests.postgres import PostgresServer, postgres_server
from tests.valkey import ValkeyServer, valkey_server

#: Lease duration in seconds. A busy machine must be able to extend the lease every third of it.
LEASE = 1.5


@pytest.fixture
def issuer(tmp_path: Path) -> Iterator[StrictIssuer]:
    """An issuer that accepts each refresh token once."""
    with StrictIssuer(tmp_path) as running:
        yield running


@pytest.fixture(scope="session")
def valkey() -> Iterator[ValkeyServer]:
    """A server for all tests. Each test has its own issuer, and therefore its own key."""
    with valkey_server() as running:
        yield running


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A server for all tests, as above."""
    with postgres_server() as running:
        yield running


@pytest.fixture
def shared_store(request: pytest.FixtureRequest, tmp_path: Path) -> StoreOptions:
    """Name and options of the store that the test's parameter names.

    The suffix ``-short`` selects a short lease, for tests that wait until it expires.
    """
    name, _, short = request.param.partition("-")
    if name == "file":
        return "file", {"folder": str(tmp_path / "tokens")}
    server = request.getfixturevalue({"redis": "valkey", "sql": "postgres"}[name])
    options = {"url": server.url, "timeout": 10.0}
    return name, options | ({"lease": LEASE} if short else {})
