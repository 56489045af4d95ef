"""Tests of the issuer's pages in a real browser, with and without JavaScript."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import ClassVar

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from grantway import build_registry, hookimpl
from grantway_plugins.issuer import (
    Additions,
    IssuerExtension,
    IssuerRequest,
    IssuerServer,
    IssuerSettings,
    Page as ExtensionPage,
    Redirect,
    Transaction,
    View,
)
from tests.interop.chromium import chromium
from tests.plugins.issuer.conftest import Caller, Clock, query_of
from tests.waiting import PATIENCE, until

pytestmark = pytest.mark.slow

LONG = "Averylongwordwithoutanyspaces" * 5
NARROW = {"width": 320, "height": 640}
#: A site of the client on another host. Requests to it are intercepted.
ELSEWHERE = "https://client.example/callback"

#: JavaScript that returns the contrast of each text with its background (WCAG 2.1, 1.4.3).
CONTRASTS = """
() => {
  const parse = (color) => color.match(/[\\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => {
    const part = (v) => ((v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  };
  const behind = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const color = parse(getComputedStyle(each).backgroundColor);
      if (color[3] !== 0) return color;
    }
    return [255, 255, 255];
  };
  const found = {};
  for (const each of document.body.querySelectorAll("*")) {
    const texts = [...each.childNodes].filter((node) => node.nodeType === 3);
    if (!texts.some((node) => node.data.trim()) && each.tagName !== "INPUT") continue;
    const pair = [luminance(parse(getComputedStyle(each).color)), luminance(behind(each))];
    const [light, dark] = pair.sort((a, b) => b - a);
    found[each.outerHTML.slice(0, 80)] = (light + 0.05) / (dark + 0.05);
  }
  return found;
}
"""


class Site(http.server.BaseHTTPRequestHandler):
    """A client's site, whose callback may redirect the browser."""

    asked: ClassVar[list[str]]
    onwards: ClassVar[str | None]

    def do_GET(self) -> None:
        self._answer(self.path)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        self._answer(f"POST {self.path}?{body}")

    def _answer(self, what: str) -> None:
        self.asked.append(what)
        onwards = self.onwards if "/callback" in what else None
        self.send_response(200 if onwards is None else 302)
        if onwards is not None:
            self.send_header("location", onwards)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(b"<title>The client</title>You are back.")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - inherited name
        """Suppress the log."""


@dataclass
class Client:
    """The client's running site."""

    port: int
    site: type[Site]

    @property
    def callback(self) -> str:
        return f"http://127.0.0.1:{self.port}/callback"

    def sent(self) -> dict[str, str]:
        """Wait for the authorization response and return it."""
        (answer,) = until(lambda: [each for each in self.site.asked if "/callback" in each])
        return query_of(answer.removeprefix("POST "))


@dataclass
class Tab:
    """A tab of the browser, and the problems in it."""

    page: Page
    problems: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def press(self, name: str, role: str = "button") -> None:
        """Press a button or a link without waiting for the next page."""
        self.page.get_by_role(role, name=name).click(no_wait_after=True)  # type: ignore[arg-type]

    def says(self, text: str) -> None:
        expect(self.page.locator("main")).to_contain_text(text)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture
def client() -> Iterator[Client]:
    site = type("OneSite", (Site,), {"asked": [], "onwards": None})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), site) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield Client(server.server_port, site)
        server.shutdown()
        thread.join()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server(clock: Clock) -> Iterator[IssuerServer]:
    settings = IssuerSettings(
        name="Example Login", scope_descriptions={"read": "Read your files and folders"}
    )
    with IssuerServer(settings, clock=clock) as running:
        yield running


@pytest.fixture
def caller(server: IssuerServer) -> Iterator[Caller]:
    with Caller(server.url) as made:
        yield made


@pytest.fixture
def registered(caller: Caller, client: Client) -> Caller:
    return caller.register_rfc(
        client_name="A tool", scope="read write", redirect_uris=[client.callback]
    )


