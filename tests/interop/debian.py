"""Programs from Debian or Ubuntu packages, unpacked without root if they are not installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from filelock import FileLock

#: Seconds that a download may take.
_PATIENCE = 300.0
#: Outside of the tests, because some of them list all files of the tests.
_FOLDER = Path(__file__).parents[2] / "build" / "debian"
_PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"])


def available(name: str) -> bool:
    """Return whether a program is installed, or can be downloaded with apt."""
    tools = ("apt-get", "dpkg-deb")
    return _installed(name) is not None or all(shutil.which(tool) for tool in tools)


def command(name: str) -> list[str]:
    """Return a command that runs a program, and download its package if it is not installed.

    Args:
        name: Name of the program and of its package.

    Raises:
        AssertionError: The package cannot be downloaded; quotes apt's output.
    """
    installed = _installed(name)
    if installed is not None:
        return [installed]
    _FOLDER.mkdir(parents=True, exist_ok=True)
    unpacked = _FOLDER / name
    with FileLock(_FOLDER / "lock", timeout=2 * _PATIENCE):
        if not unpacked.exists():
            with tempfile.TemporaryDirectory(dir=_FOLDER) as scratch:
                _download(name, Path(scratch)).rename(unpacked)
    libraries = {file.parent for file in unpacked.rglob("*.so*") if "/modules/" not in str(file)}
    [found] = unpacked.glob(f"usr/*bin/{name}")
    return ["env", f"LD_LIBRARY_PATH={':'.join(sorted(map(str, libraries)))}", str(found)]


def _installed(name: str) -> str | None:
    return shutil.which(name, path=_PATH)


def _download(package: str, scratch: Path) -> Path:
    """Unpack a package with the dependencies that this machine lacks, and return the folder."""
    cache, lists, unpacked = scratch / "cache", scratch / "lists", scratch / "unpacked"
    (cache / "archives" / "partial").mkdir(parents=True)
    (lists / "partial").mkdir(parents=True)
    # With its own lists and cache, apt needs neither root nor an earlier update.
    settings = ("Debug::NoLocking=1", "APT::Sandbox::User=", f"Dir::Cache={cache}")
    apt = ["apt-get", "-qq", f"-oDir::State::Lists={lists}", *(f"-o{each}" for each in settings)]
    _run([*apt, "update"])
    _run([*apt, "install", "--download-only", "--no-install-recommends", "-y", package])
    for archive in (cache / "archives").glob("*.deb"):
        _run(["dpkg-deb", "--extract", str(archive), str(unpacked)])
    return unpacked


def _run(command: list[str]) -> None:
    run = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=False)
    assert run.returncode == 0, f"{' '.join(command)}: {run.stdout}{run.stderr}"
