"""An isolated virtual environment, and distributions to install into it."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from uv import find_uv_bin

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def uv(*arguments: str | Path) -> None:
    """Run uv, which installs in a tenth of pip's time, and fail with its output if it fails."""
    command = [find_uv_bin(), "--quiet", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def build(source: Path, folder: Path) -> Path:
    """Build a wheel from a source tree."""
    uv("build", "--wheel", "--out-dir", folder, source)
    return next(folder.glob("*.whl"))


def wheel(
    folder: Path,
    name: str,
    source: str,
    entry_points: str = "",
    *,
    group: str = "grantway.v1",
    version: str = "2.0",
    requires: str = "grantway",
) -> Path:
    """Create a wheel with one module."""
    module = name.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    files = {
        f"{module}.py": source,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        f"Requires-Dist: {requires}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\n"
        "Tag: py3-none-any\n",
        f"{info}/entry_points.txt": entry_points or f"[{group}]\nvariant = {module}\n",
    }
    record = ""
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=")
        record += f"{path},sha256={digest.decode()},{len(text.encode())}\n"
    made = folder / f"{module}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(made, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
        archive.writestr(f"{info}/RECORD", f"{record}{info}/RECORD,,\n")
    return made


@dataclass(frozen=True)
class Environment:
    """A virtual environment."""

    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    def install(self, *wheels: str | Path) -> None:
        uv("pip", "install", "--python", self.python, *wheels)

    @contextmanager
    def unpacked(self, made: Path) -> Iterator[None]:
        """Install a wheel by unpacking it, and remove its files at the end of the block.

        This is quicker than an installer.
        """
        (site,) = self.folder.glob("lib/python*/site-packages")
        with zipfile.ZipFile(made) as archive:
            names = archive.namelist()
            archive.extractall(site)
        try:
            yield
        finally:
            for name in names:
                (site / name).unlink()
            (site / names[-1]).parent.rmdir()
            for compiled in (site / "__pycache__").glob(f"{Path(names[0]).stem}.*"):
                compiled.unlink()

    def run(self, *arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PYTHON", "GRANTWAY_", "AWS_", "COV_"))
        }
        return subprocess.run(
            [self.python, "-W", "error", *arguments],
            cwd=self.folder,
            env={**kept, **variables},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def grantway(self, *arguments: str, **variables: str) -> Any:
        """Run a command with ``--json`` and return its parsed output."""
        done = self.run("-m", "grantway_plugins.cli", *arguments, "--json", **variables)
        assert done.stdout, done.stderr
        return json.loads(done.stdout)

    def plugin(self, path: str, **variables: str) -> dict[str, str]:
        """Return the entry of one plugin in ``grantway plugins``."""
        shown: list[dict[str, str]] = self.grantway("plugins", **variables)
        return next(each for each in shown if f"{each['distribution']}/{each['name']}" == path)

    def end_to_end(self, **variables: str) -> dict[str, Any]:
        done = self.run(HERE / "end_to_end.py", **variables)
        assert done.returncode == 0, done.stderr
        report: dict[str, Any] = json.loads(done.stdout)
        return report
