"""Tests of the command group."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

import grantway
from grantway_plugins.cli import grants
from grantway_plugins.cli.app import COMMANDS, app
from grantway_plugins.cli.overview import overview
from tests.plugins.cli.home import Home
from tests.unmeasured import environment


def test_help_lists_every_command_without_loading_them() -> None:
    code = (
        "import sys; from click.testing import CliRunner; "
        "from grantway_plugins.cli.app import app; "
        "print(CliRunner().invoke(app, ['--help']).output); "
        "print([m for m in ('sqlalchemy', 'starlette', 'requests', 'rich') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for name in COMMANDS:
        assert name in done.stdout
    assert done.stdout.rstrip().endswith("[]")


@pytest.mark.parametrize("columns", ["", "20", "64", "80", "200", "-1", "wide"])
def test_help_of_the_program_is_that_of_click_without_importing_it(
    monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    plain = click.Group(
        help=app.help,
        params=app.params,
        context_settings=app.context_settings,
        commands={name: click.Command(name, help=text) for name, text in COMMANDS.items()},
    )
    monkeypatch.setattr(click.Command, "get_short_help_str", lambda self, _limit: self.help)
    with plain.make_context("grantway", [], resilient_parsing=True) as context:
        assert overview() == plain.get_help(context) == app.get_help(context)


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_imports_neither_click_nor_rich(option: str) -> None:
    code = (
        f"import sys; sys.argv[1:] = [{option!r}]; from grantway_plugins.cli import main; main(); "
        "print([m for m in ('click', 'rich', 'logging', 'typing') if m in sys.modules])"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, env=environment(), capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.startswith("Usage: grantway [OPTIONS] COMMAND [ARGS]...\n")
    assert done.stdout.rstrip().endswith("[]")


def test_every_command_has_a_module_and_help() -> None:
    for name in COMMANDS:
        shown = CliRunner().invoke(app, [name, "--help"])
        assert shown.exit_code == 0, shown.output
        assert "Usage:" in shown.output


def test_prints_the_version() -> None:
    assert grantway.__version__ in CliRunner().invoke(app, ["--version"]).output


def test_the_package_runs_the_command_line() -> None:
    command = [sys.executable, "-m", "grantway", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert grantway.__version__ in done.stdout
    assert not done.stderr


def test_reports_a_missing_library_and_how_to_install_it() -> None:
    code = "import sys; sys.modules['click'] = None; from grantway_plugins.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "pip install 'grantway[cli]'" in done.stderr
    assert "Traceback" not in done.stderr


def run_with(home: Home, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, env=home.env, capture_output=True, text=True, check=False)


def test_python_m_grantway_is_the_command_line(home: Home) -> None:
    module = [sys.executable, "-m", "grantway"]
    done = subprocess.run(
        [*module, "--help"], env=home.env, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == home.run("--help").stdout
    done = subprocess.run(
        [*module, "token"], env=home.env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "has no profile yet" in done.stderr


@pytest.mark.parametrize(
    ("missing", "expected"),
    [
        ("import sys; sys.modules['click'] = None", "pip install 'grantway[cli]'"),
        (
            "from importlib import metadata; metadata.entry_points = lambda **_: ()",
            "its command line is not installed",
        ),
    ],
)
def test_python_m_grantway_reports_what_to_install(missing: str, expected: str) -> None:
    code = f"{missing}; import runpy; runpy.run_module('grantway', run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert expected in done.stderr
    assert "Traceback" not in done.stderr


def test_the_only_profile_needs_no_name(home: Home) -> None:
    provider = 'provider = {token_endpoint = "http://127.0.0.1:9/token"}\nclient_id = "app"\n'
    home.write(f"[profiles.work]\n{provider}")
    with home.profile() as profile:
        profile.store.save(profile.key, grantway.Token("at-1"))
    assert home.run("token").stdout == "at-1\n"
    assert home.run("token", "--config", home.config).stdout == "at-1\n"
    assert home.run("logout").stdout.endswith("Logged out of work.\n")
    home.write(f"[profiles.work]\n{provider}[profiles.other]\n{provider}")
    for command in ("login", "token", "logout"):
        done = home.run(command)
        assert done.returncode == 2
        assert f"Give the NAME of a profile in {home.config}: work, other." in done.stderr


@pytest.mark.parametrize("content", [None, "", "[profiles]\n"])
def test_explains_how_to_create_the_first_profile(home: Home, content: str | None) -> None:
    if content is not None:
        home.write(content)
    for command in ("login", "token", "logout"):
        done = home.run(command)
        assert done.returncode == 1
        assert f"{home.config} has no profile yet" in done.stderr
        assert "grantway login https://login.example.com" in done.stderr


def test_rejects_a_profile_together_with_a_session(home: Home) -> None:
    done = home.run("token", "work", "--sso-session", "corp")
    assert done.returncode == 2
    assert "Give only one of NAME, --sso-session and --sso-profile." in done.stderr


def test_ctrl_c_while_a_class_is_created_prints_no_traceback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Interrupted:
        def __set_name__(self, owner: type, name: str) -> None:
            raise KeyboardInterrupt

    def create(**_options: object) -> None:
        type("Late", (), {"member": Interrupted()})

    monkeypatch.setattr(grants.command, "callback", create)
    done = CliRunner().invoke(app, ["grants"])
    assert done.exit_code == 1
    assert done.output.strip() == "Aborted!"
