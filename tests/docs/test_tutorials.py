"""Tests that follow the tutorials in a shell, from top to bottom.

The reader has a fresh clone of the repository, an empty home folder, and no browser; for one page,
a browser in which they allow every login. The blocks are followed in order:

- ``bash`` blocks are typed into the first terminal. Every command must succeed, unless the block is
  marked ``fails``. A title such as ``title="Second terminal"`` selects another terminal, where the
  command keeps running. Each terminal starts in the clone.
- A ``bash`` block that only starts ``python`` opens Python's prompt. ``python`` blocks are typed
  there until one ends with ``exit()``.
- A ``python`` block with a title is saved under that name in the first terminal's folder.
- A ``text`` block with ``title="Output"`` shows the output of the block above it; ``...`` matches
  anything.

Only ports are replaced, so that tests can run in parallel, and ``pip`` by ``uv pip``, which is ten
times as fast. ``.ci/run`` runs the README's installation with pip.
"""

from __future__ import annotations

import doctest
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Self

import pytest
from uv import find_uv_bin

from tests.docs.pages import DOCS, ROOT, Block, blocks, name_of
from tests.docs.terminal import CommandError, Terminal
from tests.faults import free_port
from tests.waiting import until

pytestmark = pytest.mark.slow

TUTORIAL = DOCS / "tutorial"
FIRST = blocks(TUTORIAL / "first-token.md")
#: The installation in the first tutorial, which the others rely on.
INSTALL = FIRST[:1]
PORTS = ("8080", "8400", "8401", "8410", "8411", "8412", "9000")
#: Files that are not in a clone or slow to copy.
NOT_CLONED = shutil.ignore_patterns(".*", "node_modules", "__pycache__", "build", "dist", "site")


def environment(home: Path) -> dict[str, str]:
    """Return the environment of a reader without a browser and without any settings."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(
            ("AWS_", "COV_", "GRANTWAY_", "PYTEST_", "PYTHON", "VIRTUAL_", "XDG_")
        )
        and not name.lower().endswith("_proxy")
        # nox sets UV_PYTHON, which would make uv install into the environment of the tests.
        and name not in {"BROWSER", "DISPLAY", "UV_PYTHON", "WAYLAND_DISPLAY"}
    }
    # The home folder is empty, but packages that were downloaded before need not be again.
    cache = subprocess.check_output([find_uv_bin(), "cache", "dir"], text=True).strip()
    return {**kept, "HOME": str(home), "UV_CACHE_DIR": cache}


class Reader:
    """A reader who follows a tutorial.

    Args:
        clone: The clone of the repository.
        home: The home folder.
        **variables: More environment variables.
    """

    def __init__(self, clone: Path, home: Path, **variables: str) -> None:
        self._clone, self._environment = clone, {**environment(home), **variables}
        self._terminals: dict[str, Terminal] = {}
        self._ports = {port: str(free_port()) for port in PORTS}
        self._open = ExitStack()
        self._in_python = False

    def __enter__(self) -> Self:
        self._open.__enter__()
        return self

    def __exit__(self, *raised: object) -> None:
        self._open.close()

    def follow(self, page: Path, todo: list[Block]) -> None:
        """Follow a page block by block.

        Raises:
            AssertionError: A command failed, or the output differs from the output on the page.
        """
        shown, running = "", None
        for block in todo:
            where, title = f"{name_of(page)}:{block.line}", _title(block)
            code = self._with_ports(block.code)
            if block.language == "bash":
                code = re.sub(r"\S*\bpip install", f"{find_uv_bin()} pip install", code)
            if block.is_output:
                if running is not None:
                    shown = _wait_for(code, running)
                assert _matches(code, shown), f"{where}: the output is\n{shown}"
            elif block.language == "bash" and title:
                running = self._terminal(title)
                running.leave_running(code)
            elif block.language == "bash":
                fails = "fails" in block.options.split()
                shown, running = self._shell(code, where, fails=fails), None
            elif block.language == "python" and title:
                self._terminal("").save(title, code)
            elif block.language == "python":
                shown, running = self._python(code, where), None

    def _shell(self, code: str, where: str, *, fails: bool) -> str:
        if re.fullmatch(r"\S*python\n", code):
            self._terminal("").start_python(code)
            self._in_python = True
            return ""
        output, status = self._terminal("").run(code)
        assert bool(status) is fails, f"{where}: status {status}\n{output}"
        return output

    def _python(self, code: str, where: str) -> str:
        assert self._in_python, f"{where}: the page has not started Python before this block"
        try:
            if code.endswith("exit()\n"):
                self._in_python = False
                self._terminal("").leave_python(code)
                return ""
            return self._terminal("").type_python(code)
        except CommandError as error:
            raise AssertionError(f"{where}: {error}") from None

    def _terminal(self, title: str) -> Terminal:
        if title not in self._terminals:
            opened = self._open.enter_context(Terminal(self._clone, self._environment))
            self._terminals[title] = opened
        return self._terminals[title]

    def _with_ports(self, code: str) -> str:
        code = code.replace("grantway serve ", f"grantway serve --port {self._ports['8400']} ")
        return re.sub(rf"\b({'|'.join(PORTS)})\b", lambda found: self._ports[found[1]], code)


def _title(block: Block) -> str:
    found = re.search('title="(.+)"', block.options)
    return found[1] if found else ""


def _wait_for(page: str, terminal: Terminal) -> str:
    """Wait until a terminal shows the output of the page, and return what it shows."""
    with suppress(AssertionError):
        until(lambda: terminal.shown, lambda shown: _matches(page, shown))
    return terminal.shown


def _matches(page: str, shown: str) -> bool:
    page, shown = page.rstrip() + "\n", shown.rstrip() + "\n"
    return doctest.OutputChecker().check_output(page, shown, doctest.ELLIPSIS)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory, home: Path) -> Path:
    """A clone in which the first tutorial's installation was run."""
    folder = tmp_path_factory.mktemp("clone") / "grantway"
    shutil.copytree(ROOT, folder, ignore=NOT_CLONED)
    with Reader(folder, home) as reader:
        reader.follow(TUTORIAL / "first-token.md", INSTALL)
    return folder


