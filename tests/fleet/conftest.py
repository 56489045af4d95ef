"""What fleets share, and an issuer that forgives nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fleet.issuer import StrictIssuer
from tests.fleet.machines import StoreOptions
from tests.postgres import PostgresServer, postgres_server
from tests.valkey import ValkeyServer, valkey_server

#: Seconds until the lock of a machine that died is free; renewed three times in it, which a busy
#: machine must manage.
LEASE = 1.5


@pytest.fixture
def issuer(tmp_path: Path) -> Iterator[StrictIssuer]:
    """One that never takes a refresh token twice."""
    with StrictIssuer(tmp_path) as running:
        yield running


@pytest.fixture(scope="session")
def valkey() -> Iterator[ValkeyServer]:
    """One for all tests; each logs in with another issuer, and so has another key."""
    with valkey_server() as running:
        yield running


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """The same."""
    with postgres_server() as running:
        yield running


@pytest.fixture
def shared_store(request: pytest.FixtureRequest, tmp_path: Path) -> StoreOptions:
    """The store that the test's parameter names, as each machine opens it.

    ``-short``: with a lease to be waited for. The others keep theirs, however busy the machine is.
    """
    name, _, short = request.param.partition("-")
    if name == "file":
        return "file", {"folder": str(tmp_path / "tokens")}
    server = request.getfixturevalue({"redis": "valkey", "sql": "postgres"}[name])
    options = {"url": server.url, "timeout": 10.0}
    return name, options | ({"lease": LEASE} if short else {})
