"""Commands on the sessions and profiles of ``~/.aws/config``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from grantway_plugins.issuer import IssuerSettings, Lifetimes
from grantway_plugins.testing import LiveIssuer
from tests.plugins.cli.home import Home
from tests.plugins.cli.test_completion import completed
from tests.proxy import proxy

CONFIG = """\
[sso-session corp]
sso_region = eu-west-1
sso_start_url = https://corp.awsapps.com/start
sso_registration_scopes = sso:account:access

[profile dev]
sso_session = corp

[profile old]
sso_region = eu-west-1
sso_start_url = https://old.awsapps.com/start

[profile keys]
region = eu-west-1
"""
CORP, DEV, OLD = ("--sso-session", "corp"), ("--sso-profile", "dev"), ("--sso-profile", "old")


@pytest.fixture
def grantway_issuer_settings() -> IssuerSettings:
    """Approve every login automatically."""
    return IssuerSettings(approve="auto", lifetimes=Lifetimes(device_interval=1))


@pytest.fixture
def aws(home: Home, grantway_issuer: LiveIssuer) -> Home:
    """Return a home with an AWS configuration file."""
    config = home.folder / ".aws" / "config"
    config.parent.mkdir()
    config.write_text(CONFIG)
    home.env["AWS_ENDPOINT_URL_SSO_OIDC"] = grantway_issuer.url
    return home


def log_in(home: Home, *login: str) -> str:
    done = home.run("login", *login, "--device")
    assert done.returncode == 0, done.stderr
    return done.stdout


def status(home: Home, *login: str) -> dict[str, Any]:
    (shown,) = json.loads(home.run("status", *login, "--json").stdout)
    return dict(shown)


def cached(home: Home) -> Path:
    """Return the path of the token's file."""
    files = (home.folder / ".aws" / "sso" / "cache").glob("*.json")
    return next(each for each in files if "accessToken" in each.read_text())


def change(home: Home, **fields: str) -> None:
    """Change the token's file as an AWS tool would."""
    file = cached(home)
    record = json.loads(file.read_text()) | fields
    record.pop("grantway", None)
    file.write_text(json.dumps(record))


def test_status_shows_a_session(aws: Home) -> None:
    done = aws.run("status", *CORP)
    assert done.returncode == 3
    assert done.stdout.startswith("corp  login needed\n")
    assert (
        "run: aws sso login --sso-session corp, or grantway login --sso-session corp" in done.stdout
    )
    log_in(aws, *CORP)
    done = aws.run("status", *CORP)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("corp  fresh\n")
    assert "refreshable yes" in done.stdout
    record = json.loads(cached(aws).read_text())
    for secret in ("accessToken", "refreshToken", "clientSecret"):
        assert record[secret] not in done.stdout
    shown = status(aws, *CORP)
    assert (shown["profile"], shown["logged_in"], shown["remedy"]) == ("corp", True, None)
    assert shown["client_id"] == record["clientId"]
    assert shown["scope"] == ["sso:account:access"]
    assert shown["refresh_at"] < shown["expires_at"]


def test_status_reports_what_prevents_a_refresh(aws: Home) -> None:
    log_in(aws, *CORP)
    change(aws, expiresAt="2020-01-02T03:04:05Z")
    assert status(aws, *CORP)["state"] == "refreshable"
    assert aws.run("status", *CORP).returncode == 0
    change(aws, registrationExpiresAt="2020-01-02T03:04:05Z")
    shown = status(aws, *CORP)
    assert (shown["state"], shown["refreshable"]) == ("login needed", False)
    assert aws.run("token", *CORP).returncode == 3


def test_a_profile_shares_the_login_of_its_session(aws: Home) -> None:
    assert "Logged in to dev." in log_in(aws, *DEV)
    assert status(aws, *CORP)["logged_in"]
    assert aws.run("token", *DEV).stdout == aws.run("token", *CORP).stdout != ""
    assert aws.run("logout", *DEV).stdout == "Logged out of dev.\n"
    assert not status(aws, *CORP)["logged_in"]


def test_a_profile_with_a_start_url(aws: Home) -> None:
    needed = aws.run("token", *OLD)
    assert needed.returncode == 3
    assert "aws sso login --profile old, or grantway login --sso-profile old" in needed.stderr
    assert "Logged in to old." in log_in(aws, *OLD)
    record = json.loads(cached(aws).read_text())
    assert record["startUrl"] == "https://old.awsapps.com/start"
    assert aws.run("token", *OLD).stdout == f"{record['accessToken']}\n"
    assert status(aws, *OLD)["state"] == "fresh"
    assert aws.run("logout", *OLD).stdout == "Logged out of old.\n"
    assert aws.run("logout", *OLD).stdout == "You were not logged in to old.\n"
    assert aws.run("status", *OLD).returncode == 3


@pytest.mark.parametrize("command", ["login", "logout", "status", "token"])
def test_rejects_a_session_that_is_not_in_the_file(aws: Home, command: str) -> None:
    for login, expected in (
        (("--sso-session", "nowhere"), "no section [sso-session nowhere]"),
        (("--sso-profile", "nowhere"), "no section [profile nowhere]"),
        (("--sso-profile", "keys"), "[profile keys]: sso_session is missing"),
    ):
        done = aws.run(command, *login)
        assert done.returncode == 1
        assert expected in done.stderr
    done = aws.run(command, *CORP, *DEV)
    assert done.returncode == 2
    assert "Give only one of NAME, --sso-session and --sso-profile." in done.stderr


def test_completes_session_and_profile_names(aws: Home) -> None:
    assert completed(aws, "grantway status --sso-session ") == ["corp"]
    assert completed(aws, "grantway token --sso-profile ") == ["dev", "old"]
    (aws.folder / ".aws" / "config").write_text("[")
    assert completed(aws, "grantway token --sso-profile ") == []


def test_a_session_uses_the_proxy_of_the_profile_file(aws: Home) -> None:
    with proxy() as between:
        aws.write(f'[network]\nproxy = "{between.url}"\n')
        log_in(aws, *CORP)
        assert between.asked
        between.asked.clear()
        change(aws, expiresAt="2020-01-01T00:00:00Z")
        assert aws.run("token", *DEV).returncode == 0
        assert between.asked
        between.asked.clear()
        aws.write(f'[network]\nproxy = "{between.url}"\n[sso_sessions.corp]\nproxy = ""\n')
        log_in(aws, *CORP)
        assert not between.asked


@pytest.mark.parametrize("place", ["network", "sso_sessions.corp"])
def test_the_profile_files_ca_bundle_overrides_that_of_aws(aws: Home, place: str) -> None:
    aws.write(f'[{place}]\nca_bundle = "missing.pem"\n')
    done = aws.run("token", *CORP, AWS_CA_BUNDLE="/missing/too.pem")
    assert done.returncode == 1
    assert f"{place}.ca_bundle" in done.stderr
    aws.write("[sso_sessions.corp]\n")
    done = aws.run("token", *CORP, AWS_CA_BUNDLE="/missing/too.pem")
    assert "AWS_CA_BUNDLE: /missing/too.pem" in done.stderr
