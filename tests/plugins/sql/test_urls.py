"""Tests of database URLs; the tests of the issuer and the ``sql`` store cover passwords and TLS."""

from __future__ import annotations

from pathlib import Path

import pytest

from grantway._secrets.masked import Masked
from grantway_plugins._sql.urls import location, parse_url, sqlite_file


def file_and_location(text: str) -> tuple[Path | None, str]:
    url = parse_url(Masked(text), "the URL")
    assert url is not None
    return sqlite_file(url), location(url)


@pytest.mark.parametrize("text", ["", "tokens.db", "://", "postgresql://host:port/x", "//x"])
def test_returns_none_for_an_invalid_url(text: str) -> None:
    assert parse_url(Masked(text), "the URL") is None


def test_makes_the_path_of_a_file_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for text in ("sqlite:///tokens.db", "sqlite:///~/tokens.db?timeout=3"):
        assert file_and_location(text) == (tmp_path / "tokens.db", str(tmp_path / "tokens.db"))


@pytest.mark.parametrize(
    ("text", "file"),
    [
        ("sqlite://", None),
        ("sqlite:///:memory:", None),
        ("sqlite:///file:x?mode=memory", None),
        ("sqlite:///file:/folder/a%20b.db?mode=rwc", Path("/folder/a b.db")),
    ],
)
def test_finds_the_file_of_a_uri(text: str, file: Path | None) -> None:
    assert file_and_location(text)[0] == file


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("sqlite://", ":memory:"),
        ("postgresql://ann:secret@db.example.com/tokens?sslkey=k", "db.example.com:5432/tokens"),
        ("postgresql://ann:secret@/tokens?host=/run/pg", "/run/pg:5432/tokens"),
        ("postgresql://db.example.com/tokens;password=secret", "db.example.com:5432/***"),
        ("mysql://ann:secret@db.example.com/tokens", "db.example.com/tokens"),
    ],
)
def test_the_location_contains_no_user_password_or_option(text: str, shown: str) -> None:
    found = file_and_location(text)[1]
    assert found.endswith(shown)
    assert not {"ann", "secret", "sslkey"} & set(found.replace(":", "/").split("/"))
