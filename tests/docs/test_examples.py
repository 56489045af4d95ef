"""Every Python example of the documentation and the README runs, and prints what it shows.

- A ``python`` block runs. The blocks of a page run in order, in one namespace, in a process of the
  page's own, with warnings as errors.
- ``python no-run`` is for what cannot run here, such as an address at ``example.com``. It must
  still compile.
- A ``text`` block with ``title="Output"`` shows what the blocks above it have printed since the
  last such block; ``...`` stands for anything.
- A page that talks to an issuer reads its address from the variable ``ISSUER`` and says so. The
  issuer is ``grantway serve --approve auto``; ``BROWSER`` is a program that opens an address as a
  browser would.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import blocks, name_of, pages

HERE = Path(__file__).parent
PAGE_SECONDS = 60
WITH_EXAMPLES = [page for page in pages() if any(block.runs for block in blocks(page))]
WITH_ISSUER = {page for page in WITH_EXAMPLES if '"ISSUER"' in page.read_text(encoding="utf-8")}


def environment(**more: str) -> dict[str, str]:
    """The environment of a reader who has set nothing up."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "COV_", "GRANTWAY_", "PYTHONWARNINGS"))
        and not name.lower().endswith("_proxy")
    }
    browser = f"{shlex.quote(sys.executable)} {shlex.quote(str(HERE / 'visit.py'))} %s"
    return {**kept, "BROWSER": browser, "NO_PROXY": "127.0.0.1,localhost", **more}


@pytest.mark.parametrize("page", WITH_EXAMPLES, ids=name_of)
def test_the_examples_of_a_page_run(
    page: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    more = {"HOME": str(tmp_path)}
    if page in WITH_ISSUER:
        more["ISSUER"] = request.getfixturevalue("issuer")
    done = subprocess.run(
        [sys.executable, "-W", "error", HERE / "run_page.py", page],
        cwd=tmp_path,
        env=environment(**more),
        capture_output=True,
        text=True,
        timeout=PAGE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{name_of(page)}\n{done.stderr}"


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_examples_that_do_not_run_here_compile(page: Path) -> None:
    for block in blocks(page):
        if block.language == "python":
            compile(block.code, f"{name_of(page)}:{block.line}", "exec")
