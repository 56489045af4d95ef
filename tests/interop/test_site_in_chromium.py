"""Tests of the built site in a real browser without a network."""

from __future__ import annotations

import functools
import http.server
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Route

from tests.docs.pages import DOCS, ROOT, blocks
from tests.interop.chromium import chromium
from tests.waiting import PATIENCE

pytestmark = pytest.mark.slow

PAGES = [
    page
    for page in sorted(DOCS.rglob("*.md"))
    if any(block.language == "mermaid" for block in blocks(page))
]


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A server of files that logs nothing."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - inherited name
        """Suppress the log."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of the built site."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet"]
    subprocess.run([*command, "--site-dir", folder], cwd=ROOT, check=True, timeout=4 * PATIENCE)
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_draws_every_diagram_without_a_network(page: Path, site: str, browser: Browser) -> None:
    written = [block for block in blocks(page) if block.language == "mermaid"]
    elsewhere: list[str] = []

    def refuse(route: Route) -> None:
        elsewhere.append(route.request.url)
        route.abort()

    tab = browser.new_page()
    tab.route(lambda url: not url.startswith(site), refuse)
    problems: list[str] = []
    tab.on("pageerror", lambda error: problems.append(str(error)))
    tab.goto(f"{site}/{page.relative_to(DOCS).with_suffix('.html').as_posix()}")
    # The theme replaces the source of each diagram with an element that has a closed shadow root.
    tab.wait_for_function(
        "count => document.querySelectorAll('div.mermaid').length === count",
        arg=len(written),
        timeout=PATIENCE * 1000,
    )
    heights = tab.eval_on_selector_all(
        "div.mermaid", "found => found.map((each) => each.getBoundingClientRect().height)"
    )
    tab.close()
    assert min(heights) > 100
    assert elsewhere == []
    assert problems == []
