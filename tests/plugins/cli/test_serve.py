"""Tests of ``grantway serve`` as a process."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from click.testing import CliRunner

from grantway_plugins import aws
from grantway_plugins.cli import serve as serve_command
from grantway_plugins.cli.app import app
from grantway_plugins.issuer._browser_driver import BrowserDriver
from tests import forked
from tests.core.registry.distributions import Site
from tests.waiting import PATIENCE

GRANTWAY = [sys.executable, "-m", "grantway_plugins.cli"]
READY = re.compile(r"grantway issuer listening on (http://127\.0\.0\.1:\d+)\n")
DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"


@contextmanager
def serving(*options: str, **environment: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    with forked.Popen(
        [*GRANTWAY, "serve", "--port", "0", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    ) as process:
        try:
            assert process.stdout is not None
            ready = READY.fullmatch(process.stdout.readline())
            assert ready is not None
            yield ready[1], process
        finally:
            process.kill()


def error_of(*options: str) -> str:
    done = forked.run(
        [*GRANTWAY, "serve", "--port", "0", *options],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    return done.stderr


def test_reports_mistakes_in_the_files_of_options(tmp_path: Path) -> None:
    trust = tmp_path / "trust.toml"
    trust.write_text('[trusted.github]\nissuer = "https://token.actions.githubusercontent.com"\n')
    assert f"{trust}, line 1: trusted.github.subjects is required" in error_of(
        "--trust", str(trust)
    )
    missing = str(tmp_path / "key.pem")
    assert f"--signing-key {missing}: cannot be read" in error_of("--signing-key", missing)


def login(client: aws.SSOOIDCClient) -> tuple[dict[str, str], dict[str, object]]:
    registered = client.register_client(clientName="test", clientType="public")
    who = {name: registered[name] for name in ("clientId", "clientSecret")}
    started = client.start_device_authorization(**who, startUrl="https://example.com/start")
    with BrowserDriver() as driver:
        driver.approve_device(started["verificationUriComplete"])
    token = client.create_token(**who, grantType=DEVICE_CODE, deviceCode=started["deviceCode"])
    return who, token


def test_stops_cleanly_on_sigterm_and_keeps_every_token(tmp_path: Path) -> None:
    database = str(tmp_path / "issuer.sqlite3")
    with serving("--database", database) as (url, process):
        with aws.client("us-east-1", url) as client:
            who, token = login(client)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=20)
        assert process.returncode == 0
        assert all(" INFO grantway.audit " in line for line in errors.splitlines()), errors
    with serving("--database", database) as (url, _), aws.client("us-east-1", url) as client:
        again = client.create_token(
            **who, grantType="refresh_token", refreshToken=token["refreshToken"]
        )
    assert again["accessToken"] != token["accessToken"]


def test_sets_lifetimes_by_option() -> None:
    with (
        serving("--database", ":memory:", "--access-token-seconds", "77") as (url, _),
        aws.client("us-east-1", url) as client,
    ):
        _, token = login(client)
    assert token["expiresIn"] == 77


def test_sets_limits_by_option() -> None:
    with serving("--database", ":memory:", "--header-bytes", "2000") as (url, _):
        response = requests.get(f"{url}/health", headers={"X": "x" * 2000}, timeout=30)
        assert response.status_code == 431


def test_allows_pages_of_a_given_origin_to_read_the_metadata() -> None:
    page = {"origin": "https://app.example.com"}
    options = ["--database", ":memory:", "--cors-origin", page["origin"]]
    with serving(*options) as (url, _):
        metadata = f"{url}/.well-known/oauth-authorization-server"
        response = requests.get(metadata, headers=page, timeout=PATIENCE)
    assert response.headers["access-control-allow-origin"] == page["origin"]


def test_shows_the_given_name_and_scope_descriptions() -> None:
    options = ["--name", "Our login", "--scope-description", "sso:account:access=See a=b"]
    with (
        serving("--database", ":memory:", *options) as (url, _),
        aws.client("us-east-1", url) as client,
    ):
        registered = client.register_client(clientName="test", clientType="public")
        who = {name: registered[name] for name in ("clientId", "clientSecret")}
        started = client.start_device_authorization(**who, startUrl="https://example.com/start")
        page = requests.get(started["verificationUriComplete"], timeout=30).text
    assert "Our login" in page
    assert "<bdi>See a=b</bdi> <code>sso:account:access</code>" in page


def test_reads_a_file_that_options_override(tmp_path: Path) -> None:
    config = tmp_path / "issuer.toml"
    config.write_text(
        '[issuer]\nname = "Our login"\n[server]\nlisten = "127.0.0.1:1"\nlog_format = "json"\n'
        '[database]\nurl = "issuer.sqlite3"\n[lifetimes]\naccess_token = 77\ndevice_code = 78\n'
    )
    options = ["--config", str(config), "--device-code-seconds", "79"]
    done = forked.run(
        [*GRANTWAY, "serve", *options, "--check"],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    assert done.stdout == f"{config} is valid\n"
    assert [each.name for each in tmp_path.iterdir()] == ["issuer.toml"]
    with serving(*options) as (url, process):
        with aws.client("us-east-1", url) as client:
            registered = client.register_client(clientName="test", clientType="public")
            who = {name: registered[name] for name in ("clientId", "clientSecret")}
            started = client.start_device_authorization(**who, startUrl="https://example.com/start")
            assert started["expiresIn"] == 79
            _, token = login(client)
        assert token["expiresIn"] == 77
        assert "Our login" in requests.get(url, timeout=PATIENCE).text
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=PATIENCE)
    assert json.loads(log.splitlines()[0])["event"] == "registration"
    assert (tmp_path / "issuer.sqlite3").exists()


def test_reports_mistakes_in_the_file_and_the_options(tmp_path: Path) -> None:
    config = tmp_path / "issuer.toml"
    config.write_text("[lifetimes]\ndevice_code = 0\n")
    errors = error_of("--config", str(config), "--name", " ", "--check")
    assert f"{config}, line 2: lifetimes.device_code must be" in errors
    assert "--name must be" in errors
    config.write_text("[lifetimes\n")
    assert f"{config}, line 1:" in error_of("--config", str(config))
    missing = str(tmp_path / "missing.toml")
    assert f"{missing}: no such configuration file" in error_of("--config", missing)


def test_warns_about_automatic_approval() -> None:
    with serving("--database", ":memory:", "--approve", "auto") as (url, process):
        with aws.client("us-east-1", url) as client:
            registered = client.register_client(clientName="test", clientType="public")
            who = {name: registered[name] for name in ("clientId", "clientSecret")}
            started = client.start_device_authorization(**who, startUrl="https://example.com/start")
            client.create_token(**who, grantType=DEVICE_CODE, deviceCode=started["deviceCode"])
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=20)
    assert "every request is approved" in errors


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--host", "0.0.0.0", "--database", ":memory:"], "host"),
        (["--host", "0.0.0.0", "--approve", "auto", "--insecure-http"], "approve"),
        (["--host", "0.0.0.0", "--insecure-http"], "--issuer must be"),
        (["--device-code-seconds", "0"], "--device-code-seconds must be"),
        (["--authorization-code-seconds", "601"], "--authorization-code-seconds must be"),
        (["--issuer", "not a url"], "issuer"),
        (["--tls-certificate", "missing.pem"], "Error: --tls-certificate missing.pem cannot be"),
        (["--tls-key", "missing.pem"], "Error: --tls-key requires --tls-certificate"),
        (["--header-bytes", "5"], "--header-bytes must be a whole number from 1024"),
        (["--connections-per-peer", "0"], "--connections-per-peer must be"),
        (["--cors-origin", "https://app.example.com/"], "--cors-origin must be"),
        (["--name", " "], "--name must be"),
        (["--scope-description", "read="], "--scope-description must have printable text"),
    ],
)
def test_rejects_invalid_options_by_name(options: list[str], says: str) -> None:
    assert says in error_of(*options)


def test_leaves_a_file_that_is_not_a_database_unchanged(tmp_path: Path) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("not a database, and worth keeping")
    assert str(notes) in error_of("--database", str(notes))
    assert notes.read_text() == "not a database, and worth keeping"


def test_logs_a_failed_plugin_as_a_warning_with_its_traceback(tmp_path: Path) -> None:
    Site(tmp_path).install("acme-coupons", "import no_such_library", version="1.2")
    with serving("--database", ":memory:", PYTHONPATH=str(tmp_path)) as (_, process):
        process.send_signal(signal.SIGTERM)
        log = process.communicate(timeout=30)[1]
    assert log.count("The plugin coupon of acme-coupons 1.2 could not be loaded") == 1
    assert log.count("Traceback (most recent call last)") == 1


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_writes_the_audit_log_to_standard_error(log_format: str) -> None:
    with serving("--log-format", log_format, "--database", ":memory:") as (url, process):
        with aws.client("us-east-1", url) as client:
            who, _token = login(client)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=PATIENCE)
    lines = errors.splitlines()
    if log_format == "json":
        entries = [json.loads(line) for line in lines]
        assert {each["logger"] for each in entries} == {"grantway.audit"}
        events = [(each["event"], each["client_id"]) for each in entries]
    else:
        found = [re.search(r" INFO grantway\.audit (\S+) client_id=(\S+) ", line) for line in lines]
        events = [(each[1], each[2]) for each in found if each]
    assert events == [(name, who["clientId"]) for name in ("registration", "approval", "login")]
    assert who["clientSecret"] not in errors


@pytest.fixture
def ports(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> list[object]:
    """Ports that ``grantway serve`` passes on. It opens none: another program may use them."""
    for logger in ("grantway.audit", "grantway.tls"):  # Restores the levels that the command sets.
        caplog.set_level("INFO", logger=logger)
    found: list[object] = []
    monkeypatch.setattr(serve_command, "serve", lambda *_, port, **_others: found.append(port))
    return found


@pytest.mark.parametrize(
    ("options", "file", "expected"),
    [
        ([], "", 8400),
        (["--port", "8401"], "", 8401),
        ([], '[server]\nlisten = "127.0.0.1:8402"\n', 8402),
        (["--port", "8403"], '[server]\nlisten = "127.0.0.1:8402"\n', 8403),
    ],
)
def test_listens_on_the_documented_port(
    ports: list[object], tmp_path: Path, options: list[str], file: str, expected: int
) -> None:
    if file:
        (tmp_path / "issuer.toml").write_text(file)
        options = [*options, "--config", str(tmp_path / "issuer.toml")]
    done = CliRunner().invoke(app, ["serve", "--database", ":memory:", *options])
    assert (done.output, done.exit_code, ports) == ("", 0, [expected])
