"""The accounts file: all problems are reported with their lines, without values."""

from __future__ import annotations

from pathlib import Path

import pytest

from grantway._exceptions import ConfigurationError
from grantway_plugins.issuer import IssuerSettings
from grantway_plugins.issuer._aws_portal.accounts_file import read_accounts

WRONG = """\
other = 1

[accounts.12345]
nme = "Sandbox"

[accounts.12345.roles.Developer]
access_key_id = ""
secret_access_key = "a-secret-value"
seconds = -1

[accounts.123456789012]
name = 7
"""


def test_reports_all_problems_at_once(tmp_path: Path) -> None:
    path = tmp_path / "accounts.toml"
    path.write_text(WRONG)
    with pytest.raises(ConfigurationError) as wrong:
        read_accounts(path)
    message = str(wrong.value)
    for place in (
        "line 1: other is an unknown key",
        "line 3: accounts.12345 must be an account id of twelve digits",
        "did you mean name?",
        "roles.Developer.access_key_id",
        "roles.Developer.session_token",
        "roles.Developer.seconds",
        "accounts.123456789012.name",
        "accounts.123456789012.roles is missing",
    ):
        assert place in message, message
    assert "a-secret-value" not in message


@pytest.mark.parametrize("text", ["", "accounts = 1", "[accounts]", "accounts.123456789012 = 1"])
def test_rejects_a_file_without_accounts(tmp_path: Path, text: str) -> None:
    path = tmp_path / "accounts.toml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match="accounts"):
        read_accounts(path)


def test_names_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"missing\.toml.*accounts\.ID"):
        read_accounts(tmp_path / "missing.toml")


def test_the_setting_accepts_only_accounts() -> None:
    with pytest.raises(ConfigurationError, match="aws_accounts"):
        IssuerSettings(aws_accounts=["123456789012"])  # type: ignore[arg-type]
