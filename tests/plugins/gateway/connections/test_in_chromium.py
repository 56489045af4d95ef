"""Two users in real browsers, which apply the rules for cookies, forms and frames."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.interop.chromium import chromium
from tests.plugins.gateway.connections.site import Site, running_site
from tests.plugins.issuer.login.conftest import PASSWORD
from tests.waiting import PATIENCE

pytestmark = pytest.mark.slow

EVIL = "http://evil.example/"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    # The issuers are at 127.0.0.1, which is another site for browsers.
    with running_site(tmp_path_factory.mktemp("site"), host="localhost") as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


def visit(browser: Browser, site: Site, user: str) -> Page:
    """Return the page of a user who is logged in, in a new browser context."""
    context = browser.new_context()
    context.set_default_timeout(PATIENCE * 1000)
    page = context.new_page()
    page.goto(site.page())
    sign_in(page, user)
    says(page, f"You are logged in as {user.title()}")
    return page


@pytest.fixture
def alice(browser: Browser, site: Site) -> Iterator[Page]:
    page = visit(browser, site, "alice")
    yield page
    page.context.close()


@pytest.fixture
def mallory(browser: Browser, site: Site) -> Iterator[Page]:
    page = visit(browser, site, "mallory")
    yield page
    page.context.close()


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def says(page: Page, text: str) -> None:
    expect(page.locator("main")).to_contain_text(text)


def sign_in(page: Page, user: str) -> None:
    """Log in at an issuer, and allow the gateway to know the user."""
    page.locator("input[name=user]").fill(user)
    page.locator("input[name=password]").fill(PASSWORD)
    page.locator("input[name=password]").press("Enter")
    press(page, "Allow")


def stop_at_callback(context: BrowserContext) -> list[str]:
    """Keep a browser from returning to the gateway, and return the list of the addresses."""
    stopped: list[str] = []

    def stop(route: Any) -> None:
        response = route.fetch(max_redirects=0)
        stopped.append(response.headers["location"])
        route.fulfill(body="<main>stopped</main>", content_type="text/html")

    context.route("**/authorize", stop)  # the form; the page has parameters
    return stopped


def test_links_of_mallory_connect_nothing(site: Site, alice: Page, mallory: Page) -> None:
    # The page, and the address at the provider.
    press(mallory, "Connect")
    mallory.locator("input[name=user]").wait_for()
    alice.goto(mallory.url)
    sign_in(alice, "alice.at.shop")
    says(alice, "Nothing was connected")
    # The address to which the provider returns.
    stopped = stop_at_callback(mallory.context)
    sign_in(mallory, "mallory.at.shop")
    says(mallory, "stopped")
    alice.goto(stopped[0])
    says(alice, "Nothing was connected")
    alice.goto(site.page())
    says(alice, "Not connected")
    # Mallory can still end the login, for Mallory alone.
    mallory.goto(stopped[0])
    says(mallory, "Your account at Shop is connected as mallory.at.shop.")
    alice.reload()
    says(alice, "Not connected")
    press(mallory, "Disconnect")
    says(mallory, "is disconnected, and the access is revoked there")


def test_a_user_connects_and_other_pages_cannot_change_it(site: Site, alice: Page) -> None:
    problems: list[str] = []
    alice.on("console", lambda message: problems.append(message.text))
    press(alice, "Connect")
    sign_in(alice, "alice.at.shop")
    says(alice, "Your account at Shop is connected as alice.at.shop.")
    assert "code=" not in alice.url
    assert [each for each in problems if "favicon" not in each] == []

    csrf = alice.locator("form[action$='/disconnect'] input[name=csrf]").get_attribute("value")
    form = (
        f'<main>evil</main><iframe src="{site.page()}"></iframe>'
        f'<form method="post" action="{site.page()}/disconnect">'
        f'<input name="csrf" value="{csrf}"><button>Win</button></form>'
    )
    alice.context.route(EVIL, lambda route: route.fulfill(body=form, content_type="text/html"))
    alice.goto(EVIL)
    assert "evil" in alice.content()
    assert alice.frames[1].url.startswith("chrome-error:")
    press(alice, "Win")
    says(alice, "You are not logged in")
    alice.goto(site.page())
    says(alice, "Connected as alice.at.shop")
    press(alice, "Disconnect")
    says(alice, "is disconnected")
    press(alice, "Log out")
    says(alice, "You are logged out")
    alice.goto(site.page())
    alice.wait_for_url(lambda url: not url.startswith(site.url))
