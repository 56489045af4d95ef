"""Tests of ``grantway clients`` beside a running issuer."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from grantway_plugins.client_auth import SigningKey
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
        output = ("--json", "--secret-file", str(secret))
        added = grantway("clients", "add", "gw", *options, *output, *database)
        client = json.loads(added.stdout)
        assert "client_secret" not in client
        assert secret.stat().st_mode & 0o777 == 0o600
        first = secret.read_text()
        assert works(first)
        rotated = grantway("clients", "rotate", client["client_id"], *database)
        # Immediately: clients that read the new secret from a file use it without delay.
        assert works(rotated.stdout.strip())
        assert works(first)
        listed = json.loads(grantway("clients", "list", "--json", *database).stdout)
        assert [each["client_name"] for each in listed] == ["gw"]
        assert grantway("clients", "remove", client["client_id"], *database).returncode == 0
        until(lambda: not works(first))
        assert json.loads(grantway("clients", "list", "--json", *database).stdout) == []


def test_reports_invalid_options() -> None:
    assert "in memory" in grantway("clients", "list", "--database", ":memory:").stderr


def test_adds_no_client_if_the_secret_file_cannot_be_written(tmp_path: Path) -> None:
    database = ("--database", str(tmp_path / "issuer.sqlite3"))
    missing = tmp_path / "missing" / "secret.txt"
    rejected = grantway("clients", "add", "gw", "--secret-file", str(missing), *database)
    assert rejected.returncode == 1
    assert str(missing) in rejected.stderr
    assert json.loads(grantway("clients", "list", "--json", *database).stdout) == []


def test_prints_each_change_in_the_format_of_the_audit_log(tmp_path: Path) -> None:
    database = ("--database", str(tmp_path / "issuer.sqlite3"))
    options = ("--grant-type", "client_credentials", *database)
    added = grantway("clients", "--log-format", "json", "add", "gw", "--json", *options)
    client_id = json.loads(added.stdout)["client_id"]
    entry = json.loads(added.stderr)
    assert (entry["event"], entry["client_id"]) == ("registration", client_id)
    removed = grantway("clients", "--log-format", "text", "remove", client_id, *database)
    assert f" grantway.audit client_removal client_id={client_id} " in removed.stderr
    assert removed.stderr.count("\n") == 1


def test_prints_lines_and_a_table_without_json(tmp_path: Path) -> None:
    database = ("--database", str(tmp_path / "issuer.sqlite3"))
    options = ("--grant-type", "client_credentials", "--scope", "read write", *database)
    lines = grantway("clients", "add", "gw", *options).stdout.splitlines()
    shown = dict(line.split(": ", 1) for line in lines)
    assert shown["client_name"] == "gw"
    assert shown["grant_types"] == '["client_credentials"]'
    assert shown["scope"] == "read write"
    header, row = grantway("clients", "list", *database).stdout.splitlines()
    assert header.split() == ["client_id", "name", "auth", "grant_types", "scope", "introspects"]
    assert row.split() == [
        shown["client_id"],
        "gw",
        "client_secret_basic",
        "client_credentials",
        "read",
        "write",
        "no",
    ]
    assert shown["client_secret"] not in row
    rotated = grantway("clients", "rotate", shown["client_id"], "--json", *database)
    secret = json.loads(rotated.stdout)
    assert secret.keys() == {"client_id", "client_secret"}
    removed = grantway("clients", "remove", shown["client_id"], "--json", *database)
    assert json.loads(removed.stdout) == {"client_id": shown["client_id"]}
    assert grantway("clients", "remove", shown["client_id"], *database).returncode == 1


def test_reads_the_metadata_and_the_database_from_files(tmp_path: Path) -> None:
    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    key = SigningKey(pem)
    metadata = tmp_path / "client.json"
    metadata.write_text(
        json.dumps(
            {
                "token_endpoint_auth_method": "private_key_jwt",
                "redirect_uris": ["https://app.example.com/callback"],
                "jwks": {"keys": [key.public_jwk()]},
            }
        )
    )
    config = tmp_path / "issuer.toml"
    config.write_text(
        '[database]\nurl = "issuer.sqlite3"\n[registration]\nmode = "token"\n'
        'token = { source = "env", name = "GRANTWAY_TEST_NOT_SET" }\n'
    )
    options = ("--json", "--config", str(config))
    added = grantway("clients", "add", "app", "--metadata", str(metadata), *options)
    client = json.loads(added.stdout)
    assert client["token_endpoint_auth_method"] == "private_key_jwt"
    assert client["jwks"] == {"keys": [key.public_jwk()]}
    assert "client_secret" not in client
    assert (tmp_path / "issuer.sqlite3").exists()
    (listed,) = json.loads(grantway("clients", "list", *options).stdout)
    assert listed["redirect_uris"] == ["https://app.example.com/callback"]
    replaced = grantway(
        "clients", "add", "app", "--metadata", str(metadata), "--auth", "none", *options
    )
    assert json.loads(replaced.stdout)["token_endpoint_auth_method"] == "none"
    config.write_text("[database]\nurl = 3\n")
    errors = grantway("clients", "list", "--config", str(config)).stderr
    assert f"{config}, line 2: database.url must be text" in errors


@pytest.mark.parametrize("content", ["[]", "nothing", '{"redirect_uris": "https://a.example"}'])
def test_rejects_invalid_metadata(tmp_path: Path, content: str) -> None:
    metadata = tmp_path / "client.json"
    metadata.write_text(content)
    database = ("--database", str(tmp_path / "issuer.sqlite3"))
    done = grantway("clients", "add", "app", "--metadata", str(metadata), *database)
    assert done.returncode == 1
    assert "client.json is not a JSON object" in done.stderr or "redirect_uris" in done.stderr
