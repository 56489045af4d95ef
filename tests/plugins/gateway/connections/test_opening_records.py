"""Tests of the choice of records by the gateway's store."""

from __future__ import annotations

from typing import Any

import pytest

from grantway._exceptions import ConfigurationError
from grantway_plugins.gateway._connections._records.opening import open_records

URL = "postgresql+psycopg://user:hidden@localhost/tokens"


@pytest.mark.parametrize(
    ("store", "shown"),
    [
        ({"kind": "memory"}, "MemoryRecords()"),
        (
            {"kind": "sql", "url": URL, "prefix": "x_", "timeout": 2, "lease": 5, "keep_for": 9000},
            "SqlRecords(postgresql://localhost:5432/tokens, prefix='x_')",
        ),
        (
            {"kind": "redis", "url": "redis://:hidden@localhost", "replicas": 1, "lease": 5},
            "RedisRecords(redis://localhost:6379/0, prefix='grantway:')",
        ),
        (
            {"kind": "encrypted", "key": "...", "inner": {"kind": "sql", "url": URL}},
            "SqlRecords(postgresql://localhost:5432/tokens, prefix='grantway_store_')",
        ),
    ],
    ids=lambda value: value["kind"] if isinstance(value, dict) else "",
)
def test_opens_records_in_the_database_of_the_store(store: dict[str, Any], shown: str) -> None:
    assert repr(open_records(store)) == shown


@pytest.mark.parametrize(
    ("store", "problem"),
    [
        ({"kind": "file"}, "must be one of memory, redis, sql .* which the store 'file' cannot"),
        ({"kind": "encrypted", "inner": {"kind": "keyring"}}, "the store 'keyring' cannot"),
        ({"kind": "encrypted"}, "the store 'encrypted' cannot"),
        ({"kind": "sql", "url": "mysql://user:hidden@localhost/x"}, "url: must be like postgresql"),
        ({"kind": "sql"}, "needs the option url"),
    ],
)
def test_rejects_stores_without_records(store: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem) as raised:
        open_records(store)
    assert "hidden" not in str(raised.value)
