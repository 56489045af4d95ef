"""Tests that run every Python example of the documentation and the README.

- ``python`` blocks run. The blocks of a page run in order and in one namespace, in a separate
  process per page, with warnings as errors.
- ``python no-run`` marks examples that cannot run here, such as requests to ``example.com``. They
  must compile.
- A ``text`` block with ``title="Output"`` shows the output of the blocks since the previous one;
  ``...`` matches anything.
- ``test_tutorials.py`` runs the tutorials.
- The examples in the ``index.md`` of a folder run before those of each page in the folder. The
  README and the pages at the top level start with an empty namespace.
- ``http://127.0.0.1:8400``, the default address of ``grantway serve``, is replaced with the address
  of an issuer that runs as ``grantway serve --approve auto``.
- The system's browser is a program that opens an address and follows redirects.
"""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

import pytest

from tests import forked
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
    """Return the environment of a reader without any settings."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "COV_", "GRANTWAY_", "PYTHONWARNINGS"))
        and not name.lower().endswith("_proxy")
    }
    browser = f"{shlex.quote(sys.executable)} {shlex.quote(str(HERE / 'visit.py'))} %s"
    return {**kept, "BROWSER": browser, "NO_PROXY": "127.0.0.1,localhost", **more}


@pytest.mark.slow
@pytest.mark.parametrize("page", WITH_EXAMPLES, ids=name_of)
def test_runs_the_examples_of_a_page(page: Path, tmp_path: Path, issuer: str) -> None:
    done = forked.run(
        [sys.executable, "-W", "error", HERE / "run_page.py", page, issuer],
        cwd=tmp_path,
        env=environment(HOME=str(tmp_path)),
        capture_output=True,
        text=True,
        timeout=PAGE_SECONDS,
        check=False,
    )
    # Check stderr too: warnings that cannot be raised as errors are printed there.
    assert (done.returncode, done.stderr) == (0, ""), f"{name_of(page)}\n{done.stderr}"


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_all_examples_compile(page: Path) -> None:
    for block in blocks(page):
        if block.language == "python":
            compile(block.code, f"{name_of(page)}:{block.line}", "exec")


#: How-to guides that contain tests.
PAGES_WITH_TESTS = (
    "test-a-plugin",
    "test-with-pytest",
    "write-a-dialect",
    "write-a-store",
    "write-client-authentication",
    "write-middleware",
)


@pytest.mark.slow
def test_the_tests_on_the_pages_pass(tmp_path: Path) -> None:
    for name in PAGES_WITH_TESTS:
        page = DOCS / "how-to" / f"{name}.md"
        code = "\n".join(block.code for block in blocks(page) if block.runs)
        (tmp_path / f"test_{name}.py").write_text(code, "utf-8")
    done = forked.run(
        [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", "-W", "error", tmp_path],
        cwd=tmp_path,
        env=environment(HOME=str(tmp_path)),
        capture_output=True,
        text=True,
        timeout=PAGE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "skipped" not in done.stdout
    for name in PAGES_WITH_TESTS:
        assert f"test_{name}.py::" in done.stdout


def test_the_program_on_sharing_a_login_logs_in_once(tmp_path: Path, issuer: str) -> None:
    page = DOCS / "how-to" / "keep-a-token-fresh.md"
    (program,) = (block for block in blocks(page) if 'title="share.py"' in block.options)
    (tmp_path / "share.py").write_text(program.code.replace(DEFAULT_ISSUER, issuer), "utf-8")

    def run() -> str:
        done = forked.run(
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
