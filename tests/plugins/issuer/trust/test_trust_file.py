"""The trust file: settings, relative paths, and mistakes with their lines."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from grantway._exceptions import ConfigurationError
from grantway_plugins.issuer import TrustedIssuer, read_trusted_issuers


def written(folder: Path, text: str) -> Path:
    file = folder / "trust.toml"
    file.write_text(dedent(text))
    return file


def test_reads_the_settings(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        """
        [trusted.github]
        issuer = "https://token.actions.githubusercontent.com"
        subjects = ["repo:acme/app:*"]
        claims = { repository_owner_id = "7" }
        single_use = true
        max_lifetime = 600

        [trusted.spiffe]
        issuer = "spiffe://example.org"
        jwks_file = "bundle.json"

        [trusted.spiffe.clients]
        "spiffe://example.org/orders" = "1f2e"
        """,
    )
    assert read_trusted_issuers(file) == (
        TrustedIssuer(
            "https://token.actions.githubusercontent.com",
            ("repo:acme/app:*",),
            claims={"repository_owner_id": "7"},
            single_use=True,
            max_lifetime=600.0,
        ),
        TrustedIssuer(
            "spiffe://example.org",
            clients={"spiffe://example.org/orders": "1f2e"},
            jwks_file=str(tmp_path / "bundle.json"),
        ),
    )


def test_lists_all_mistakes_with_their_lines(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        """\
        [trusted.a]
        issuer = "https://a.example"

        [trusted.b]
        issuer = "https://b.example"
        subject = ["x"]

        [trusted.c]
        subjects = "x"
        leeway = "long"
        clients = "x"

        [trusted.d]
        issuer = "http://d.example"
        subjects = ["x"]
        single_use = "yes"

        [trusted.e]
        issuer = "https://e.example"
        subjects = ["x"]

        [trusted.f]
        issuer = "https://e.example"
        subjects = ["x"]

        [other]

        [trusted.g]
        issuer = "https://g.example"
        clients = { x = 7 }
        """,
    )
    with pytest.raises(ConfigurationError) as wrong:
        read_trusted_issuers(file)
    found = [
        line.removeprefix(f"{file}, line ").split(" ")[:2] for line in str(wrong.value).split("\n")
    ]
    assert found == [
        ["1:", "trusted.a.subjects"],
        ["6:", "trusted.b.subject"],
        ["8:", "trusted.c.issuer"],
        ["9:", "trusted.c.subjects"],
        ["10:", "trusted.c.leeway"],
        ["11:", "trusted.c.clients"],
        ["14:", "trusted.d.issuer"],
        ["23:", "trusted.f.issuer"],
        ["26:", "other"],
        ["30:", "trusted.g.clients"],
    ]


@pytest.mark.parametrize("text", ["", "trusted = 1", "[trusted]"])
def test_requires_an_issuer(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigurationError, match="a table for each issuer"):
        read_trusted_issuers(written(tmp_path, text))


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigurationError, match=r"no such file; it needs a table \[trusted.NAME\]"
    ):
        read_trusted_issuers(tmp_path / "none.toml")
