"""The start of PostgreSQL servers in several processes of one test run."""

from __future__ import annotations

import subprocess

import pytest

from tests import postgres


def test_another_process_may_be_creating_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    failures = [subprocess.CalledProcessError(9, "useradd")]

    def create(_name: str) -> None:
        if failures:
            raise failures.pop()

    monkeypatch.setattr(postgres.utils, "ensure_user_exists", create)
    assert [postgres._has_user() for _ in range(2)] == [False, True]


def test_a_busy_machine_may_take_long_to_start_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, object] = {}
    monkeypatch.setattr(postgres, "_original", lambda _arguments, **options: given.update(options))
    postgres._pg_ctl(["start"], user="postgres", timeout=10)
    assert given == {"user": "postgres", "timeout": postgres.PATIENCE}
