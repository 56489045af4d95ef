"""Creating profiles with ``grantway init`` and ``grantway login ADDRESS``."""

from __future__ import annotations

import stat
import subprocess
import tomllib
from typing import Any

import pytest

from grantway_plugins.issuer import IssuerSettings, Lifetimes
from grantway_plugins.testing import LiveIssuer
from tests import faults, forked
from tests.faults import FaultServer, Stage
from tests.plugins.cli.home import GRANTWAY, PATIENCE, Home

ENDPOINTS = ("--token-endpoint", "https://login.example.com/token")


@pytest.fixture
def grantway_issuer_settings() -> IssuerSettings:
    """Approve every login automatically."""
    return IssuerSettings(approve="auto", lifetimes=Lifetimes(device_interval=1))


def profiles(home: Home) -> dict[str, Any]:
    return dict(tomllib.loads(home.config.read_text())["profiles"])


def test_logs_in_with_an_address_alone(home: Home, grantway_issuer: LiveIssuer) -> None:
    address = grantway_issuer.url
    name = address.removeprefix("http://").replace(":", "-")
    done = home.run("login", address, "--device", "--scope", "read")
    assert done.returncode == 0, done.stderr
    assert f"Added the profile {name} to {home.config}." in done.stdout
    assert f"Logged in to {name}." in done.stdout
    assert profiles(home) == {name: {"provider": address, "scope": ["read"]}}
    token = home.run("token").stdout
    assert token
    again = home.run("login", address, "--device")  # the profile exists already
    assert again.returncode == 0, again.stderr
    assert "Added" not in again.stdout
    assert list(profiles(home)) == [name]
    assert home.run("token").stdout != token


def test_creates_a_private_file_and_keeps_existing_content(
    home: Home, grantway_issuer: LiveIssuer
) -> None:
    before = (
        "# mine\r\n[profiles.work]   # by hand\r\nprovider='https://login.example.com'\r\n"
        '[profiles.broken]\r\nprovdier = 1\r\n[sso_sessions.corp]\r\nlogin = "device" # last'
    )
    home.config.write_bytes(before.encode())
    home.config.chmod(0o644)
    done = home.run("init", grantway_issuer.url, "--name", "new", "--scope", "a b")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("Next, run: grantway login new\n")
    after = home.config.read_bytes().decode()
    assert after == (
        f'{before}\r\n\r\n[profiles.new]\r\nprovider = "{grantway_issuer.url}"\r\n'
        'scope = ["a", "b"]\r\n'
    )
    assert stat.S_IMODE(home.config.stat().st_mode) == 0o600
    assert [each.name for each in home.config.parent.iterdir()] == ["config.toml"]
    assert home.run("status", "new").returncode == 3


def test_keeps_a_symbolic_link_to_the_file(home: Home) -> None:
    real = home.folder / "dotfiles.toml"
    real.write_text("# kept\n")
    home.config.symlink_to(real)
    assert home.run("init", *ENDPOINTS, "--client-id", "app").returncode == 0
    assert home.config.is_symlink()
    assert real.read_text().startswith("# kept\n\n[profiles.")


def test_sets_every_setting_by_option(home: Home) -> None:
    config = home.folder / "new" / "folder" / "profiles.toml"
    done = home.run(
        *("init", "https://login.example.com", "--config", config, "--name", "robot", *ENDPOINTS),
        *("--client-id", 'qu"ote\\', "--client-secret-env", "SECRET", "--store", "memory"),
        *("--grant", "urn:ietf:params:oauth:grant-type:jwt-bearer", "--param", "assertion=e30.a.b"),
        *("--auth", "client_secret_post", "--dialect", "aws-sso-oidc"),
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert f"grantway login robot --config {config}" in done.stdout
    assert stat.S_IMODE(config.parent.stat().st_mode) == 0o700
    assert tomllib.loads(config.read_text())["profiles"]["robot"] == {
        "provider": {
            "issuer": "https://login.example.com",
            "token_endpoint": "https://login.example.com/token",
            "dialect": "aws-sso-oidc",
        },
        "client_id": 'qu"ote\\',
        "client_secret": {"source": "env", "name": "SECRET"},
        "auth": "client_secret_post",
        "grant": "urn:ietf:params:oauth:grant-type:jwt-bearer",
        "store": "memory",
        "params": {"assertion": "e30.a.b"},
    }


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--name", "a b"), "--name: use letters, digits, dots, _ and -"),
        (("--client-secret-env", "X"), "--client-secret-env needs --client-id beside it"),
        (("--client-id", "a", "--scope", 'a"b'), "--scope holds a name with"),
        (("--client-id", "a", "--grant", "coupon"), "--grant"),
        (("--client-id", "a", "--store", "nowhere"), "--store"),
        (("--client-id", "a", "--dialect", "nowhere"), "--dialect"),
        (("--client-id", "a", "--revocation-endpoint", "javascript:1"), "--revocation-endpoint"),
        (
            ("--client-id", "a", "--grant", "client_credentials", "--param", "x=1"),
            "--param x is not a parameter of this grant; provider-specific ones go into the table",
        ),
        (("--client-id", "a", "--param", "x"), "--param 'x': write it as NAME=VALUE"),
        ((), "give its ID with --client-id"),
    ],
)
def test_reports_an_invalid_option_and_writes_nothing(
    home: Home, options: tuple[str, ...], expected: str
) -> None:
    done = home.run("init", *ENDPOINTS, *options)
    assert done.returncode in {1, 2}
    assert expected in done.stderr
    assert "Traceback" not in done.stderr
    assert "line " not in done.stderr
    assert not home.config.exists()


