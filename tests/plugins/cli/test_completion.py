"""Shell completion of commands, options and profile names."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.plugins.cli.home import Home

SCRIPTS = Path(sys.executable).parent
PROFILES = (
    '[profiles.work]\nprovider = "https://login.example.com"\n'
    "[profiles.wide]\n[profiles.home]\n"
    '[profiles."rm -rf"]\n'
)


@pytest.fixture
def bash(home: Home) -> Home:
    """Return a home with profiles and ``grantway`` on the PATH."""
    home.write(PROFILES)
    home.env["PATH"] = f"{SCRIPTS}{os.pathsep}{home.env['PATH']}"
    return home


def completed(home: Home, words: str, **env: str) -> list[str]:
    """Return click's completions for the last word, which may be empty."""
    done = subprocess.run(
        [SCRIPTS / "grantway"],
        env={
            **home.env,
            "COMP_WORDS": words,
            "COMP_CWORD": str(words.count(" ")),
            "_GRANTWAY_COMPLETE": "bash_complete",
            **env,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.stderr
    return [line.removeprefix("plain,") for line in done.stdout.split()]


def test_bash_completes_a_profile_name(bash: Home) -> None:
    with bash.in_terminal("--norc", "--noprofile", program=["bash"], PS1="> ") as shell:
        shell.type('eval "$(grantway completion bash)"; echo rea"dy"\n')
        shell.until("ready")
        shell.type("grantway login wo\t")
        shell.until(r"grantway login work ")
        shell.type("--dev\t")
        shell.until(r"grantway login work --device ")
        shell.type("\x15exit\n")
        assert shell.end() == 0


@pytest.mark.parametrize("command", ["login", "logout", "status", "token"])
def test_completes_names_for_every_command_that_takes_a_profile(bash: Home, command: str) -> None:
    assert completed(bash, f"grantway {command} w") == ["work", "wide"]
    assert completed(bash, f"grantway {command} ") == ["work", "wide", "home"]


@pytest.mark.slow
def test_completes_commands_and_options(bash: Home) -> None:
    assert completed(bash, "grantway s") == ["serve", "status"]
    assert "--paste" in completed(bash, "grantway login --")
    assert "--json" in completed(bash, "grantway token work --")
    assert completed(bash, "grantway login --paste w") == ["work", "wide"]
    assert completed(bash, "grantway completion z") == ["zsh"]


def test_completes_names_from_the_given_config_file(bash: Home) -> None:
    other = bash.folder / "other.toml"
    other.write_text("[profiles.elsewhere]\n")
    assert completed(bash, f"grantway token --config {other} e") == ["elsewhere"]
    assert completed(bash, "grantway token e", GRANTWAY_CONFIG=str(other)) == ["elsewhere"]


@pytest.mark.parametrize("content", ["", "[profiles", "profiles = 3", "\x00"])
def test_completes_no_names_from_an_unreadable_file(bash: Home, content: str) -> None:
    bash.write(content)
    assert completed(bash, "grantway login ") == []
    bash.config.unlink()
    assert completed(bash, "grantway login ") == []


def test_completing_names_does_not_load_commands(bash: Home) -> None:
    code = (
        "import sys; from grantway_plugins.cli import main\n"
        "try: main()\n"
        "finally: print([m for m in ('rich', 'requests', 'marshmallow', 'segno') "
        "if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={
            **bash.env,
            "COMP_WORDS": "grantway login wo",
            "COMP_CWORD": "2",
            "_GRANTWAY_COMPLETE": "bash_complete",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "plain,work\n[]\n"


@pytest.mark.parametrize("shell", ["bash", "fish", "zsh"])
def test_each_shell_has_a_script(home: Home, shell: str) -> None:
    script = home.run("completion", shell).stdout
    assert f"_GRANTWAY_COMPLETE={shell}_complete" in script
    assert home.run("completion", SHELL=f"/bin/{shell}").stdout == script


def test_an_unsupported_shell_is_an_error(home: Home) -> None:
    done = home.run("completion", SHELL="/bin/sh")
    assert done.returncode == 2
    assert "Give the name of a supported shell: bash, fish, zsh." in done.stderr
