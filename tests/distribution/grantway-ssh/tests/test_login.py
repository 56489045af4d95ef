"""``grantway login`` with a key."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from grantway_ssh import GRANT_TYPE

from grantway_plugins.issuer import IssuerServer

from .conftest import PRINCIPAL


def test_the_command_logs_in_without_input(
    server: IssuerServer, client_id: str, key: Path, tmp_path: Path
) -> None:
    config = tmp_path / "config.toml"
    config.write_text(
        f'[profiles.deploy]\nprovider = "{server.url}"\nstore = "file"\n'
        f'client_id = "{client_id}"\ngrant = "{GRANT_TYPE}"\nscope = ["deploy"]\n'
        f'params = {{principal = "{PRINCIPAL}"}}\n\n[plugins.ssh]\nkey = "{key}"\n'
    )
    done = subprocess.run(
        [sys.executable, "-m", "grantway_plugins.cli", "login", "deploy"],
        env={**os.environ, "GRANTWAY_CONFIG": str(config), "XDG_STATE_HOME": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Logged in to deploy" in done.stdout + done.stderr
