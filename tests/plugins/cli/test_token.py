"""Tests of ``grantway token`` and its fast path."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

import grantway
from grantway_plugins.issuer import IssuerSettings, Lifetimes
from grantway_plugins.testing import LiveIssuer
from tests.plugins.cli.home import PATIENCE, Home, counted

#: Modules that are too slow to import on the fast path of ``grantway token``.
HEAVY = {
    "click",
    "rich",
    "requests",
    "marshmallow",
    "pluggy",
    "typing",
    "re",
    "json",
    "dataclasses",
    "grantway",
}


GIT = ["get", "--format", "git", "--host", "git.example.com"]
DOCKER = ["get", "--format", "docker", "--host", "git.example.com"]
#: A request that Git's and Docker's helpers accept.
REQUEST = {"git": "protocol=https\nhost=git.example.com\n\n", "docker": "git.example.com"}


@pytest.fixture
def grantway_issuer_settings() -> IssuerSettings:
    """Revoke the login as soon as a refresh token is used twice."""
    return IssuerSettings(
        approve="auto",
        lifetimes=Lifetimes(device_interval=0, refresh_reuse_window=0),
        registration="unrestricted",
    )


@pytest.fixture
def logged_in(home: Home, grantway_issuer: LiveIssuer) -> Home:
    """Return a home with a profile named work that is logged in."""
    home.write(f'[profiles.work]\nprovider = "{grantway_issuer.url}"\nscope = "read write"\n')
    done = home.run("login", "work")
    assert done.returncode == 0, done.stderr
    return home


def modules_of(home: Home, *arguments: str) -> tuple[str, set[str]]:
    """Return the output of the command and the modules that it loaded."""
    code = (
        "import sys; sys.argv[0] = 'grantway'; from grantway_plugins.cli import main\n"
        "try: main()\n"
        "finally: sys.stderr.write('\\n'.join(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=home.env,
        input="".join(REQUEST[form] for form in REQUEST if form in arguments),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    return done.stdout, set(done.stderr.split("\n"))


def cache_entries(home: Home) -> list[Path]:
    return list((home.folder / "state" / "grantway" / "fresh-tokens").iterdir())


def test_prints_only_the_token(logged_in: Home) -> None:
    token = logged_in.stored()
    assert token is not None
    done = logged_in.run("token", "work")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{token.access_token}\n", "")


@pytest.mark.parametrize("fast", [True, False])
def test_json_has_the_format_of_a_credential_process(logged_in: Home, *, fast: bool) -> None:
    if not fast:
        [entry.unlink() for entry in cache_entries(logged_in)]
    done = logged_in.run("token", "work", "--json")
    token = logged_in.stored()
    assert token is not None
    assert token.expires_at is not None
    shown = json.loads(done.stdout)
    ends = datetime.fromisoformat(shown.pop("Expiration")).timestamp()
    assert shown == {"Version": 1, "AccessToken": token.access_token, "TokenType": "Bearer"}
    assert ends == int(token.expires_at)


@pytest.mark.parametrize(
    "options", [[], ["--json"], ["--format", "header"], ["--format", "kubectl"], GIT, DOCKER]
)
def test_prints_a_fresh_token_without_slow_imports(logged_in: Home, options: list[str]) -> None:
    shown, loaded = modules_of(logged_in, "token", "work", *options)
    token = logged_in.stored()
    assert token is not None
    assert token.access_token in shown
    bare = subprocess.run(
        [sys.executable, "-c", "import sys; print('\\n'.join(sys.modules))"],
        env=logged_in.env,
        capture_output=True,
        text=True,
        check=True,
    )
    assert not HEAVY & (loaded - set(bare.stdout.split("\n")))


def touched(home: Home) -> None:
    home.config.write_text(home.config.read_text() + "\n# a comment\n")


def unreadable(home: Home) -> None:
    for entry in cache_entries(home):
        entry.write_bytes(b"\xff\xfe nonsense")


def another_token(home: Home) -> None:
    home.age(3000)


@pytest.mark.parametrize("doubt", [touched, unreadable, another_token])
def test_an_invalid_cache_entry_is_ignored_and_replaced(
    logged_in: Home, doubt: Callable[[Home], None]
) -> None:
    before = logged_in.stored()
    assert before is not None
    doubt(logged_in)
    for fast in (False, True):
        shown, loaded = modules_of(logged_in, "token", "work")
        assert shown == f"{before.access_token}\n"
        assert ("click" not in loaded) is fast


def test_a_cache_entry_holds_no_secret_and_is_private(logged_in: Home) -> None:
    token = logged_in.stored()
    assert token is not None
    (entry,) = cache_entries(logged_in)
    text = entry.read_text()
    assert token.access_token not in text
    assert str(token.refresh_token) not in text
    assert entry.parent.stat().st_mode & 0o077 == 0


def test_keeps_the_tokens_of_two_profile_files_apart(logged_in: Home, tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_text(logged_in.config.read_text().replace("read write", "read"))
    assert logged_in.run("token", "work", "--config", other).returncode == 3
    assert logged_in.run("token", "work", GRANTWAY_CONFIG=other).returncode == 3
    assert logged_in.run("login", "work", "--config", other).returncode == 0
    first, second = (
        logged_in.run("token", "work"),
        logged_in.run("token", "work", "--config", other),
    )
    assert first.returncode == second.returncode == 0
    assert first.stdout != second.stdout


def test_only_the_file_store_has_a_fast_path(
    home: Home, grantway_issuer: LiveIssuer, tmp_path: Path
) -> None:
    key = "A" * 43 + "="
    home.write(
        f'[profiles.work]\nprovider = "{grantway_issuer.url}"\n'
        'store = {kind = "encrypted", inner = {kind = "file", folder = "kept"}, key_env = "KEY"}\n'
    )
    assert home.run("login", "work", KEY=key).returncode == 0
    first, second = home.run("token", "work", KEY=key), home.run("token", "work", KEY=key)
    assert first.stdout == second.stdout != ""
    assert first.stdout.strip() not in "".join(
        path.read_text() for path in (home.config.parent / "kept").glob("*.json")
    )
    without = home.run("token", "work")
    assert (without.returncode, without.stdout) == (1, "")
    assert f"{home.config}, line 3: profiles.work.store cannot be created" in without.stderr


@pytest.mark.slow
def test_eight_processes_refresh_an_expired_token_once(
    home: Home, grantway_issuer: LiveIssuer
) -> None:
    url = grantway_issuer.url
    with counted(f"{url}/token") as (token_endpoint, bodies):
        home.write(
            f'[profiles.work]\nprovider = {{issuer = "{url}", token_endpoint = "{token_endpoint}", '
            f'device_authorization_endpoint = "{url}/device_authorization", '
            f'registration_endpoint = "{url}/register"}}\n'
        )
        assert home.run("login", "work").returncode == 0
        for _ in range(2):
            old = home.age(-1)
            bodies.clear()
            processes = [home.start("token", "work") for _ in range(8)]
            outputs = [(each.communicate(timeout=PATIENCE), each.returncode) for each in processes]
            stored = home.stored()
            assert stored is not None
            assert stored.access_token != old.access_token
            assert outputs == [((f"{stored.access_token}\n", ""), 0)] * 8
            assert len(bodies) == 1
            assert b"grant_type=refresh_token" in bodies[0]


def test_prints_and_refreshes_a_token_that_expires_soon(logged_in: Home) -> None:
    old = logged_in.age(100)
    done = logged_in.run("token", "work")
    assert (done.returncode, done.stdout) == (0, f"{old.access_token}\n")
    new = logged_in.stored()
    assert new is not None
    assert new.access_token != old.access_token
    assert logged_in.run("token", "work").stdout == f"{new.access_token}\n"


def test_sends_no_request_for_a_fresh_token(logged_in: Home, grantway_issuer: LiveIssuer) -> None:
    grantway_issuer.server.stop()
    [entry.unlink() for entry in cache_entries(logged_in)]
    token = logged_in.stored()
    assert token is not None
    assert logged_in.run("token", "work").stdout == f"{token.access_token}\n"
    # It expires soon and cannot be refreshed, but it is still valid.
    logged_in.age(100)
    assert logged_in.run("token", "work").stdout == f"{token.access_token}\n"
    logged_in.age(-1)
    done = logged_in.run("token", "work")
    assert (done.returncode, done.stdout) == (1, "")
    assert "127.0.0.1" in done.stderr
    assert "Traceback" not in done.stderr
    kept = logged_in.stored()
    assert kept is not None
    assert kept.refresh_token == token.refresh_token


def test_exit_status_3_means_that_a_login_is_needed(
    home: Home, logged_in: Home, grantway_issuer: LiveIssuer
) -> None:
    token = logged_in.age(-1)
    client = grantway_issuer.provider
    with logged_in.profile() as profile:
        profile.client().call("revocation", token=token.refresh_token)
        assert profile.provider == client
    done = home.run("token", "work")
    assert (done.returncode, done.stdout) == (3, "")
    assert "grantway login work" in done.stderr
    assert "invalid_grant" in done.stderr
    assert str(token.refresh_token) not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "status"), [([], 3), (["work", "--nonsense"], 2), (["wrok"], 1), (["work"], 3)]
)
def test_other_errors_have_other_exit_statuses(
    home: Home, arguments: list[str], status: int
) -> None:
    home.write('[profiles.work]\nprovider = "https://login.example.com"\nclient_id = "a"\n')
    done = home.run("token", *arguments)
    assert (done.returncode, done.stdout) == (status, "")
    assert done.stderr
    assert "Traceback" not in done.stderr


def test_a_grant_without_a_user_needs_no_login(home: Home, grantway_issuer: LiveIssuer) -> None:
    client = grantway_issuer.client(grant_types=["client_credentials"])
    secret = client.auth.client_secret  # type: ignore[attr-defined]
    home.write(
        f'[profiles.robot]\nprovider = "{grantway_issuer.url}"\ngrant = "client_credentials"\n'
        f'client_id = "{client.client_id}"\nscope = ["read"]\n'
        'client_secret = {source = "env", name = "ROBOT"}\n'
    )
    first, second = home.run("token", "robot", ROBOT=secret), home.run("token", "robot")
    assert first.returncode == 0, first.stderr
    assert second.stdout == first.stdout  # the token is stored, so the secret is not read
    token = home.stored("robot")
    assert token is not None
    assert token.scope == ("read",)


def test_an_unknown_expiry_is_omitted(home: Home) -> None:
    home.write('[profiles.work]\nprovider = "https://login.example.com"\nclient_id = "a"\n')
    with home.profile() as profile:
        profile.store.save(profile.key, grantway.Token('a"b', "N_A"))
    done = home.run("token", "work", "--json")
    assert json.loads(done.stdout) == {"Version": 1, "AccessToken": 'a"b', "TokenType": "N_A"}


def test_sends_no_refresh_token_if_the_next_cannot_be_stored(logged_in: Home) -> None:
    before = logged_in.age(-1)
    done = logged_in.run_with_full_disk("token", "work")
    assert (done.returncode, done.stdout) == (1, "")
    assert "could not be saved: File too large" in done.stderr
    # The issuer would revoke the login at the second use.
    done = logged_in.run("token", "work")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() not in {"", before.access_token}
    assert len(list(logged_in.tokens.glob("*.json"))) == 2  # the token and the registration


@pytest.mark.parametrize("quick", [True, False])
def test_reports_output_that_cannot_be_written(logged_in: Home, quick: bool) -> None:
    logged_in.run("token", "work")
    assert cache_entries(logged_in)
    if not quick:
        [entry.unlink() for entry in cache_entries(logged_in)]
    reader, writer = os.pipe()
    os.close(reader)
    with logged_in.start("token", "work", stdout=writer) as process:
        os.close(writer)
        _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert errors == "Error: cannot write the token to standard output: Broken pipe.\n"
