"""Tests of the records in memory."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from grantway_plugins.gateway._connections._records.memory import MemoryRecords
from tests.plugins.gateway.connections.contract import RecordsContract


class TestMemory(RecordsContract):
    """The contract for records in memory."""

    examples = 50

    @pytest.fixture
    def reopen(self) -> Callable[[], MemoryRecords]:
        records = MemoryRecords()
        return lambda: records
