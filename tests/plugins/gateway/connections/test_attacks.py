"""Mallory sends Alice links, and addresses of other logins, at every step of a login.

Neither may get a token for the account of the other.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import requests

from tests.plugins.gateway.connections.fake_provider import FakeProvider, fake_provider
from tests.plugins.gateway.connections.site import Site, connect, log_in, running_site, submit
from tests.plugins.issuer.login.visitor import Shown, Visitor

pytestmark = pytest.mark.slow

ALICE, MALLORY = "alice", "mallory"


@pytest.fixture(scope="module")
def provider() -> Iterator[tuple[FakeProvider, str]]:
    with fake_provider() as made:
        yield made


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, provider: tuple[FakeProvider, str]
) -> Iterator[Site]:
    with running_site(tmp_path_factory.mktemp("site"), more=provider[1]) as running:
        yield running


@pytest.fixture
def alice(site: Site) -> Iterator[Visitor]:
    with site.logged_in(ALICE) as visitor:
        yield visitor


@pytest.fixture
def mallory(site: Site) -> Iterator[Visitor]:
    with site.logged_in(MALLORY) as visitor:
        yield visitor


@pytest.fixture(autouse=True)
def nothing_is_connected(site: Site) -> Iterator[None]:
    """Check that a test left both users as they were."""
    yield
    found = states(site)
    for user in (ALICE, MALLORY):  # not to fail the next test as well
        site.call("DELETE", "/connect/shop", site.token(user))
    assert found == {ALICE: "none", MALLORY: "none"}


def states(site: Site) -> dict[str, str]:
    """Return the state of each user's connection at the shop."""
    found = {}
    for user in (ALICE, MALLORY):
        listed = site.call("GET", "/connect", site.token(user)).json()["connections"]
        found[user] = next(each["state"] for each in listed if each["provider"] == "shop")
    return found


def begun(visitor: Visitor, site: Site) -> str:
    """Begin a login at the shop, and return the address at the shop."""
    page = submit(visitor, visitor.open(site.page()), "/connect/shop", until="/authorize?")
    assert page.url.startswith(site.shop.url)
    return page.url


def sent_back(visitor: Visitor, site: Site, account: str) -> str:
    """Log in at the shop, and return the address of the gateway without opening it."""
    page = connect(visitor, site, account, until="/callback?")
    assert page.url.startswith(f"{site.page()}/callback?")
    return page.url


def refused(page: Shown) -> None:
    assert page.status in {400, 401}, page
    assert "Nothing was c" in page.text


def test_alice_opens_mallorys_page(site: Site, alice: Visitor) -> None:
    page = alice.open(site.page())
    assert "Alice" in page.text
    assert "Not connected" in page.text


def test_alice_allows_access_at_mallorys_address_of_the_provider(
    site: Site, alice: Visitor, mallory: Visitor
) -> None:
    url = begun(mallory, site)
    refused(log_in(alice, alice.open(url), "alice.at.shop"))
    assert states(site) == {ALICE: "none", MALLORY: "none"}


def test_alice_does_so_while_she_connects_an_account_herself(
    site: Site, alice: Visitor, mallory: Visitor
) -> None:
    own = sent_back(alice, site, "alice.at.shop")
    url = begun(mallory, site)
    refused(log_in(alice, alice.open(url), "alice.at.shop"))
    assert "is connected as alice.at.shop." in alice.open(own).text
    assert states(site) == {ALICE: "connected", MALLORY: "none"}
    submit(alice, alice.open(site.page()), "/disconnect")


def test_alice_opens_the_end_of_mallorys_login(
    site: Site, alice: Visitor, mallory: Visitor
) -> None:
    url = sent_back(mallory, site, "mallory.at.shop")
    refused(alice.open(url))
    with Visitor() as stranger:
        refused(stranger.open(url))
    assert states(site)[ALICE] == "none"
    # The code was not used, so Mallory can still finish the login.
    assert "is connected as mallory.at.shop." in mallory.open(url).text
    assert states(site) == {ALICE: "none", MALLORY: "connected"}
    submit(mallory, mallory.open(site.page()), "/disconnect")


