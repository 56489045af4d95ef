"""Logouts (OpenID Connect RP-Initiated Logout)."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import ECKey

from grantway_plugins.issuer import IssuerServer
from grantway_plugins.issuer._keys.opening import file_ring
from tests.plugins.issuer.conftest import CALLBACK, Caller, Clock, query_of
from tests.plugins.issuer.login.conftest import issuer_with_login, log_in
from tests.plugins.issuer.login.visitor import Visitor

AFTER = "http://127.0.0.1:8400/bye"
IN, OUT, ASK = "You are logged in", "You are logged out", "<h1>Log out?</h1>"


@pytest.fixture(scope="module")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    key = ECKey.generate_key("P-256")
    path = tmp_path_factory.mktemp("keys") / "key.pem"
    path.touch(0o600)
    path.write_bytes(key.as_pem(private=True))
    return path


@pytest.fixture
def server(clock: Clock, key_file: Path) -> Iterator[IssuerServer]:
    with issuer_with_login(clock, signing_keys=(str(key_file),)) as running:
        yield running


@pytest.fixture
def client(server: IssuerServer) -> Iterator[Caller]:
    with Caller(server.url) as made:
        yield made.register_rfc(post_logout_redirect_uris=[AFTER], client_name="Shop")


@pytest.fixture
def user(server: IssuerServer, visitor: Visitor) -> Visitor:
    """A browser with a logged-in user."""
    log_in(visitor, visitor.open(f"{server.url}/login"))
    return visitor


def is_logged_in(server: IssuerServer, browser: Visitor) -> bool:
    return IN in browser.open(f"{server.url}/").text


def end_url(server: IssuerServer, **params: str) -> str:
    query = "&".join(f"{name}={value}" for name, value in params.items())
    return f"{server.url}/session/end?{query}"


def hint_for(server: IssuerServer, client: Caller, clock: Clock, **claims: Any) -> str:
    """Return an ID token of the issuer."""
    asked = {"iss": server.url, "aud": client.id, "sub": "ada", "exp": int(clock()), **claims}
    keys = file_ring(server.settings)
    assert keys is not None
    return server.store.run(lambda found: keys.sign(asked, found, clock()))


def test_a_user_logs_out(server: IssuerServer, user: Visitor) -> None:
    page = user.open(user.open(f"{server.url}/").links["Log out"])
    assert ASK in page.text
    assert is_logged_in(server, user)
    assert OUT in user.submit(page).text
    assert not is_logged_in(server, user)


def test_a_logout_is_in_the_audit_log(
    server: IssuerServer, user: Visitor, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "grantway.audit")
    user.submit(user.open(f"{server.url}/session/end"))
    assert "user_logout subject=ada" in caplog.text


def test_a_client_asks_and_gets_the_browser_back(
    server: IssuerServer, user: Visitor, client: Caller
) -> None:
    url = end_url(server, client_id=client.id, post_logout_redirect_uri=AFTER, state="s1")
    page = user.open(url)
    assert [ASK in page.text, "Shop" in page.text, "127.0.0.1:8400" in page.text] == [True] * 3
    back = user.submit(page)
    assert (back.url, is_logged_in(server, user)) == (f"{AFTER}?state=s1", False)


@pytest.mark.parametrize(
    "params",
    [
        {"post_logout_redirect_uri": "https://evil.example/"},
        {"post_logout_redirect_uri": f"{AFTER}/more"},
        {"post_logout_redirect_uri": CALLBACK},
        {"post_logout_redirect_uri": AFTER, "client_id": "unknown"},
        {"post_logout_redirect_uri": AFTER, "client_id": ""},
        {"post_logout_redirect_uri": "http://127.0.0.1:9/bye"},
        {"post_logout_redirect_uri": "javascript:alert(1)"},
    ],
)
def test_an_address_that_is_not_registered_is_not_used(
    server: IssuerServer, user: Visitor, client: Caller, params: dict[str, str]
) -> None:
    page = user.open(end_url(server, **{"client_id": client.id, **params}))
    assert (page.status, is_logged_in(server, user)) == (400, True)
    assert "href" not in page.text.partition("evil")[2]


@pytest.mark.parametrize("uri", ["javascript:alert(1)", "http://example.com/", "/bye", 5])
def test_an_unsafe_address_cannot_be_registered(server: IssuerServer, uri: Any) -> None:
    with Caller(server.url) as caller:
        asked = {"redirect_uris": [CALLBACK], "post_logout_redirect_uris": [uri]}
        response = caller.http.post(f"{server.url}/register", json=asked)
    assert response.status_code == 400
    assert "post_logout_redirect_uris" in response.json()["error_description"]


def test_a_link_does_not_redirect_without_a_click(
    server: IssuerServer, visitor: Visitor, client: Caller
) -> None:
    url = end_url(server, client_id=client.id, post_logout_redirect_uri=AFTER)
    page = visitor.open(url)
    assert (page.status, OUT in page.text) == (200, True)
    assert page.links["Continue to 127.0.0.1:8400"] == AFTER


def test_a_repeated_parameter_is_rejected(server: IssuerServer, user: Visitor) -> None:
    assert user.open(f"{end_url(server, state='a')}&state=b").status == 400
    assert is_logged_in(server, user)


def test_a_form_of_a_client_asks_the_user(
    server: IssuerServer, user: Visitor, client: Caller
) -> None:
    """Browsers do not send the cookie with another site's form."""
    form = {"client_id": client.id, "post_logout_redirect_uri": AFTER, "other": "x"}
    response = client.http.post(f"{server.url}/session/end", data=form, allow_redirects=False)
    assert response.status_code == 303
    assert set(query_of(response.headers["location"])) == {"client_id", "post_logout_redirect_uri"}
    assert ASK in user.open(server.url + response.headers["location"]).text


