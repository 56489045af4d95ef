"""The group of commands."""

from __future__ import annotations

import subprocess
import sys

from click.testing import CliRunner

import grantway
from grantway_plugins.cli.app import COMMANDS, app


def test_help_lists_every_command_and_loads_none() -> None:
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


def test_every_command_has_a_module_and_help() -> None:
    for name in COMMANDS:
        shown = CliRunner().invoke(app, [name, "--help"])
        assert shown.exit_code == 0, shown.output
        assert "Usage:" in shown.output


def test_the_version() -> None:
    assert grantway.__version__ in CliRunner().invoke(app, ["--version"]).output


def test_a_missing_library_is_named_with_the_way_to_get_it() -> None:
    code = "import sys; sys.modules['click'] = None; from grantway_plugins.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "pip install 'grantway[all]'" in done.stderr
    assert "Traceback" not in done.stderr
