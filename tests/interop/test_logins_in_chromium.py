"""Logins at another issuer in a real browser, which applies policies to cookies and forms."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Page, expect

from grantway_plugins.issuer import IssuerServer, IssuerSettings, OpenIDLogin, PluginLogin
from tests.faults import free_port
from tests.interop.chromium import chromium
from tests.plugins.issuer.conftest import Caller, query_of
from tests.plugins.issuer.login.conftest import PASSWORD, registry
from tests.waiting import PATIENCE

pytestmark = pytest.mark.slow

OPENID = "openid profile email"


@dataclass(frozen=True)
class Site:
    """An issuer whose users log in at an issuer on another host, and a client of it."""

    server: IssuerServer
    client: Caller
    address: str

    @property
    def callback(self) -> str:
        return f"{self.address}/callback"

    @property
    def after(self) -> str:
        return f"{self.address}/bye"


class Pages(http.server.BaseHTTPRequestHandler):
    """The client's site."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(b"<title>The client</title>You are back.")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - inherited name
        """Suppress the log."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Address of the client's site."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def site(address: str) -> Iterator[Site]:
    port = free_port()
    upstream = IssuerServer(
        IssuerSettings(
            issuer=f"http://localhost:{port}",  # another site than 127.0.0.1, for the browser
            name="Upstream",
            registration="unrestricted",
            login=PluginLogin("password"),
        ),
        port=port,
        registry=registry(),
    )
    with upstream, Caller(upstream.url) as registration:
        registration.register_rfc(scope=OPENID, redirect_uris=["http://127.0.0.1/login/callback"])
        login = OpenIDLogin(upstream.url, registration.id, registration.secret)
        settings = IssuerSettings(registration="unrestricted", login=login)
        with IssuerServer(settings) as server, Caller(server.url) as client:
            registered = client.register_rfc(
                scope=OPENID,
                redirect_uris=[f"{address}/callback"],
                post_logout_redirect_uris=[f"{address}/bye"],
                grant_types=[
                    "authorization_code",
                    "urn:ietf:params:oauth:grant-type:device_code",
                ],
            )
            yield Site(server, registered, address)


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with chromium() as browser:
        context = browser.new_context()
        context.set_default_timeout(PATIENCE * 1000)
        opened = context.new_page()
        problems: list[str] = []
        opened.on("console", lambda message: problems.append(message.text))
        yield opened
        assert [each for each in problems if "favicon" not in each] == []


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name).click()


def says(page: Page, text: str) -> None:
    expect(page.locator("main")).to_contain_text(text)


def log_in(page: Page, user: str) -> None:
    """Log in at the upstream issuer, and allow the other one to know the user."""
    page.locator("input[name=user]").fill(user)
    page.locator("input[name=password]").fill(PASSWORD)
    page.locator("input[name=password]").press("Enter")
    press(page, "Allow")


def test_a_user_logs_in_allows_changes_the_account_and_logs_out(site: Site, page: Page) -> None:
    page.goto(site.client.authorize_url(redirect_uri=site.callback))
    log_in(page, "ada")
    says(page, "Ada / ada@example.com")
    press(page, "Use another account")
    log_in(page, "bob")
    says(page, "Bob / bob@example.com")
    press(page, "Allow")
    page.wait_for_url(f"{site.callback}?**")
    code = query_of(page.url)["code"]
    tokens = site.client.redeem(code, redirect_uri=site.callback).json()

    started = site.client.start(scope="openid")
    page.goto(started["verification_uri_complete"])
    says(page, "Bob / bob@example.com")
    press(page, "Use another account")
    log_in(page, "ada")
    says(page, "Ada / ada@example.com")
    press(page, "Allow")
    says(page, "Device connected")

    page.goto(
        f"{site.server.url}/session/end?client_id={site.client.id}&post_logout_redirect_uri={site.after}"
    )
    press(page, "Log out")
    page.wait_for_url(site.after)
    page.goto(site.client.authorize_url(redirect_uri=site.callback, prompt="none"))
    assert query_of(page.url)["error"] == "login_required"
    assert tokens["id_token"]
