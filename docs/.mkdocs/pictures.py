"""Draw the site's pictures of the command line and the issuer's pages.

``python docs/.mkdocs/pictures.py [FOLDER]`` writes them to ``docs/pictures``, or the folder.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Page
from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

import grantway  # noqa: E402
from grantway_grants import device_code  # noqa: E402
from grantway_plugins.issuer import IssuerServer, IssuerSettings  # noqa: E402
from grantway_plugins.registration import registered_client  # noqa: E402
from tests.interop.chromium import chromium  # noqa: E402
from tests.interop.grantway_serve import grantway_serve  # noqa: E402
from tests.plugins.cli.resource_server import ResourceServer  # noqa: E402
from tests.plugins.gateway.connections.site import running_site  # noqa: E402
from tests.plugins.issuer.login.conftest import PASSWORD  # noqa: E402

_COLUMNS = 100
#: More providers on the page with the accounts.
_MORE = "".join(
    f"""
[providers.{name.lower()}]
issuer = "SHOP"
CLIENT
[connections.providers.{name.lower()}]
name = "{name}"
"""
    for name in ("Calendar", "Drive")
)
#: Rich loads a font from another host.
_FONT = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


def draw(folder: Path) -> None:
    """Write all pictures to a folder."""
    folder.mkdir(exist_ok=True)
    _terminal(folder / "demo.svg", ["demo"])
    with grantway_serve("--approve", "auto") as url:
        _terminal(folder / "login.svg", ["login", url, "--scope", "read", "--device"])
        server = ResourceServer(url)
        with server.running():
            _terminal(folder / "mcp-login.svg", ["login", server.resource, "--device"])
    with _issuer() as (url, code), chromium() as browser:
        page = browser.new_page(viewport={"width": 720, "height": 560})
        page.goto(f"{url}/device")
        _photograph(page, folder / "issuer-code.png")
        page.get_by_label("Code").fill(code)
        page.get_by_role("button").first.click()
        page.get_by_text(code).wait_for()
        _photograph(page, folder / "issuer-approval.png")
    with (
        tempfile.TemporaryDirectory() as home,
        running_site(Path(home), more=_MORE) as site,
        chromium() as browser,
    ):
        page = browser.new_page(viewport={"width": 720, "height": 560})
        page.goto(site.page())
        _log_in(page, "ann")
        page.get_by_role("button", name="Connect").click()
        _log_in(page, "ann.at.shop")
        page.get_by_text("is connected as").wait_for()
        page.goto(f"{site.url}/connect")
        _photograph(page, folder / "connected-accounts.png")


def _terminal(path: Path, arguments: list[str]) -> None:
    """Draw a command and its output."""
    with tempfile.TemporaryDirectory() as home:
        done = subprocess.run(
            [sys.executable, "-m", "grantway_plugins.cli", *arguments],
            env={
                "PATH": os.environ["PATH"],
                "HOME": home,
                "FORCE_COLOR": "1",
                "TERM": "xterm-256color",
                "COLUMNS": str(_COLUMNS),
                "BROWSER": "true",
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=True,
        )
        output = done.stdout.replace(home, "/home/alice")
    console = Console(record=True, width=_COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text.assemble(("$ ", "bold"), " ".join(["grantway", *arguments])))
    console.print(Text.from_ansi(output))
    picture = console.export_svg(title=f"grantway {arguments[0]}", unique_id=path.stem)
    path.write_text(_FONT.sub("", picture), encoding="utf-8")


@contextlib.contextmanager
def _issuer() -> Iterator[tuple[str, str]]:
    """Run an issuer with a login that waits for approval; yield its URL and the user code."""
    settings = IssuerSettings(
        name="Example Login", scope_descriptions={"read": "Read your files and folders"}
    )
    with IssuerServer(settings) as server:
        provider = grantway.Provider.discover(server.url)
        client = registered_client(
            provider,
            client_name="my-tool",
            scope=["read"],
            store=grantway.default_registry().store("memory"),
        )
        login = device_code.DeviceFlow(client, scope=["read"]).start()
        yield server.url, login.user_code


def _log_in(page: Page, user: str) -> None:
    page.locator("input[name=user]").fill(user)
    page.locator("input[name=password]").fill(PASSWORD)
    page.locator("input[name=password]").press("Enter")
    page.get_by_role("button", name="Allow", exact=True).click()


def _photograph(page: Page, path: Path) -> None:
    page.screenshot(path=path, animations="disabled", full_page=True)


if __name__ == "__main__":
    draw(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "pictures")
