"""Tests of the fast reader for token files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from grantway import Token
from grantway._credentials.token_format import VERSION, encode_token
from grantway_plugins.cli.token_file import read_token_file
from grantway_plugins.stores.file._store import FileStore
from tests.plugins.cli.home import Home

TOKEN = Token("at", expires_at=1e9, refresh_token="rt", scope=("read",))


def test_reads_a_saved_token(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    store.save("key", TOKEN)
    assert read_token_file(str(store.path("key"))) == {
        "version": VERSION,
        "access_token": "at",
        "token_type": "Bearer",
        "expires_at": 1e9,
        "refresh_token": "rt",
        "scope": ["read"],
    }


@pytest.mark.parametrize(
    "data",
    [b"", b"half", b"[1]", b"\xff", b"[" * 200_000, encode_token(TOKEN).replace(b":1,", b":2,", 1)],
    ids=["empty", "half", "list", "no text", "deep", "a later version"],
)
def test_returns_none_for_files_it_cannot_read(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "key.json"
    assert read_token_file(str(path)) is None
    path.write_bytes(data)
    assert read_token_file(str(path)) is None
    assert read_token_file(str(tmp_path / "nowhere" / "key.json")) is None


def test_the_fast_path_imports_few_modules(home: Home) -> None:
    code = (
        "import sys; before = set(sys.modules)\n"
        "from grantway_plugins.cli.fresh_token import print_fresh_token\n"
        "assert not print_fresh_token(['work'])\n"
        "print(*set(sys.modules) - before)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        env=home.env,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert set(run.stdout.split()) <= {
        "binascii",
        "pwd",
        "grantway_plugins",
        "grantway_plugins._config",
        "grantway_plugins._file_signature",
        "grantway_plugins._paths",
        "grantway_plugins.cli",
        "grantway_plugins.cli.fresh_token",
        "grantway_plugins.cli.token_file",
    }