@pytest.fixture
def open_tab(browser: Browser) -> Iterator[Callable[..., Tab]]:
    """Return a function that opens tabs in separate profiles; blocked resources are failures."""
    opened: list[Tab] = []

    def make(*, javascript: bool = True, colors: str = "light") -> Tab:
        context = browser.new_context(
            java_script_enabled=javascript,
            color_scheme=colors,  # type: ignore[arg-type]
        )
        context.set_default_timeout(PATIENCE * 1000)
        tab = Tab(context.new_page())
        opened.append(tab)
        tab.page.on("console", lambda message: tab.problems.append(message.text))
        tab.page.on("pageerror", lambda error: tab.problems.append(error.message))
        tab.page.on("request", lambda request: tab.requests.append(request.url))
        tab.page.on(
            "requestfailed",
            lambda failed: tab.problems.append(f"{failed.url} {failed.failure}"),
        )
        tab.page.on("dialog", lambda dialog: tab.problems.append(dialog.message))
        return tab

    yield make
    for tab in opened:
        tab.page.context.close()


@pytest.fixture(params=[True, False], ids=["javascript", "no javascript"])
def tab(request: pytest.FixtureRequest, open_tab: Callable[..., Tab]) -> Tab:
    return open_tab(javascript=request.param)


def is_blocked(problem: str) -> bool:
    return "Content Security Policy" in problem or "BLOCKED" in problem.upper()


# --- a client in the browser ---


def test_allow_sends_a_code_that_works(tab: Tab, registered: Caller, client: Client) -> None:
    url = registered.authorize_url(redirect_uri=client.callback)
    tab.page.goto(url)
    tab.says("Read your files and folders")
    tab.says(f"127.0.0.1:{client.port}")
    expect(tab.page.locator("header")).to_contain_text("Example Login")
    expect(tab.page.locator("header")).to_contain_text(registered.url.removeprefix("http://"))
    tab.press("Allow")
    code = client.sent()["code"]
    assert registered.redeem(code, redirect_uri=client.callback).status_code == 200
    assert not tab.problems


def test_deny_sends_an_error(tab: Tab, registered: Caller, client: Client) -> None:
    tab.page.goto(registered.authorize_url(redirect_uri=client.callback))
    tab.press("Deny")
    assert client.sent()["error"] == "access_denied"
    assert not tab.problems


class Gift:
    """A page with a form that leads to the client."""

    def extend(self, settings: IssuerSettings) -> Additions:
        return Additions(pages=[ExtensionPage("/gift", self.show, self.submit)])

    def show(self, request: IssuerRequest, transaction: Transaction) -> View:
        template = (
            '<svg width="9" height="9"><rect width="9" height="9"/></svg>'
            "{% call form(client=client) %}"
            '<button name="decision" value="take">Take</button>{% endcall %}'
        )
        values = {"client": request.params["client"]}
        return View("Take the gift?", template, values, leads_to_client=True)

    def submit(self, request: IssuerRequest, transaction: Transaction) -> Redirect:
        client = transaction.clients.find(request.params["client"])
        assert client is not None
        params = {"gift": request.params["decision"]}
        return Redirect(client.redirect_uris[0], params, client)

    @hookimpl
    def grantway_register_issuer_extensions(self) -> dict[str, IssuerExtension]:
        return {"gift": self}


def test_the_page_of_an_extension_leads_to_the_client(tab: Tab, client: Client) -> None:
    registry = build_registry({"gift": Gift()}, strict=True)
    with IssuerServer(registry=registry) as server, Caller(server.url) as caller:
        caller.register_rfc(redirect_uris=[client.callback])
        client.site.onwards = f"http://localhost:{client.port}/welcome"
        tab.page.goto(f"{server.url}/gift?client={caller.id}")
        tab.says("Take the gift?")
        tab.press("Take")
        assert client.sent() == {"gift": "take"}
        tab.page.wait_for_url("**/welcome")
    assert not tab.problems


