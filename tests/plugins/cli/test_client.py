"""Tests of ``grantway client`` beside a running issuer."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import requests

from tests import forked
from tests.waiting import PATIENCE, until

from .test_serve import GRANTWAY, serving


def grantway(*words: str) -> subprocess.CompletedProcess[str]:
    return forked.run(
        [*GRANTWAY, *words], capture_output=True, text=True, timeout=PATIENCE, check=False
    )


def test_adds_rotates_and_removes_a_client_while_the_issuer_runs(tmp_path: Path) -> None:
    database = ("--database", str(tmp_path / "issuer.sqlite3"))
    secret = tmp_path / "secret.txt"
    with serving(*database, "--registration", "off") as (url, _process):

        def works(client_secret: str) -> bool:
            response = requests.post(
                f"{url}/token",
                {"grant_type": "client_credentials"},
                auth=(client["client_id"], client_secret),
                timeout=PATIENCE,
            )
            return response.ok

        options = ("--grant-type", "client_credentials", "--scope", "read")
        added = grantway("client", "add", "gw", *options, "--secret-file", str(secret), *database)
        client = json.loads(added.stdout)
        assert "client_secret" not in client
        assert secret.stat().st_mode & 0o777 == 0o600
        first = secret.read_text()
        assert works(first)
        rotated = grantway("client", "rotate", client["client_id"], *database)
        # Immediately: clients that read the new secret from a file use it without delay.
        assert works(rotated.stdout.strip())
        assert works(first)
        listed = json.loads(grantway("client", "list", *database).stdout)
        assert [each["client_name"] for each in listed] == ["gw"]
        assert grantway("client", "remove", client["client_id"], *database).returncode == 0
        until(lambda: not works(first))
        assert json.loads(grantway("client", "list", *database).stdout) == []


def test_reports_invalid_options() -> None:
    assert "in memory" in grantway("client", "list", "--database", ":memory:").stderr


def test_adds_no_client_if_the_secret_file_cannot_be_written(tmp_path: Path) -> None:
    database = ("--database", str(tmp_path / "issuer.sqlite3"))
    missing = tmp_path / "missing" / "secret.txt"
    rejected = grantway("client", "add", "gw", "--secret-file", str(missing), *database)
    assert rejected.returncode == 1
    assert str(missing) in rejected.stderr
    assert json.loads(grantway("client", "list", *database).stdout) == []


def test_prints_each_change_in_the_format_of_the_audit_log(tmp_path: Path) -> None:
    database = ("--database", str(tmp_path / "issuer.sqlite3"))
    options = ("--grant-type", "client_credentials", *database)
    added = grantway("client", "--log-format", "json", "add", "gw", *options)
    client_id = json.loads(added.stdout)["client_id"]
    entry = json.loads(added.stderr)
    assert (entry["event"], entry["client_id"]) == ("registration", client_id)
    removed = grantway("client", "--log-format", "text", "remove", client_id, *database)
    assert f" grantway.audit client_removal client_id={client_id} " in removed.stderr
    assert removed.stderr.count("\n") == 1
