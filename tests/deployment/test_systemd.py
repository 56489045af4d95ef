"""The systemd unit, and the messages of the issuer to systemd."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests import forked
from tests.docs.pages import DOCS
from tests.waiting import PATIENCE

UNIT = DOCS / "how-to" / "issuer" / "grantway-issuer.service"
PAGE = (DOCS / "how-to" / "run-the-issuer-in-production.md").read_text(encoding="utf-8")
SETTINGS = [
    line.partition("=")[::2]
    for line in UNIT.read_text(encoding="utf-8").splitlines()
    if "=" in line and not line.startswith("#")
]
SERVE = [sys.executable, "-m", "grantway_plugins.cli", "serve", "--port", "0"]
READY = b"grantway issuer listening on "


def values(name: str) -> list[str]:
    return [value for key, value in SETTINGS if key == name]


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run ``systemd-analyze``, or skip the test if it is missing or older than version 250."""
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd is not installed")
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    found = re.match(r"systemd (\d+)", version.stdout)
    if found is None or int(found[1]) < 250:
        pytest.skip("this version of systemd cannot check a file")
    return subprocess.run(
        [program, *arguments], capture_output=True, text=True, timeout=PATIENCE, check=False
    )


def test_the_unit_restricts_the_service() -> None:
    assert values("Type") == ["notify"]
    assert values("DynamicUser") == ["yes"]
    assert values("CapabilityBoundingSet") == [""]
    assert values("NoNewPrivileges") == ["yes"]
    assert values("ProtectSystem") == ["strict"]
    assert values("MemoryDenyWriteExecute") == ["yes"]
    assert values("SystemCallFilter") == ["@system-service", "~@privileged @resources"]
    assert values("LoadCredential") == ["secrets:/etc/grantway/secrets"]
    (command,) = values("ExecStart")
    assert command.split()[1:] == ["serve", "--config", "/etc/grantway/issuer.toml"]


def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    text = UNIT.read_text(encoding="utf-8")
    unit = tmp_path / UNIT.name
    program = values("ExecStart")[0].split()[0]
    unit.write_text(text.replace(program, sys.executable), encoding="utf-8")
    done = analyze("verify", unit)
    assert done.returncode == 0, done.stderr
    assert str(unit) not in done.stderr


def test_the_exposure_of_the_unit_is_as_documented() -> None:
    done = analyze("security", "--offline=true", "--no-pager", UNIT)
    found = re.search(r"Overall exposure level for \S+: ([\d.]+) OK", done.stdout)
    assert found is not None, done.stdout + done.stderr
    documented = re.search(r"exposure level of (\d\.\d)", PAGE)
    assert documented is not None
    assert float(found[1]) <= float(documented[1])  # newer versions check more


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has systemd")
@pytest.mark.parametrize("abstract", [False, True], ids=["file", "abstract"])
def test_the_issuer_reports_its_start_and_its_stop(tmp_path: Path, abstract: bool) -> None:
    path = str(tmp_path / "notify")
    name = f"@{path}" if abstract else path
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(PATIENCE)
        manager.bind(f"\0{path}" if abstract else path)
        with forked.Popen(
            [*SERVE, "--database", ":memory:"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "NOTIFY_SOCKET": name},
        ) as process:
            try:
                assert manager.recv(100) == b"READY=1"
                assert process.stdout is not None
                assert process.stdout.readline().startswith(READY)
                process.send_signal(signal.SIGTERM)
                assert manager.recv(100) == b"STOPPING=1"
                assert process.wait(PATIENCE) == 0
            finally:
                process.kill()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has systemd")
def test_a_missing_service_manager_does_not_stop_the_issuer(tmp_path: Path) -> None:
    with forked.Popen(
        [*SERVE, "--database", ":memory:"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "NOTIFY_SOCKET": str(tmp_path / "nobody")},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(READY)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=PATIENCE)
    assert b"cannot send READY=1 to the service manager in NOTIFY_SOCKET" in errors
    assert process.returncode == 0