@pytest.mark.parametrize("button", ["Allow", "Deny"])
def test_the_callback_may_redirect_to_another_origin(
    tab: Tab, registered: Caller, client: Client, button: str
) -> None:
    """Chrome applies the page's form-action to every redirect after the form is submitted."""
    client.site.onwards = f"http://localhost:{client.port}/welcome"
    tab.page.goto(registered.authorize_url(redirect_uri=client.callback))
    tab.press(button)
    tab.page.wait_for_url("**/welcome")
    assert client.site.asked[-1] == "/welcome"
    assert not tab.problems


@pytest.mark.parametrize("direct", [True, False], ids=["directly", "after the callback"])
def test_an_app_scheme_reaches_the_system(
    tab: Tab, caller: Caller, client: Client, direct: bool
) -> None:
    """No app handles the address, but the browser must not block it."""
    app = "com.example.app:/done"
    callback = app if direct else client.callback
    client.site.onwards = app
    caller.register_rfc(redirect_uris=[callback])
    tab.page.goto(caller.authorize_url(redirect_uri=callback))
    with tab.page.expect_event("requestfailed") as failed:
        tab.press("Allow")
    assert failed.value.url.startswith(app)
    assert not any(is_blocked(each) for each in tab.problems)


def test_form_post_sends_the_response_in_a_form(
    tab: Tab, registered: Caller, client: Client, request: pytest.FixtureRequest
) -> None:
    client.site.onwards = f"http://localhost:{client.port}/welcome"
    tab.page.goto(registered.authorize_url(redirect_uri=client.callback, response_mode="form_post"))
    tab.press("Allow")
    if "no javascript" in request.node.name:
        tab.press(f"Continue to 127.0.0.1:{client.port}")
    sent = client.sent()
    assert (sent["state"], sent["iss"]) == ("xyz", registered.url)
    assert registered.redeem(sent["code"], redirect_uri=client.callback).status_code == 200
    tab.page.wait_for_url("**/welcome")
    assert not any("code=" in each for each in tab.requests)
    assert not tab.problems


@pytest.mark.parametrize("mode", ["query", "form_post"])
def test_an_error_before_consent_does_not_redirect_automatically(
    tab: Tab, caller: Caller, mode: str
) -> None:
    """Otherwise anyone could register a client and use the issuer as an open redirector."""
    arrived: list[str] = []

    def answer(route: Route) -> None:
        arrived.append(f"{route.request.method} {route.request.url}")
        route.fulfill(body="You are back.", content_type="text/html")

    caller.register_rfc(redirect_uris=[ELSEWHERE], client_name="A trap")
    tab.page.route("https://client.example/**", answer)
    tab.page.goto(
        caller.authorize_url(redirect_uri=ELSEWHERE, scope='not "valid"', response_mode=mode)
    )
    tab.says("A trap")
    tab.says("scope exceeds the scopes")
    assert not arrived
    tab.press("Continue to client.example", "link" if mode == "query" else "button")
    expect(tab.page.get_by_text("You are back.")).to_be_visible()
    (asked,) = arrived
    if mode == "query":
        assert asked.startswith(f"GET {ELSEWHERE}?error=invalid_scope&")
    else:
        assert asked == f"POST {ELSEWHERE}"


# --- a device ---


def enter(tab: Tab, code: str) -> None:
    """Send a code and wait for the next page, which may look like this one."""
    with tab.page.expect_event("load"):
        tab.page.get_by_label("Code").fill(code)
        tab.press("Continue")


