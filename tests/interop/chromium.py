"""A headless Chromium for Playwright, from the system or from an npm package."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock
from playwright.sync_api import Browser, sync_playwright

from tests.interop import node_packages
from tests.waiting import PATIENCE

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_OPTIONS = (
    "--no-sandbox",  # often unavailable in containers; only trusted pages are opened
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
#: Replaced, like the package, if the lock file changes.
_UNPACKED = node_packages.FOLDER / "node_modules" / ".chromium"
_FONTS = """\
<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir>{fonts}</dir>
  <cachedir>{cache}</cachedir>
</fontconfig>
"""


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """Run the browser for the block, then remove its files.

    Playwright's synchronous API occupies the thread's event loop, so the block must not run asyncio
    in this thread.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        executable, environment = _find(Path(folder))
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=executable,
                args=_OPTIONS,
                env={**os.environ, "HOME": folder, "TMPDIR": folder, **environment},
                timeout=PATIENCE * 1000,
            )
            try:
                yield browser
            finally:
                browser.close()


def _find(folder: Path) -> tuple[str, dict[str, str]]:
    """Return the path of the program and its additional environment variables."""
    for name in _NAMES:
        installed = shutil.which(name)
        if installed:
            return installed, {}
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        pytest.skip("no chromium on PATH, and npm's is for Linux on x86-64 only")
    node_packages.install()
    with FileLock(node_packages.FOLDER / ".chromium.lock", timeout=4 * PATIENCE):
        if not _UNPACKED.exists():
            _unpack()
    # The configuration of the package names other folders, and without any font, pages crash.
    fonts = folder / "fonts.conf"
    fonts.write_text(_FONTS.format(fonts=_UNPACKED / "fonts", cache=folder))
    return str(_UNPACKED / "chromium"), {
        "LD_LIBRARY_PATH": str(_UNPACKED / "al2023" / "lib"),
        "FONTCONFIG_FILE": str(fonts),
    }


def _unpack() -> None:
    """Unpack the npm package's browser, which takes seconds, for this and later runs."""
    with tempfile.TemporaryDirectory(dir=_UNPACKED.parent) as folder:
        subprocess.run(
            [node_packages.NODE, node_packages.FOLDER / "unpack_chromium.mjs"],
            env={
                **{name: value for name, value in os.environ.items() if name != "LD_LIBRARY_PATH"},
                "TMPDIR": folder,
                "AWS_EXECUTION_ENV": "AWS_Lambda_nodejs22.x",
            },
            check=True,
            timeout=2 * PATIENCE,
        )
        Path(folder).rename(_UNPACKED)
