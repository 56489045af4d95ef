"""Pages that plugins add to the issuer."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

import grantway
from grantway._types.grant import IssuerGrant
from grantway._types.issuer_plugins import IssuerExtension
from grantway_plugins.issuer import (
    Additions,
    BrowserDriver,
    Denial,
    Endpoint,
    GrantRequest,
    Issue,
    IssuerRequest,
    IssuerServer,
    IssuerSettings,
    Page,
    Redirect,
    Reply,
    Transaction,
    View,
)
from tests.faults import free_port
from tests.plugins.issuer.conftest import CALLBACK, Caller, query_of

SECRET = "hunter2-of-the-plugin"
GIFT = "urn:example:gift"
QUESTION = """
<p>{{ subject }} takes the gift {{ gift }}.</p>
{% call form(gift=gift, client=client) %}
<input name="note">
<div class="choices"><button type="submit" name="decision" value="take" class="allow">Take</button>
<button type="submit" name="decision" value="leave" class="deny">Leave</button></div>
{% endcall %}
"""


def start(request: IssuerRequest, transaction: Transaction) -> Reply:
    """Store a gift that waits for the user."""
    assert request.client is not None
    gift = "gift-1"
    pending = {"client_id": request.client.client_id, "taken": False}
    transaction.records("gifts").put(gift, pending, until=request.now + 60)
    return Reply({"gift": gift, "uri": f"{request.settings.url}/gift?gift={gift}"})


def show(request: IssuerRequest, transaction: Transaction) -> View | Redirect:
    assert SECRET not in repr(request)
    gift = request.params.get("gift", "")
    found = transaction.records("gifts").get(gift)
    values = {
        "gift": gift,
        "subject": request.subject,
        "client": "" if found is None else found["client_id"],
    }
    return View("Take <this> gift?", QUESTION, values, leads_to_client=True)


def submit(request: IssuerRequest, transaction: Transaction) -> View | Redirect:
    gifts = transaction.records("gifts")
    found = gifts.get(request.params["gift"])
    client = None if found is None else transaction.clients.find(found["client_id"])
    if found is None or client is None:
        return View("No such gift", "<p>It has expired.</p>", status=404)
    taken = {**found, "taken": request.params.get("decision") == "take"}
    gifts.put(request.params["gift"], taken, until=request.now + 60)
    params = {"gift": request.params["gift"], "state": "x&y"}
    return Redirect(client.redirect_uris[0], params, client)


def odd(request: IssuerRequest, transaction: Transaction) -> View | Redirect:
    """Return what the query names."""
    outcomes: dict[str, Callable[[], Any]] = {
        "start": lambda: Redirect("/gift", {"gift": "g"}),
        "home": lambda: Redirect("/"),
        "status": lambda: View("x", "", status=700),
        "no page": lambda: View("x", "", status=204),
        "elsewhere": lambda: Redirect("https://evil.example/"),
        "slashes": lambda: Redirect("//evil.example/"),
        "backslash": lambda: Redirect("/\\evil.example/"),
        "header": lambda: Redirect("/gift\r\nx: y"),
        "raise": lambda: (_ for _ in ()).throw(RuntimeError(SECRET)),
        "wrong": lambda: SECRET,
        "template": lambda: View("x", "{% if %}"),
        "undefined": lambda: View("x", "{{ missing }}"),
        "session": lambda: View("x", "<p>{{ it }}</p>", {"it": request.session}),
    }
    found: View | Redirect = outcomes[request.params["kind"]]()
    return found


def store_and_fail(request: IssuerRequest, transaction: Transaction) -> View | Redirect:
    first = transaction.spend(b"p" * 32, request.now + 60)
    template = "first" if first else "again"
    return View("x", "{{ missing }}" if "fail" in request.params else template)


def unregistered(request: IssuerRequest, transaction: Transaction) -> View | Redirect:
    client = transaction.clients.find(request.params["client_id"])
    return Redirect(request.params["to"], client=client)


class Gifts:
    """A grant whose user confirms on a page."""

    def extend(self, settings: IssuerSettings) -> Additions:
        return Additions(
            endpoints=[Endpoint("/gift/start", start, authenticate="client")],
            pages=[
                Page("/gift", show, submit),
                Page("/odd", odd),
                Page("/store", store_and_fail),
                Page("/unregistered", unregistered),
            ],
        )

    def decide(self, request: GrantRequest, transaction: Transaction) -> Issue | Denial:
        gift = request.params["gift"]
        found = transaction.records("gifts").get(gift)
        if found is None or found["client_id"] != request.client.client_id:
            return Denial("invalid_grant", "The gift is unknown")
        if not found["taken"]:
            return Denial("authorization_pending", "The user has not decided yet")
        decision = request.issue(subject=request.settings.subject)
        if not isinstance(decision, Denial):
            transaction.records("gifts").delete(gift)
        return decision


class Plugin:
    """Registers the grant, its issuer grant and its page."""

    @grantway.hookimpl
    def grantway_register_grants(self) -> list[grantway.Grant]:
        schema = grantway.GrantSchema.from_dict(
            {"scope": grantway.Scope(), "gift": grantway.Text(example='"gift-1"')}
        )()
        return [grantway.Grant(grant_type=GIFT, schema=schema)]

    @grantway.hookimpl
    def grantway_register_issuer_grants(self) -> dict[str, IssuerGrant]:
        return {GIFT: Gifts()}

    @grantway.hookimpl
    def grantway_register_issuer_extensions(self) -> dict[str, IssuerExtension]:
        return {"gifts": Gifts()}


@pytest.fixture(scope="module", params=["", "/login/auth"], ids=["no path", "with a path"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    port = free_port()
    settings = IssuerSettings(
        issuer=f"http://127.0.0.1:{port}{request.param}", registration="unrestricted"
    )
    registry = grantway.build_registry({"gifts": Plugin()}, strict=True)
    with IssuerServer(settings, port=port, registry=registry) as server:
        yield server.url


@pytest.fixture
def client(url: str) -> Iterator[Caller]:
    with Caller(url) as caller:
        yield caller.register_rfc(grant_types=[GIFT, "refresh_token"])


@pytest.fixture
def browser() -> Iterator[requests.Session]:
    with requests.Session() as session:
        yield session


def fields_of(page: requests.Response) -> dict[str, str]:
    return dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', page.text))


def test_a_user_confirms_on_the_page_and_the_grant_continues(client: Caller, url: str) -> None:
    started = client.as_rfc("/gift/start").json()

    def redeem() -> requests.Response:
        return client.as_rfc("/token", grant_type=GIFT, gift=started["gift"])

    assert redeem().json()["error"] == "authorization_pending"
    with BrowserDriver() as driver:
        location = driver._decide_authorization(started["uri"], "leave")
        assert redeem().json()["error"] == "authorization_pending"
        location = driver._decide_authorization(started["uri"], "take")
    assert location.startswith(f"{CALLBACK}?")
    assert query_of(location) == {"gift": started["gift"], "state": "x&y"}
    wide = client.as_rfc("/token", grant_type=GIFT, gift=started["gift"], scope="admin")
    assert wide.json()["error"] == "invalid_scope"
    assert redeem().json()["refresh_token"]
    assert redeem().json()["error"] == "invalid_grant"


def test_a_page_has_the_issuers_layout_and_security_headers(
    url: str, browser: requests.Session
) -> None:
    page = browser.get(f"{url}/gift", params={"gift": '"><script>alert(1)</script>'})
    assert page.status_code == 200
    assert "<script" not in page.text
    assert "<h1>Take &lt;this&gt; gift?</h1>" in page.text
    assert "local-user takes" in page.text
    assert f'href="{urlsplit(url).path}/static/issuer.css"' in page.text
    assert f'action="{urlsplit(url).path}/gift"' in page.text
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert page.headers["x-frame-options"] == "DENY"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["cache-control"] == "no-store"
    cookie = page.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie


def test_only_a_form_that_this_browser_was_shown_is_accepted(
    url: str, client: Caller, browser: requests.Session
) -> None:
    uri = client.as_rfc("/gift/start").json()["uri"]
    form = {**fields_of(browser.get(uri)), "decision": "take"}
    with requests.Session() as another:
        fields = fields_of(another.get(uri))
        for data, headers in [
            ({**form, "csrf": ""}, {}),
            ({**form, "csrf": fields["csrf"]}, {}),
            (form, {"sec-fetch-site": "cross-site"}),
        ]:
            rejected = browser.post(f"{url}/gift", data=data, headers=headers)
            assert rejected.status_code == 403
            assert "This form is out of date" in rejected.text
            assert "gift-1" not in rejected.text
        device = fields_of(another.get(f"{url}/device"))["csrf"]
        assert another.post(f"{url}/gift", data={**form, "csrf": device}).status_code == 403
    assert browser.post(f"{url}/gift", data=form, allow_redirects=False).status_code == 303


def test_another_host_name_is_rejected(url: str, browser: requests.Session) -> None:
    page = browser.get(f"{url}/gift", headers={"host": "evil.example"})
    assert page.status_code == 421


def test_a_page_without_a_form_accepts_only_get(url: str, browser: requests.Session) -> None:
    assert browser.post(f"{url}/odd").status_code == 405
    assert browser.head(f"{url}/gift").status_code == 200


def test_a_view_can_have_another_status(url: str, browser: requests.Session) -> None:
    form = {**fields_of(browser.get(f"{url}/gift?gift=unknown")), "decision": "take"}
    assert browser.post(f"{url}/gift", data=form).status_code == 404


def test_redirects_within_the_issuer(url: str, browser: requests.Session) -> None:
    response = browser.get(f"{url}/odd?kind=start", allow_redirects=False)
    assert response.status_code == 303
    assert response.headers["location"] == f"{urlsplit(url).path}/gift?gift=g"
    assert browser.get(f"{url}/odd?kind=start").status_code == 200
    assert "Connect a device" in browser.get(f"{url}/odd?kind=home").text


def test_redirects_only_to_addresses_of_the_client(
    url: str, client: Caller, browser: requests.Session
) -> None:
    def redirected(to: str, client_id: str) -> requests.Response:
        params = {"to": to, "client_id": client_id}
        return browser.get(f"{url}/unregistered", params=params, allow_redirects=False)

    assert redirected(CALLBACK, client.id).headers["location"] == CALLBACK
    assert redirected("https://evil.example/", client.id).status_code == 500
    assert redirected(CALLBACK, "unknown").status_code == 500


@pytest.mark.parametrize(
    "kind",
    [
        "elsewhere",
        "slashes",
        "backslash",
        "header",
        "raise",
        "wrong",
        "template",
        "undefined",
        "status",
        "no page",
        "",
    ],
)
def test_a_failing_page_shows_an_error_and_nothing_else(
    url: str, browser: requests.Session, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    page = browser.get(f"{url}/odd", params={"kind": kind}, headers={"Cookie": f"x={SECRET}"})
    assert page.status_code == 500
    assert "This page failed" in page.text
    assert SECRET not in page.text + caplog.text
    assert "the page /odd of the issuer extension gifts (gifts of" in caplog.text
    assert browser.get(f"{url}/gift").status_code == 200


@pytest.mark.parametrize("path", ["/gift/", "/device/"])
def test_a_final_slash_does_not_redirect_to_the_host_of_the_request(
    url: str, browser: requests.Session, path: str
) -> None:
    headers = {"Host": "evil.example", "Accept": "text/html"}
    response = browser.get(url + path, headers=headers, allow_redirects=False)
    assert response.status_code == 404
    assert "evil" not in response.text


def test_a_page_that_cannot_be_rendered_changes_nothing(
    url: str, browser: requests.Session
) -> None:
    assert browser.get(f"{url}/store?fail=1").status_code == 500
    assert "first" in browser.get(f"{url}/store").text
    assert "again" in browser.get(f"{url}/store").text


def test_rejects_a_duplicate_parameter(url: str, browser: requests.Session) -> None:
    assert browser.get(f"{url}/gift?gift=a&gift=b").status_code == 400


def test_a_page_knows_the_browser_but_not_its_cookie(url: str, browser: requests.Session) -> None:
    browser.get(f"{url}/gift")
    first = browser.get(f"{url}/odd?kind=session").text
    assert browser.get(f"{url}/odd?kind=session").text == first
    with requests.Session() as another:
        another.get(f"{url}/gift")
        assert another.get(f"{url}/odd?kind=session").text != first
    assert [name for name in browser.cookies.keys() if name.startswith("grantway_session")]  # noqa: SIM118
    assert not any(value in first for value in browser.cookies.values())