@pytest.fixture
def reader(clone: Path, home: Path) -> Iterator[Reader]:
    with Reader(clone, home) as following:
        yield following


def test_the_first_block_of_the_first_tutorial_installs_grantway() -> None:
    (install,) = INSTALL
    assert "pip install" in install.code
    assert not any("pip install" in block.code for block in FIRST[1:])


def test_gets_a_first_token(reader: Reader) -> None:
    reader.follow(TUTORIAL / "first-token.md", FIRST[1:])


def test_runs_a_gateway(reader: Reader) -> None:
    page = TUTORIAL / "gateway.md"
    reader.follow(page, blocks(page))


def test_connects_and_disconnects_accounts_of_users(reader: Reader, clone: Path) -> None:
    page = TUTORIAL / "connections.md"
    reader.follow(page, blocks(page))
    folder = clone / "connections-demo"
    for file in folder.rglob("*"):
        # nginx's cache is the only copy of a token outside of the issuers, which store digests.
        if file.is_file() and "cache" not in file.parts:
            assert b"gwa_" not in file.read_bytes(), file.name


def test_rotates_a_secret_of_the_running_gateway(reader: Reader, clone: Path) -> None:
    shutil.rmtree(clone / "gateway-demo", ignore_errors=True)
    for page in (TUTORIAL / "gateway.md", DOCS / "how-to" / "rotate-a-client-secret.md"):
        reader.follow(page, blocks(page))


def test_runs_a_workload_without_a_secret(reader: Reader, clone: Path) -> None:
    page = TUTORIAL / "workload.md"
    reader.follow(page, blocks(page))
    folder = clone / "workload-demo"
    for file in folder.iterdir():
        assert b"gwa_" not in file.read_bytes(), file.name
        assert b"gws_" not in file.read_bytes(), file.name


def test_writes_a_grant(reader: Reader, clone: Path) -> None:
    page = TUTORIAL / "your-own-grant.md"
    reader.follow(page, blocks(page))
    made = clone / "acme-coupons"
    for command in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--no-cache", "."],
            cwd=made,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_logs_in_to_an_mcp_server(clone: Path, tmp_path: Path) -> None:
    page = TUTORIAL / "mcp.md"
    browser = shlex.join([sys.executable, str(Path(__file__).with_name("approve.py"))])
    with Reader(clone, tmp_path, BROWSER=f"{browser} %s") as reader:
        reader.follow(page, blocks(page))


def test_follows_every_tutorial() -> None:
    followed = {
        "connections.md",
        "first-token.md",
        "gateway.md",
        "mcp.md",
        "workload.md",
        "your-own-grant.md",
    }
    assert {page.name for page in TUTORIAL.glob("*.md")} == followed
