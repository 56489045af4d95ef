"""``grantway token --format aws`` exchanges a login for the credentials of a role."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import pytest

from grantway_plugins.issuer import IssuerSettings, Lifetimes, read_accounts
from grantway_plugins.testing import LiveIssuer
from tests.plugins.cli.home import Home

ACCOUNTS = """
[accounts.123456789012.roles.Developer]
access_key_id = "AKIAIOSFODNN7EXAMPLE"
secret_access_key = "dummy-secret"
session_token = "dummy-session"
"""
CONFIG = """\
[sso-session corp]
sso_region = eu-west-1
sso_start_url = https://corp.awsapps.com/start
sso_registration_scopes = sso:account:access

[profile dev]
sso_session = corp
sso_account_id = 123456789012
sso_role_name = Developer

[profile stranger]
sso_session = corp
sso_account_id = 123456789012
sso_role_name = Stranger

[profile loop]
credential_process = grantway token --sso-profile loop --format aws
sso_session = corp
sso_account_id = 123456789012
sso_role_name = Developer
"""
AWS = ("token", "--format", "aws")


@pytest.fixture
def grantway_issuer_settings(tmp_path: Path) -> IssuerSettings:
    """Approve every login automatically, and issue credentials for one role."""
    accounts = tmp_path / "accounts.toml"
    accounts.write_text(ACCOUNTS)
    return IssuerSettings(
        approve="auto",
        lifetimes=Lifetimes(device_interval=0),
        aws_accounts=read_accounts(accounts),
    )


@pytest.fixture
def corp(home: Home, grantway_issuer: LiveIssuer) -> Home:
    """Return a home with a login to the session ``corp``."""
    config = home.folder / ".aws" / "config"
    config.parent.mkdir()
    config.write_text(CONFIG)
    home.env["AWS_ENDPOINT_URL_SSO_OIDC"] = home.env["AWS_ENDPOINT_URL_SSO"] = grantway_issuer.url
    done = home.run("login", "--sso-session", "corp", "--device")
    assert done.returncode == 0, done.stderr
    return home


@pytest.mark.parametrize(
    "login",
    [
        ("--sso-profile", "dev"),
        ("--sso-profile", "loop"),  # it must not run the credential_process, which is this command
        ("--sso-profile", "stranger", "--role-name", "Developer"),
        ("--sso-session", "corp", "--account-id", "123456789012", "--role-name", "Developer"),
    ],
)
def test_prints_the_credentials_of_a_role(corp: Home, login: tuple[str, ...]) -> None:
    done = corp.run(*AWS, *login)
    assert (done.returncode, done.stderr) == (0, "")
    shown = json.loads(done.stdout)
    assert datetime.fromisoformat(shown.pop("Expiration")).timestamp() > 0
    assert shown == {
        "Version": 1,
        "AccessKeyId": "AKIAIOSFODNN7EXAMPLE",
        "SecretAccessKey": "dummy-secret",
        "SessionToken": "dummy-session",
    }


def test_a_session_needs_an_account_and_a_role(corp: Home) -> None:
    done = corp.run(*AWS, "--sso-session", "corp", "--role-name", "Developer")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--format aws needs --account-id and --role-name" in done.stderr


def test_reports_an_unknown_role(corp: Home) -> None:
    done = corp.run(*AWS, "--sso-profile", "stranger")
    assert (done.returncode, done.stdout) == (1, "")
    assert "Error: Cannot get credentials of the role from AWS: " in done.stderr
    assert "Traceback" not in done.stderr


def test_a_rejected_login_has_the_exit_status_3(corp: Home) -> None:
    (file,) = [
        each
        for each in (corp.folder / ".aws" / "sso" / "cache").glob("*.json")
        if "accessToken" in each.read_text()
    ]
    record = json.loads(file.read_text()) | {"accessToken": "revoked-token"}
    file.write_text(json.dumps(record))
    done = corp.run(*AWS, "--sso-profile", "dev")
    assert (done.returncode, done.stdout) == (3, "")
    assert "AWS rejected the login; run: grantway login --sso-session corp" in done.stderr
    assert "revoked-token" not in done.stderr