def test_mallory_opens_the_end_of_alices_login(
    site: Site, alice: Visitor, mallory: Visitor
) -> None:
    url = sent_back(alice, site, "alice.at.shop")
    refused(mallory.open(url))
    begun(mallory, site)
    refused(mallory.open(url))


def test_mallory_combines_alices_code_with_her_own_login(
    site: Site, alice: Visitor, mallory: Visitor
) -> None:
    code = parse_qs(urlsplit(sent_back(alice, site, "alice.at.shop")).query)["code"][0]
    asked = parse_qs(urlsplit(begun(mallory, site)).query)
    query = urlencode({"code": code, "state": asked["state"][0], "iss": site.shop.url})
    page = mallory.open(f"{site.page()}/callback?{query}")
    assert page.status == 400
    assert "does not accept this login any more" in page.text


def test_mallory_combines_her_code_with_alices_login(
    site: Site, alice: Visitor, mallory: Visitor
) -> None:
    code = parse_qs(urlsplit(sent_back(mallory, site, "mallory.at.shop")).query)["code"][0]
    asked = parse_qs(urlsplit(begun(alice, site)).query)
    query = urlencode({"code": code, "state": asked["state"][0], "iss": site.shop.url})
    page = alice.open(f"{site.page()}/callback?{query}")
    assert page.status == 400


def test_alice_is_not_logged_in_as_mallory(site: Site) -> None:
    with Visitor() as mallory, Visitor() as alice:
        started = mallory.open(f"{site.url}/connect", until="/authorize?").url
        page = log_in(mallory, mallory.open(started), MALLORY, until="/-/callback?")
        assert f"{site.url}/connect/-/callback?" in page.url
        for url in (started, page.url):
            shown = log_in(alice, alice.open(url), ALICE)
            assert shown.status == 400
            assert "You are not logged in" in shown.text
        # Also not while Alice logs in herself.
        own = alice.open(f"{site.url}/connect", until="/authorize?").url
        assert alice.open(page.url).status == 400
        assert "Mallory" not in log_in(alice, alice.open(own), ALICE).text


def test_a_login_ends_once(site: Site, alice: Visitor) -> None:
    url = sent_back(alice, site, "alice.at.shop")
    assert "is connected as" in alice.open(url).text
    refused(alice.open(url))
    assert states(site)[ALICE] == "connected"
    submit(alice, alice.open(site.page()), "/disconnect")


