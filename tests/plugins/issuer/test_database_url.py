"""Database URLs: passwords are never shown, and SQLite files are private."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from grantway_plugins._sql.urls import has_password
from grantway_plugins.issuer import DatabaseError, IssuerServer
from grantway_plugins.issuer._storage.store import IssuerStore
from tests.plugins.cli.test_clients import grantway
from tests.plugins.stores.contract import shown

PASSWORD = "Zk3-pw"


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql+psycopg://issuer:{PASSWORD}@127.0.0.1:1/tokens",
        f"postgresql+psycopg://127.0.0.1:1/tokens?user=issuer&password={PASSWORD}",
        f"postgresql+psycopg://issuer:{PASSWORD}@127.0.0.1:port/tokens",
        f"no-such-database://issuer:{PASSWORD}@127.0.0.1:1/tokens",
        f"postgres://issuer:{PASSWORD}@127.0.0.1:1/tokens",
        # Passwords with characters that a URL must escape.
        f"postgresql+psycopg://issuer:a@{PASSWORD}@127.0.0.1:1/tokens",
        f"postgresql+psycopg://issuer:a@/{PASSWORD}@127.0.0.1:1/tokens",
        f"postgresql+psycopg://issuer:a/{PASSWORD}?b#c@127.0.0.1:1/tokens",
        f"postgresql+psycopg://issuer:a@{PASSWORD}/x@127.0.0.1:1/tokens",
        # Names that resemble a URL; treated as a path, they would create a file.
        f"postgresql:issuer:{PASSWORD}@127.0.0.1:1/tokens",
        f"postgresql:/issuer:{PASSWORD}@127.0.0.1:1/tokens",
        f"postgresql//issuer:{PASSWORD}@127.0.0.1:1/tokens",
        f"issuer:{PASSWORD}@127.0.0.1:1/tokens",
        f"host=127.0.0.1 user=issuer password={PASSWORD}",
        f"postgresql+psycopg://127.0.0.1:1/tokens;password={PASSWORD}",
    ],
)
def test_no_error_shows_a_password(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for open_database in (IssuerStore, lambda url: IssuerServer(database=url)):
        with pytest.raises(DatabaseError) as raised:
            open_database(url)
        assert PASSWORD not in shown(raised.value)
    assert has_password(url)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["sqlite:x.db", "file:x.db", "sqlite:/x.db", "host=x dbname=y"])
def test_rejects_a_database_name_that_looks_like_a_url(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DatabaseError, match="not a URL"):
        IssuerStore(name)
    assert not has_password(name)
    IssuerStore(f"./{name.replace('/', '')}").close()
    IssuerStore(Path(name.replace("/", ""))).close()


@pytest.mark.parametrize("command", [("serve", "--port", "0"), ("clients", "list")])
def test_rejects_a_password_as_an_argument(command: tuple[str, ...]) -> None:
    url = f"postgresql+psycopg://issuer:{PASSWORD}@127.0.0.1:1/tokens"
    refused = grantway(*command, "--database", url)
    assert refused.returncode == 1
    assert "--database-file" in refused.stderr
    assert PASSWORD not in refused.stderr + refused.stdout


def test_reads_the_url_from_a_file(tmp_path: Path) -> None:
    named = tmp_path / "url"
    named.write_text(f"sqlite:///{tmp_path}/x.db\n")
    assert grantway("clients", "list", "--json", "--database-file", str(named)).stdout == "[]\n"
    assert "cannot read" in grantway("clients", "list", "--database-file", "missing").stderr
    both = grantway("clients", "list", "--database-file", "x", "--database-env", "Y")
    assert "only one" in both.stderr


@pytest.mark.parametrize(
    "spelling",
    [
        "{path}",
        "sqlite:///{path}",
        "sqlite+pysqlite:///{path}",
        "sqlite:///{path}?timeout=5",
        "sqlite:///file:{path}?uri=true",
        "sqlite:///file:{path}?mode=rwc&uri=true",
        "sqlite:///file:{path}?timeout=5",
        "sqlite:///file:{path}",
    ],
)
@pytest.mark.parametrize("touched", [False, True])
def test_the_database_file_is_private_to_its_owner(
    spelling: str, tmp_path: Path, *, touched: bool
) -> None:
    path = tmp_path / "issuer.db"
    if touched:
        path.touch(0o644)
    before = os.umask(0)
    try:
        with closing(IssuerStore(spelling.format(path=path))) as store:
            store.run(lambda transaction: transaction.clients.all())
            modes = {each.name: each.stat().st_mode & 0o777 for each in tmp_path.iterdir()}
    finally:
        os.umask(before)
    assert modes["issuer.db"] == 0o600
    assert set(modes.values()) == {0o600}


def test_makes_the_files_of_an_existing_database_private(tmp_path: Path) -> None:
    path = tmp_path / "issuer.db"
    IssuerStore(path).close()
    path.chmod(0o644)
    with closing(sqlite3.connect(path)) as other:
        other.execute("SELECT * FROM clients").fetchall()
        wal = Path(f"{path}-wal")
        wal.chmod(0o644)
        with closing(IssuerStore(path)):
            assert {each.stat().st_mode & 0o777 for each in (path, wal)} == {0o600}


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://issuer:@127.0.0.1/tokens",
        "postgresql+psycopg://issuer@127.0.0.1/tokens?passfile=/etc/issuer.pgpass",
        "sqlite:///tokens.db",
    ],
)
def test_accepts_a_url_without_a_password_as_an_argument(url: str) -> None:
    assert not has_password(url)