def test_another_site_cannot_log_the_user_out(server: IssuerServer, user: Visitor) -> None:
    user.http.post(f"{server.url}/session/end", data={"csrf": "0" * 64}, timeout=10)
    assert is_logged_in(server, user)


def test_an_old_cookie_is_worthless_after_the_logout(server: IssuerServer, user: Visitor) -> None:
    old = user.http.cookies.copy()
    user.submit(user.open(f"{server.url}/session/end"))
    user.http.cookies.clear()
    user.http.cookies.update(old)
    assert not is_logged_in(server, user)


def test_an_id_token_of_the_user_needs_no_question(
    server: IssuerServer, user: Visitor, client: Caller, clock: Clock
) -> None:
    hint = hint_for(server, client, clock)
    clock.tick(100)  # expired
    url = end_url(server, id_token_hint=hint, post_logout_redirect_uri=AFTER, state="s1")
    assert user.open(url).url == f"{AFTER}?state=s1"
    assert not is_logged_in(server, user)
    assert user.open(url).url == f"{AFTER}?state=s1"


@pytest.mark.parametrize(
    "claims",
    [
        {"sub": "bob"},
        {"sid": "another"},
        {"iss": "https://other.example"},
        {"aud": "another-client"},
        {"aud": ["a", "b"]},
    ],
)
def test_an_id_token_of_someone_else_proves_nothing(
    server: IssuerServer, user: Visitor, client: Caller, clock: Clock, claims: dict[str, Any]
) -> None:
    hint = hint_for(server, client, clock, **claims)
    url = end_url(server, client_id=client.id, id_token_hint=hint, post_logout_redirect_uri=AFTER)
    page = user.open(url)
    assert (ASK in page.text, is_logged_in(server, user)) == (True, True)
    assert hint not in page.text


@pytest.mark.parametrize("damage", ["", "a.b.c", "x" * 20_000, "é"])
def test_a_damaged_id_token_proves_nothing(
    server: IssuerServer, user: Visitor, client: Caller, clock: Clock, damage: str
) -> None:
    hint = damage or hint_for(server, client, clock)[:-4] + "AAAA"
    page = user.open(end_url(server, client_id=client.id, id_token_hint=hint))
    assert (ASK in page.text, is_logged_in(server, user)) == (True, True)
