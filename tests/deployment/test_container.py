"""The Containerfile: a linter, its rules, and its commands without a container."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from grantway_plugins.issuer import IssuerServer
from grantway_plugins.issuer._http.health import Health
from grantway_plugins.issuer._storage.errors import DatabaseFullError
from tests.distribution.environment import ROOT, build
from tests.docs.pages import DOCS
from tests.interop.program import STARTUP_SECONDS, Program
from tests.waiting import PATIENCE

FILE = DOCS / "how-to" / "issuer" / "Containerfile"
PORT = "9464"


def instructions() -> list[tuple[str, str]]:
    """Return the instructions of the file, with continued lines joined."""
    text = re.sub(r"^#.*\n", "", FILE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [(line.split()[0], line.partition(" ")[2]) for line in lines if line.strip()]


ALL = instructions()
STAGES = [number for number, (name, _) in enumerate(ALL) if name == "FROM"]
FINAL = dict(ALL[STAGES[-1] :])


def health_command(port: str) -> list[str]:
    command = json.loads(FINAL["HEALTHCHECK"].partition(" CMD ")[2])
    assert command[0] == "python"
    return [sys.executable, *(each.replace(PORT, port) for each in command[1:])]


def is_healthy(port: str) -> bool:
    done = subprocess.run(health_command(port), capture_output=True, timeout=PATIENCE, check=False)
    return done.returncode == 0


@pytest.mark.skipif(sys.platform != "linux", reason="the linter's wheel is for Linux")
def test_the_linter_finds_nothing() -> None:
    linter = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([linter, FILE], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_image_runs_without_root_and_writes_to_one_folder() -> None:
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", FINAL["USER"])
    assert json.loads(FINAL["VOLUME"]) == [FINAL["WORKDIR"]] == ["/var/lib/grantway"]
    owner = FINAL["USER"].partition(":")[0]
    assert f"--owner={owner} " in FINAL["RUN"]
    assert "PYTHONDONTWRITEBYTECODE=1" in FINAL["ENV"]
    assert PORT in FINAL["EXPOSE"].split()


def test_the_health_check_follows_readyz(monkeypatch: pytest.MonkeyPatch) -> None:
    with IssuerServer(metrics_port=0) as server:
        assert server.metrics_address is not None
        port = server.metrics_address.rpartition(":")[2].partition("/")[0]
        assert is_healthy(port)
        monkeypatch.setattr("grantway_plugins.issuer._http.health.FAILURE_SECONDS", PATIENCE)
        health: Health = server._health.__self__._health  # type: ignore[attr-defined]
        health.failed(DatabaseFullError("full"))
        assert not is_healthy(port)
    assert not is_healthy(port)


#: Runs a command with a root filesystem that is read-only except for the folder $1.
READ_ONLY = """
mount --rbind / "$2" && mount -o remount,ro,bind "$2" && mount --bind "$1" "$2$1" || exit 99
exec chroot "$2" sh -c 'cd "$0" && exec "$@"' "$1" "${@:3}"
"""


def read_only(folder: Path, mount: Path, command: list[str]) -> list[str]:
    """Return a command that runs another one with a read-only filesystem."""
    unshare = shutil.which("unshare")
    if unshare is None or subprocess.run([unshare, "-rm", "true"], check=False).returncode != 0:
        pytest.skip("this machine forbids mounts in a user namespace")
    mount.mkdir()
    return [unshare, "-rm", "bash", "-c", READ_ONLY, "bash", str(folder), str(mount), *command]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="containers run Linux")
def test_the_commands_of_the_image_work_with_a_read_only_filesystem(tmp_path: Path) -> None:
    made = build(ROOT, tmp_path / "context" / "dist")
    arguments = dict(
        each.split("=", 1) for name, value in ALL if name == "ARG" for each in shlex.split(value)
    )
    extras = arguments["GRANTWAY"].partition("[")[2]
    install = next(value for name, value in ALL if name == "RUN").partition("target=/context ")[2]
    subprocess.run(
        ["sh", "-c", install.replace("/opt/grantway", str(tmp_path / "opt"))],
        env={**os.environ, **arguments, "GRANTWAY": f"{made}[{extras}"},
        timeout=10 * PATIENCE,
        check=True,
        capture_output=True,
    )
    config = tmp_path / "issuer.toml"
    config.write_text('[server]\nlisten = "127.0.0.1:0"\n[metrics]\nlisten = "127.0.0.1:0"\n')
    words = [*json.loads(FINAL["ENTRYPOINT"]), *json.loads(FINAL["CMD"])]
    assert words[-1] == "/etc/grantway/issuer.toml"
    data = tmp_path / "data"
    data.mkdir()
    settings = ["PYTHONDONTWRITEBYTECODE=1", f"XDG_DATA_HOME={data}", "PATH=/usr/bin:/bin"]
    command = [str(tmp_path / "opt" / "bin" / words[0]), *words[1:-1], str(config)]
    with Program(read_only(data, tmp_path / "root", ["env", "-i", *settings, *command])) as program:
        ready = re.fullmatch(
            r"grantway issuer listening on (\S+), metrics (\S+)\n",
            program.read_line(STARTUP_SECONDS),
        )
        assert ready is not None, program.errors()
        assert is_healthy(ready[2].rpartition(":")[2].partition("/")[0])
        with urllib.request.urlopen(f"{ready[1]}/readyz", timeout=PATIENCE) as response:
            assert response.status == 200
        assert program.stop() == 0, program.errors()
    assert [each.name for each in data.iterdir()] == ["grantway"]