def test_a_login_ends_once_if_its_address_is_opened_many_times_at_once(
    site: Site, alice: Visitor
) -> None:
    url = sent_back(alice, site, "alice.at.shop")
    cookies = alice.http.cookies
    statuses = []

    def open_it() -> None:
        response = requests.get(url, cookies=cookies, allow_redirects=False, timeout=30)
        statuses.append(response.status_code)

    threads = [threading.Thread(target=open_it) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sorted(statuses) == [303] + [400] * 7
    submit(alice, alice.open(site.page()), "/disconnect")


def test_redirects_of_two_providers_are_not_mixed_up(site: Site, alice: Visitor) -> None:
    begun(alice, site)
    url = sent_back(alice, site, "alice.at.shop")
    refused(alice.open(url.replace("/connect/shop/", "/connect/other/")))
    # A redirect that names another issuer (RFC 9207).
    page = alice.open(re.sub(r"iss=[^&]*", "iss=https%3A%2F%2Fevil.example", url))
    assert page.status == 400
    assert "does not belong to your login at Shop" in page.text


def test_another_provider_cannot_name_this_one(
    site: Site, alice: Visitor, provider: tuple[FakeProvider, str]
) -> None:
    provider[0].redirect = {"iss": site.shop.url}
    page = submit(alice, alice.open(site.page("other")), "/connect/other")
    provider[0].redirect = {}
    assert page.status == 400
    assert "does not belong to your login at Other" in page.text
    assert not provider[0].forms


def test_forms_need_a_token_of_the_same_page_and_session(
    site: Site, alice: Visitor, mallory: Visitor
) -> None:
    forms = {}
    for visitor in (alice, mallory):
        connect(visitor, site, "both.at.shop")
        page = visitor.open(site.page())
        forms[visitor] = dict(
            re.findall(r'action="([^"]+)">\s*<input[^>]*value="([^"]+)"', page.text)
        )
    assert forms[alice].keys() == {"/connect/shop", "/connect/shop/disconnect", "/connect/-/logout"}
    for path, csrf in forms[alice].items():
        others = [each for form, each in forms[alice].items() if form != path]
        for wrong in ("", "x", forms[mallory][path], *others):
            response = alice.http.post(f"{site.url}{path}", data={"csrf": wrong})
            assert response.status_code == 403, path
            assert "Nothing was done" in response.text
        for site_of_page in ("cross-site", "same-site"):
            headers = {"Sec-Fetch-Site": site_of_page}
            sent = alice.http.post(f"{site.url}{path}", data={"csrf": csrf}, headers=headers)
            assert sent.status_code == 403
        without = requests.post(f"{site.url}{path}", data={"csrf": csrf}, timeout=30)
        assert without.status_code == 401
    assert states(site) == {ALICE: "connected", MALLORY: "connected"}
    for visitor in (alice, mallory):
        submit(visitor, visitor.open(site.page()), "/disconnect")


def test_a_session_from_before_the_login_is_not_logged_in(site: Site) -> None:
    with Visitor() as visitor:
        started = visitor.open(f"{site.url}/connect", until="/authorize?").url
        before = dict(visitor.http.cookies)
        log_in(visitor, visitor.open(started), ALICE)
        after = dict(visitor.http.cookies)
        assert "Alice" in visitor.open(f"{site.url}/connect").text
    names = {each for each in before if each.startswith("grantway_connect_")}
    session = next(
        each
        for each in names
        if each.endswith(str(urlsplit(site.url).port)) and "binding" not in each
    )
    binding = next(each for each in names if "binding" in each)
    assert before[session] != after[session]
    assert before[binding] == after[binding]
    for cookies in (before, {session: after[session]}, {**after, binding: "0" * 64}):
        response = requests.get(
            f"{site.url}/connect", cookies=cookies, allow_redirects=False, timeout=30
        )
        assert response.status_code == 303, cookies


def test_a_cookie_reaches_only_the_pages(site: Site, alice: Visitor) -> None:
    connect(alice, site, "alice.at.shop")
    token = site.token(ALICE)
    site.echo.reset()
    alice.http.get(f"{site.url}/orders", headers={"Authorization": f"Bearer {token}"})
    sent = dict(site.echo.requests[-1]["headers"])["cookie"]
    # The issuers' cookies are of other sites on this host.
    own = [each for each in sent.split("; ") if each.startswith("grantway_connect")]
    assert len(own) == 1
    assert own[0].startswith("grantway_connect_binding")
    submit(alice, alice.open(site.page()), "/disconnect")


@pytest.mark.parametrize(
    "address", ["https://evil.example", "//evil.example", "/\\evil.example", "/orders", "x"]
)
def test_a_login_returns_to_one_of_the_pages(site: Site, address: str) -> None:
    with Visitor() as visitor:
        query = urlencode({"return_to": address})
        page = visitor.open(f"{site.url}/connect/-/login?{query}")
        page = log_in(visitor, page, ALICE)
    assert page.url == f"{site.url}/connect"


def test_pages_cannot_be_framed_or_cached(site: Site, alice: Visitor) -> None:
    for path in ("", "/shop", "/nowhere", "/shop/callback"):
        response = alice.http.get(f"{site.url}/connect{path}")
        headers = response.headers
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-frame-options"] == "DENY"
        assert headers["cache-control"] == "no-store"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["x-content-type-options"] == "nosniff"


def test_text_of_addresses_is_not_shown(site: Site, alice: Visitor) -> None:
    begun(alice, site)
    query = urlencode(
        {"error": "Call 555 now!", "error_description": "Call 555", "done": "Call 555"}
    )
    for page in (f"{site.page()}/callback?{query}", f"{site.page()}?{query}"):
        assert "555" not in alice.open(page).text


def test_long_parameters_are_rejected(site: Site, alice: Visitor) -> None:
    assert alice.open(f"{site.page()}/callback?state={'x' * 9000}").status == 414
    response = alice.http.post(site.page(), data={"csrf": "x" * 100_000})
    assert response.status_code == 413