@pytest.mark.parametrize(
    ("button", "heading", "outcome"),
    [("Allow", "Device connected", None), ("Deny", "Access denied", "access_denied")],
)
def test_a_device_is_allowed_or_denied(
    tab: Tab, registered: Caller, button: str, heading: str, outcome: str | None
) -> None:
    started = registered.start()
    tab.page.goto(f"{registered.url}/device")
    enter(tab, started["user_code"].lower())
    tab.says(started["user_code"])
    tab.says("Read your files and folders")
    tab.says("Did someone send you this code")
    tab.press(button)
    expect(tab.page.get_by_role("heading", name=heading)).to_be_visible()
    assert registered.poll(started["device_code"]).json().get("error") == outcome
    tab.press("Connect another device", "link")
    expect(tab.page.get_by_label("Code")).to_be_visible()
    assert not tab.problems


def test_pages_work_with_the_keyboard_only(tab: Tab, registered: Caller) -> None:
    started = registered.start()
    tab.page.goto(f"{registered.url}/device")
    expect(tab.page.get_by_label("Code")).to_be_focused()
    tab.page.keyboard.type(started["user_code"])
    tab.page.keyboard.press("Enter")
    allow = tab.page.get_by_role("button", name="Allow")
    expect(allow).to_be_visible()
    for _ in range(2):  # the issuer's name, then Allow
        tab.page.keyboard.press("Tab")
    expect(allow).to_be_focused()
    tab.page.keyboard.press("Enter")
    tab.says("The device continues")


def test_a_wrong_code_stays_in_the_field(tab: Tab, registered: Caller) -> None:
    tab.page.goto(f"{registered.url}/device")
    enter(tab, "BBBB-BBBC")
    expect(tab.page.get_by_role("alert")).to_contain_text("No device is waiting with this code")
    typed = tab.page.get_by_label("Code")
    expect(typed).to_have_value("BBBB-BBBC")
    expect(typed).to_have_attribute("aria-invalid", "true")


def test_an_expired_code_explains_how_to_get_another(
    tab: Tab, registered: Caller, clock: Clock
) -> None:
    started = registered.start()
    clock.tick(600)
    tab.page.goto(started["verification_uri_complete"])
    expect(tab.page.get_by_role("alert")).to_contain_text("Start again on the device")
    expect(tab.page.get_by_label("Code")).to_have_value(started["user_code"])


def test_a_code_that_expires_before_the_choice_leads_to_a_new_one(
    tab: Tab, registered: Caller, clock: Clock
) -> None:
    started = registered.start()
    tab.page.goto(started["verification_uri_complete"])
    clock.tick(600)
    tab.press("Allow")
    tab.says("This code has expired")
    tab.press("Connect another device", "link")
    expect(tab.page.get_by_label("Code")).to_be_visible()


def test_a_used_code_shows_that_it_was_decided(tab: Tab, registered: Caller) -> None:
    started = registered.start()
    for _ in range(2):
        tab.page.goto(started["verification_uri_complete"])
        if tab.page.get_by_role("button", name="Deny").count():
            tab.press("Deny")
            tab.says("The device gets no access")
    tab.says("Already decided")
    tab.press("Enter another code", "link")
    expect(tab.page.get_by_label("Code")).to_be_visible()


def test_too_many_wrong_codes_ask_to_wait_and_keep_the_code(
    tab: Tab, registered: Caller, clock: Clock
) -> None:
    started = registered.start()
    tab.page.goto(f"{registered.url}/device")
    for _ in range(4):
        enter(tab, "BBBB-BBBC")
        expect(tab.page.get_by_role("alert")).to_contain_text("No device is waiting")
    enter(tab, "BBBB-BBBC")
    expect(tab.page.get_by_role("alert")).to_contain_text("Wait 12 seconds")
    enter(tab, started["user_code"])
    expect(tab.page.get_by_label("Code")).to_have_value(started["user_code"])
    clock.tick(12)
    tab.press("Continue")
    tab.press("Allow")
    tab.says("The device continues")


# --- every page ---


