"""Tests of ``grantway keys`` beside a running issuer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import requests

from tests.waiting import PATIENCE, until

from .test_clients import grantway
from .test_serve import serving


def test_rotates_and_removes_keys_while_the_issuer_runs(tmp_path: Path) -> None:
    database = ("--database", str(tmp_path / "issuer.sqlite3"))

    def listed() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(
            grantway("keys", "list", "--json", *database).stdout
        )
        return found

    with serving(*database) as (url, _process):

        def published() -> set[str]:
            found = requests.get(f"{url}/jwks", timeout=PATIENCE).json()["keys"]
            return {each["kid"] for each in found}

        assert "nothing was changed" in grantway("keys", "rotate", *database).stderr
        first = published()
        assert {each["kid"] for each in listed()} == first
        assert {each["state"] for each in listed()} == {"signing"}
        assert "replaces 2 keys" in grantway("keys", "rotate", *database).stdout
        # The issuer reads the keys again after five seconds.
        both = until(published, lambda kids: len(kids) == 4)
        assert first < both
        assert sorted(each["state"] for each in listed()) == ["next", "next", "signing", "signing"]
        removed = min(first)
        assert removed in grantway("keys", "list", *database).stdout
        assert grantway("keys", "remove", removed, *database).returncode == 0
        assert "There is no key" in grantway("keys", "remove", removed, *database).stderr
        until(published, lambda kids: removed not in kids)
