"""Every Python example of the documentation and the README runs, and prints what it shows.

- A ``python`` block runs. The blocks of a page run in order, in one namespace, in a process of the
  page's own, with warnings as errors.
- ``python no-run`` is for what cannot run here, such as an address at ``example.com``. It must
  still compile.
- A ``text`` block with ``title="Output"`` shows what the blocks above it have printed since the
  last such block; ``...`` stands for anything.
- The tutorials are run by ``test_tutorials.py``.
- A page begins where the ``index.md`` of its folder ends: what a how-to guide assumes is shown, and
  run, there. The README and the site's own pages begin with nothing.
- ``http://127.0.0.1:8400``, where ``grantway serve`` listens by default, stands for the issuer: the
  tests put the address of theirs in its place, which is ``grantway serve --approve auto``.
- The system's browser is a program that opens an address and follows where it leads.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import DEFAULT_ISSUER, DOCS, blocks, name_of, pages

HERE = Path(__file__).parent
PAGE_SECONDS = 180
#: The tutorials run in a shell; see ``test_tutorials.py``.
WITH_EXAMPLES = [
    page
    for page in pages()
    if page.parent != DOCS / "tutorial" and any(block.runs for block in blocks(page))
]


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
def test_the_examples_of_a_page_run(page: Path, tmp_path: Path, issuer: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", HERE / "run_page.py", page, issuer],
        cwd=tmp_path,
        env=environment(HOME=str(tmp_path)),
        capture_output=True,
        text=True,
        timeout=PAGE_SECONDS,
        check=False,
    )
    # What is written to standard error counts: a warning that nobody could raise ends up there.
    assert (done.returncode, done.stderr) == (0, ""), f"{name_of(page)}\n{done.stderr}"


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_examples_that_do_not_run_here_compile(page: Path) -> None:
    for block in blocks(page):
        if block.language == "python":
            compile(block.code, f"{name_of(page)}:{block.line}", "exec")


@pytest.mark.parametrize(("name", "count"), [("test-with-pytest.md", 3), ("test-a-plugin.md", 7)])
def test_the_tests_that_a_page_shows_pass(name: str, count: int, tmp_path: Path) -> None:
    page = DOCS / "how-to" / name
    module = tmp_path / "test_page.py"
    module.write_text("\n".join(block.code for block in blocks(page) if block.runs), "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", module],
        cwd=tmp_path,
        env=environment(HOME=str(tmp_path)),
        capture_output=True,
        text=True,
        timeout=PAGE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert f"{count} passed" in done.stdout


def test_the_program_that_shares_a_login_logs_in_once(tmp_path: Path, issuer: str) -> None:
    page = DOCS / "how-to" / "keep-a-token-fresh.md"
    (program,) = (block for block in blocks(page) if 'title="share.py"' in block.options)
    (tmp_path / "share.py").write_text(program.code.replace(DEFAULT_ISSUER, issuer), "utf-8")

    def run() -> str:
        done = subprocess.run(
            [sys.executable, "-W", "error", "share.py"],
            cwd=tmp_path,
            env=environment(HOME=str(tmp_path)),
            capture_output=True,
            text=True,
            timeout=PAGE_SECONDS,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    first = run().splitlines()
    assert [line.split()[0] for line in first[:1]] == ["Open"]
    assert run().splitlines() == first[1:]
