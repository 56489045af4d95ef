"""Logins at providers that fail, or end in another way than the user expects."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import requests

from tests.faults import free_port
from tests.plugins.gateway.connections.fake_provider import FakeProvider, fake_provider
from tests.plugins.gateway.connections.site import Site, connect, log_in, running_site, submit
from tests.plugins.gateway.running.programs import gateway
from tests.plugins.issuer.login.conftest import PASSWORD
from tests.plugins.issuer.login.visitor import Shown, Visitor
from tests.waiting import until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[FakeProvider, str]]:
    with fake_provider() as made:
        yield made


@pytest.fixture
def provider(running: tuple[FakeProvider, str]) -> FakeProvider:
    """Return the provider without what an earlier test has set."""
    made = running[0]
    made.__init__()  # type: ignore[misc]
    return made


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, running: tuple[FakeProvider, str]
) -> Iterator[Site]:
    with running_site(
        tmp_path_factory.mktemp("site"),
        more=running[1],
        store='{ kind = "sql", url = "sqlite:///FOLDER/tokens.db" }',
    ) as made:
        yield made


@pytest.fixture
def ann(site: Site) -> Iterator[Visitor]:
    with site.logged_in("ann") as visitor:
        yield visitor
        for provider in ("shop", "other"):
            site.call("DELETE", f"/connect/{provider}", site.token("ann"))


def connect_other(visitor: Visitor, site: Site) -> Shown:
    return submit(visitor, visitor.open(site.page("other")), "/connect/other")


def test_a_user_denies_the_access(site: Site, ann: Visitor) -> None:
    page = submit(ann, ann.open(site.page()), "/connect/shop")
    page = ann.submit(page, user="ann.at.shop", password=PASSWORD)
    page = ann.submit(page, decision="deny")
    assert page.status == 403
    assert "Shop reports that the access was denied. Nothing has changed." in page.text
    assert "Not connected" in ann.open(site.page()).text


@pytest.mark.parametrize(
    ("redirect", "says"),
    [
        ({"code": None, "error": "access_denied"}, "reports that the access was denied"),
        ({"code": None, "error": "access_denied", "state": None}, "that the access was denied"),
        ({"code": None, "error": "server_error"}, "rejected the login (server_error)"),
        ({"code": None}, "does not belong to your login"),
        ({"state": None}, "does not belong to your login"),
        ({"state": ""}, "belongs to another login"),
    ],
)
def test_the_provider_sends_no_code(
    site: Site, ann: Visitor, provider: FakeProvider, redirect: dict[str, str | None], says: str
) -> None:
    provider.redirect = redirect
    page = connect_other(ann, site)
    assert page.status >= 400
    assert says in page.text
    assert provider.forms == []
    assert "Not connected" in ann.open(site.page("other")).text


def test_a_login_takes_too_long(site: Site, ann: Visitor) -> None:
    text = site.config.read_text()
    _reload(site, text.replace("[connections]\n", "[connections]\nlogin_seconds = 0.1\n"))
    page = connect(ann, site, "ann.at.shop", until="/callback?")
    time.sleep(0.2)
    late = ann.open(page.url)
    _reload(site, text)
    assert late.status == 400
    assert "took too long" in late.text


def test_the_response_with_the_token_is_lost(
    site: Site, ann: Visitor, provider: FakeProvider
) -> None:
    provider.token = None
    text = site.config.read_text()
    _reload(site, text.replace("timeout = 60\n", "timeout = 1\n"))
    page = connect_other(ann, site)
    _reload(site, text)
    assert page.status == 502
    assert "The response of Other was lost" in page.text
    assert "Connect again, which replaces that entry" in page.text
    assert len([each for each in provider.forms if each["path"] == "/token"]) == 1
    provider.token = {"refresh_token": "rt"}
    assert "is connected" in connect_other(ann, site).text


def test_the_provider_cannot_be_reached_for_the_token(site: Site, ann: Visitor) -> None:
    page = submit(ann, ann.open(site.page("gone")), "/connect/gone")
    assert page.status == 502
    assert "gone cannot be reached at the moment. Nothing has changed." in page.text


def test_a_failed_login_keeps_the_connection(
    site: Site, ann: Visitor, provider: FakeProvider
) -> None:
    provider.token = {"refresh_token": "first"}
    connect_other(ann, site)
    provider.redirect = {"code": None, "error": "access_denied"}
    connect_other(ann, site)
    page = ann.open(site.page("other"))
    assert "Connected</strong>" in page.text
    revoked = [each for each in provider.forms if each["path"] == "/revoke"]
    assert revoked == []


def test_a_connection_without_refresh_token_ends(
    site: Site, ann: Visitor, provider: FakeProvider
) -> None:
    provider.token = {"expires_in": 3600}
    page = connect_other(ann, site)
    assert "Other issued no refresh token, so this connection ends at" in page.text


def test_a_narrower_scope_is_shown(site: Site, ann: Visitor, provider: FakeProvider) -> None:
    provider.token = {"refresh_token": "rt", "scope": "read"}
    page = connect_other(ann, site)
    assert "did not allow everything that was requested" in page.text
    assert "<dt>Not allowed</dt><dd><code>write</code>" in page.text


def test_text_that_is_not_unicode_does_not_hide_the_page(
    site: Site, ann: Visitor, provider: FakeProvider
) -> None:
    provider.token = {"refresh_token": "rt", "scope": "read \ud800"}
    assert "is connected" in connect_other(ann, site).text
    assert ann.open(site.page("other")).status == 200


def test_another_account_replaces_the_first_one(site: Site, ann: Visitor) -> None:
    connect(ann, site, "first.at.shop")
    ann.http.cookies.clear()  # the shop remembers the account
    log_in(ann, ann.open(f"{site.url}/connect"), "ann")
    page = connect(ann, site, "second.at.shop")
    assert "is connected as second.at.shop." in page.text
    assert "Before, first.at.shop was connected." in page.text


def test_disconnecting_says_what_was_not_revoked(
    site: Site, ann: Visitor, provider: FakeProvider
) -> None:
    provider.token = {"refresh_token": "rt", "access_token": "at"}
    connect_other(ann, site)
    provider.forms.clear()
    page = submit(ann, ann.open(site.page("other")), "/disconnect")
    assert "the access is revoked there" in page.text
    sent = [(each["token"], each["token_type_hint"]) for each in provider.forms]
    assert sent == [("rt", "refresh_token"), ("at", "access_token")]


def test_another_gateway_drops_a_disconnected_token_within_seconds(
    site: Site, ann: Visitor
) -> None:
    port = free_port()
    text = site.config.read_text()
    second = site.config.with_name("second.toml")
    second.write_text(text.replace(f'listen = "{site.url[7:]}"', f'listen = "127.0.0.1:{port}"'))
    token = site.token("ann")
    with gateway(second) as other:
        # A login that begins at one gateway may end at another one.
        page = connect(ann, site, "ann.at.shop", until="/callback?")
        ended = ann.open(page.url.replace(site.url, other.url))
        assert "is connected as ann.at.shop." in ended.text

        def status() -> int:
            headers = {"Authorization": f"Bearer {token}"}
            return requests.get(f"{other.url}/orders", headers=headers, timeout=30).status_code

        assert status() == 200
        submit(ann, ann.open(site.page()), "/disconnect")
        until(status, lambda found: found == 403)


def test_a_provider_is_removed_from_the_file_meanwhile(
    site: Site, ann: Visitor, provider: FakeProvider
) -> None:
    page = submit(ann, ann.open(site.page("other")), "/connect/other", until="/callback?")
    text = site.config.read_text()
    start = text.index("[connections.providers.other]")
    _reload(site, text[:start])
    late = ann.open(page.url)
    assert late.status == 404
    assert "This site has no such provider" in late.text
    assert provider.forms == []
    _reload(site, text)


def test_the_provider_is_replaced_in_the_file_during_a_login(site: Site, ann: Visitor) -> None:
    begun = submit(ann, ann.open(site.page("other")), "/connect/other", until="/callback?")
    before = site.config.read_text()
    table, rest = before.split("[providers.other]")
    replaced = rest.replace('client_id = "gateway"', 'client_id = "another"', 1)
    try:
        _reload(site, f"{table}[providers.other]{replaced}")
        page = ann.open(begun.url)
    finally:
        _reload(site, before)
    assert page.status == 400
    assert "Nothing was connected." in page.text


def _reload(site: Site, text: str) -> None:
    message = "Configuration reloaded"
    earlier = site.gateway.log.count(message)
    site.config.write_text(text)
    site.gateway.reload()
    until(lambda: site.gateway.log, lambda log: log.count(message) == earlier + 1)