def pages_of(caller: Caller, client: Client, clock: Clock) -> dict[str, str]:
    """Return the address of every kind of page, for a client with long names."""
    caller.register_rfc(
        client_name=LONG,
        scope=f"read {LONG}",
        redirect_uris=[client.callback, f"https://{LONG}.example/cb"],
    )
    there = f"https://{LONG}.example/cb"
    response = caller.start()
    expired = caller.start()
    clock.tick(600)
    return {
        "start": f"{caller.url}/",
        "authorize": caller.authorize_url(redirect_uri=there),
        "mistake": caller.authorize_url(redirect_uri=there, scope=LONG),
        "rejected": caller.authorize_url(redirect_uri="https://unknown.example"),
        "entry": f"{caller.url}/device",
        "confirm": caller.start()["verification_uri_complete"],
        "wrong": f"{caller.url}/device?user_code={'B' * 40}",
        "expired": expired["verification_uri_complete"],
        "throttled": response["verification_uri_complete"],
    }


@pytest.mark.parametrize("colors", ["light", "dark"])
def test_every_page_is_readable_and_offers_a_next_step(
    open_tab: Callable[..., Tab], caller: Caller, client: Client, clock: Clock, colors: str
) -> None:
    tab = open_tab(colors=colors)
    tab.page.set_viewport_size(NARROW)  # type: ignore[arg-type]
    for name, url in pages_of(caller, client, clock).items():
        if name == "throttled":
            for _ in range(5):
                tab.page.goto(f"{caller.url}/device?user_code=BBBBBBBC")
        tab.page.goto(url)
        if name == "throttled":
            tab.says("Wait")
        width = tab.page.evaluate("() => document.documentElement.scrollWidth")
        assert width <= NARROW["width"], (name, width)
        contrasts = tab.page.evaluate(CONTRASTS)
        poor = {what: ratio for what, ratio in contrasts.items() if ratio < 4.5}
        assert len(contrasts) > 2
        assert not poor, name
        assert tab.page.title().endswith(" - Example Login")
        assert tab.page.locator("h1").count() == 1
        assert tab.page.locator("main").locator("a, button").count() >= 1, name
    # The browser logs pages with an error status; any other problem is a failure.
    assert all("Failed to load resource" in each for each in tab.problems), tab.problems


def test_the_start_page_leads_to_the_device_page_and_the_metadata(
    tab: Tab, registered: Caller
) -> None:
    tab.page.goto(registered.url)
    expect(tab.page.get_by_role("heading", name="Example Login")).to_be_visible()
    metadata = tab.page.get_by_role("link", name="Metadata").get_attribute("href")
    assert registered.http.get(f"{registered.url}{metadata}").json()["issuer"] == registered.url
    tab.press("Connect a device", "link")
    expect(tab.page.get_by_label("Code")).to_be_visible()
    assert not tab.problems


def test_allow_is_visually_distinct_from_deny(tab: Tab, registered: Caller, client: Client) -> None:
    tab.page.goto(registered.authorize_url(redirect_uri=client.callback))
    colors = [
        tab.page.get_by_role("button", name=name).evaluate(
            "(button) => getComputedStyle(button).backgroundColor"
        )
        for name in ("Allow", "Deny")
    ]
    assert colors[0] != colors[1]
    assert colors[1] == "rgba(0, 0, 0, 0)"


@pytest.mark.parametrize("path", ["/authorize", "/device"])
def test_a_form_of_an_earlier_process_offers_the_page_again(
    tab: Tab, registered: Caller, client: Client, path: str
) -> None:
    """Deleting the cookie has the same effect as a restart."""
    url = registered.authorize_url(redirect_uri=client.callback)
    if path == "/device":
        url = registered.start()["verification_uri_complete"]
    tab.page.goto(url)
    tab.page.context.clear_cookies()
    tab.press("Allow")
    tab.says("This form is out of date")
    tab.press("Open the page again", "link")
    tab.press("Allow")
    if path == "/device":
        tab.says("The device continues")
    else:
        assert client.sent()["code"]
