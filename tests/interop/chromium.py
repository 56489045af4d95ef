"""A headless Chromium for Playwright, from the system or from an npm package."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
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
_FONTS = """\
<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir>{folder}</dir>
  <cachedir>{folder}/cache</cachedir>
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
    unpacked = subprocess.run(
        [node_packages.NODE, node_packages.FOLDER / "unpack_chromium.mjs"],
        env={
            **{name: value for name, value in os.environ.items() if name != "LD_LIBRARY_PATH"},
            "TMPDIR": str(folder),
            "AWS_EXECUTION_ENV": "AWS_Lambda_nodejs22.x",
        },
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        timeout=2 * PATIENCE,
    )
    found = json.loads(unpacked.stdout)
    executable: str = found["executable"]
    environment: dict[str, str] = found["environment"]
    # Those of the package are in /var/task, /opt or /tmp; without any font, pages crash.
    fonts = Path(environment["FONTCONFIG_PATH"])
    (fonts / "fonts.conf").write_text(_FONTS.format(folder=fonts))
    return executable, environment
