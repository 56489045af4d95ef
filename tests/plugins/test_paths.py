"""Without a usable home directory, an error names the setting, and no folder `~` is created."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from grantway import Token
from grantway._exceptions import ConfigurationError
from grantway_plugins import profiles
from grantway_plugins._paths import expand, require_writable
from grantway_plugins.aws import sso_session
from grantway_plugins.aws._cache.store import AwsCliStore
from grantway_plugins.gateway._config import ConfigFile
from grantway_plugins.issuer._storage.database import default_path, open_database
from grantway_plugins.stores.file._store import FileStore
from grantway_plugins.stores.keyring._store import KeyRingStore
from grantway_plugins.stores.sql._store import SqlStore
from tests import forked

#: Runs the command line as a user without an entry in the user database, as in containers.
STRANGER = """
import pwd
def unknown(number):
    raise KeyError(number)
pwd.getpwuid = unknown
from grantway_plugins.cli import main
main()
"""
COMMANDS = [
    ["doctor"],
    ["serve", "--port", "0"],
    ["token", "work"],
    ["token", "--sso-session", "work"],
    ["login", "work"],
    ["login", "--sso-session", "work"],
    ["logout", "work"],
    ["status"],
    ["init", "https://127.0.0.1:9"],
    ["gateway", "--config", "~/gateway.toml"],
    ["gateway", "--config", "~/gateway.toml", "--check"],
    ["new-plugin", "acme", "--into=~/plugins"],
]
#: Functions that use a default folder, and fail without a home directory.
ENTRIES: list[Callable[[], object]] = [
    FileStore,
    lambda: FileStore("~/tokens"),
    KeyRingStore,
    lambda: KeyRingStore(folder="~/locks"),
    AwsCliStore,
    lambda: SqlStore("sqlite:///~/tokens.db"),
    lambda: sso_session("work"),
    lambda: sso_session("work", config_file="~/config"),
    lambda: profiles.load("work"),
    lambda: profiles.load("work", "~/config.toml"),
    lambda: ConfigFile("~/gateway.toml"),
    default_path,
    lambda: open_database("~/issuer.db"),
    lambda: open_database("sqlite:///~/issuer.db?timeout=3"),
]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Change to an empty directory, and check afterwards that it is still empty."""
    for name in [*os.environ]:
        if name.startswith(("XDG_", "GRANTWAY_", "AWS_")):
            monkeypatch.delenv(name)
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    yield folder
    assert not list(folder.iterdir())


@pytest.fixture
def unknown_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the user's home directory from the environment and the user database."""

    def unknown(number: int) -> None:
        raise KeyError(number)

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.delenv("HOME", raising=False)


def forbid(monkeypatch: pytest.MonkeyPatch, what: int) -> None:
    """Deny this kind of access, even to root."""
    monkeypatch.setattr(os, "access", lambda _path, mode: not mode & what)


@pytest.mark.usefixtures("unknown_user")
@pytest.mark.parametrize("entry", ENTRIES)
def test_names_the_setting_for_a_user_without_a_home(entry: Callable[[], object]) -> None:
    with pytest.raises(ConfigurationError, match=r"HOME is not set, .*\. Set HOME to .*, or set "):
        entry()


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("home", ["", "relative", "~", "/nonexistent/home", "/dev/null"])
def test_reports_a_home_that_is_not_a_directory(
    monkeypatch: pytest.MonkeyPatch, entry: Callable[[], object], home: str
) -> None:
    monkeypatch.setenv("HOME", home)
    with pytest.raises(ConfigurationError, match=rf"HOME is '{home}', which is not an? "):
        entry()


@pytest.mark.parametrize("entry", [FileStore, KeyRingStore, AwsCliStore, default_path])
def test_reports_a_home_that_is_not_writable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entry: Callable[[], object]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    forbid(monkeypatch, os.W_OK)
    says = r"cannot be written by this user\. Set (XDG_\w+|HOME) to a directory that this user can"
    with pytest.raises(ConfigurationError, match=says):
        entry()


@pytest.mark.parametrize("entry", ENTRIES)
def test_reports_the_home_of_another_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entry: Callable[[], object]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    forbid(monkeypatch, os.X_OK)
    with pytest.raises(ConfigurationError, match="which is not a directory that this user can use"):
        entry()


def test_uses_an_existing_folder_even_if_it_is_not_writable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    FileStore().save("key", Token("at"))
    forbid(monkeypatch, os.W_OK)
    assert FileStore().load("key") == Token("at")


def test_reports_a_file_in_place_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "state").touch()
    with pytest.raises(ConfigurationError, match=r"state is not a directory\. Set XDG_STATE_HOME"):
        require_writable(str(tmp_path / "state" / "tokens"), "state", "a folder")


def test_uses_the_user_database_without_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = pwd.struct_passwd(("me", "x", 1, 1, "", str(tmp_path), "/bin/sh"))
    monkeypatch.setattr(pwd, "getpwuid", lambda _number: record)
    monkeypatch.delenv("HOME", raising=False)
    assert expand("~/x", "it") == f"{tmp_path}/x"
    assert expand("~", "it") == str(tmp_path)
    assert expand("/a/~/b", "it") == "/a/~/b"


def test_reports_an_unknown_user() -> None:
    with pytest.raises(ConfigurationError, match="~no-such-user is not a user of this machine"):
        expand("~no-such-user/x", "it")


def test_sqlite_files_are_below_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    store = SqlStore("sqlite:///~/tokens.db")
    store.save("key", Token("at"))
    store.close()
    assert (tmp_path / "tokens.db").exists()


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("home", [None, "", "/nonexistent/home", "/dev/null"])
def test_a_command_names_the_setting_without_a_traceback(
    here: Path, command: list[str], home: str | None
) -> None:
    env = {name: value for name, value in os.environ.items() if name != "HOME"}
    run = forked.run(
        [sys.executable, "-c", STRANGER, *command],
        env=env if home is None else {**env, "HOME": home},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    output = run.stdout + run.stderr
    assert run.returncode == 1
    assert "HOME is " in output
    assert "Set HOME to a directory of this user" in output
    assert "Traceback" not in output