@pytest.mark.parametrize(
    "address", ["https://user:secret@login.example.com", "javascript://x", "https://"]
)
def test_reports_an_unreachable_address(home: Home, address: str) -> None:
    for command in ("init", "login"):
        done = home.run(command, address)
        assert done.returncode == 1
        assert "ADDRESS must" in done.stderr
        assert "secret" not in done.stderr
    assert not home.config.exists()


def test_finds_an_issuer_with_a_trailing_slash(home: Home) -> None:
    def metadata(stage: Stage) -> bool:
        found = {
            "issuer": f"{server.url}/",
            "token_endpoint": f"{server.url}/token",
            "authorization_endpoint": f"{server.url}/authorize",
        }
        return faults.respond(200, found)(stage)

    with FaultServer(*[metadata] * 8) as server:
        address = f"{server.url}/.well-known/openid-configuration"
        done = home.run("init", address, "--client-id", "app", "--name", "work")
        assert done.returncode == 0, done.stderr
        assert profiles(home)["work"]["provider"] == f"{server.url}/"
        again = home.run("init", server.url, "--client-id", "app")
        assert again.returncode == 1
        assert "The profile work already has these settings." in again.stderr


def test_explains_how_to_use_a_provider_without_metadata(home: Home) -> None:
    with FaultServer(*[faults.respond(404, b"")] * 12) as server:
        done = home.run("login", server.url)
    assert done.returncode == 1
    assert "Discovery of" in done.stderr
    assert "grantway init --token-endpoint" in done.stderr
    assert not home.config.exists()


def test_prompts_for_missing_settings(home: Home) -> None:
    with home.in_terminal("init", "--token-endpoint", "https://login.example.com/token") as shown:
        shown.until("Scope, as names separated by spaces")
        shown.type("read write\n")
        shown.until("redirect URI http://127.0.0.1/callback")
        shown.until("Client ID")
        shown.type("app\n")
        assert shown.end() == 0, shown.shown
    assert profiles(home)["login.example.com"] == {
        "provider": {"token_endpoint": "https://login.example.com/token"},
        "client_id": "app",
        "scope": ["read", "write"],
    }


def test_numbers_duplicate_profile_names(home: Home) -> None:
    for client in ("a", "b", "c"):
        assert home.run("init", *ENDPOINTS, "--client-id", client).returncode == 0
    assert list(profiles(home)) == [
        "login.example.com",
        "login.example.com-2",
        "login.example.com-3",
    ]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("[profiles", "Expected ']'"),
        (
            'profiles = {a = {provider = "https://x.example"}}\n',
            "tables of the form [profiles.NAME]",
        ),
        ("profile = 1\n", "did you mean profiles?"),
        ("[profiles.work]\n", "the profile work already exists"),
    ],
)
def test_leaves_a_file_that_cannot_be_extended_unchanged(
    home: Home, content: str, expected: str
) -> None:
    home.write(content)
    done = home.run("init", *ENDPOINTS, "--client-id", "app", "--name", "work")
    assert done.returncode == 1
    assert expected in done.stderr
    assert home.config.read_text() == content


def test_a_full_disk_leaves_the_file_unchanged(home: Home) -> None:
    home.write("# kept\n")
    done = home.run_with_full_disk("init", *ENDPOINTS, "--client-id", "app")
    assert done.returncode == 1
    assert "the profile could not be written: File too large" in done.stderr
    assert home.config.read_text() == "# kept\n"
    assert [each.name for each in home.config.parent.iterdir()] == ["config.toml"]


def test_concurrent_commands_lose_no_profile(home: Home) -> None:
    names = [f"p{number}" for number in range(4)]
    running = [
        forked.Popen(
            [*GRANTWAY, "init", *ENDPOINTS, "--client-id", "app", "--name", name],
            env=home.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        for name in names
    ]
    assert [each.wait(PATIENCE) for each in running] == [0] * len(names)
    assert sorted(profiles(home)) == names


def test_rejects_new_profile_options_without_an_address(home: Home) -> None:
    home.write('[profiles.work]\nprovider = "https://login.example.com"\n')
    done = home.run("login", "work", "--client-id", "other")
    assert done.returncode == 2
    assert "--client-id and --issuer are only for a new profile" in done.stderr
