"""The HTML pages: content, validation and redirects."""

from __future__ import annotations

import re
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
import requests

from grantway._exceptions import ConfigurationError, FlowError
from grantway_plugins.issuer import DatabaseBusyError, IssuerServer, IssuerSettings
from grantway_plugins.issuer._browser_driver import BrowserDriver
from tests.plugins.issuer.conftest import CALLBACK, Caller, Clock, query_of
from tests.waiting import PATIENCE, until


def show(caller: Caller, url: str) -> requests.Response:
    return caller.http.get(url, allow_redirects=False)


def fields_of(page: str) -> dict[str, str]:
    return dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', page))


@pytest.mark.parametrize("path", ["/", "/device", "/device?user_code=BBBB-BBBB", "/authorize"])
def test_every_page_has_security_headers(caller: Caller, path: str) -> None:
    response = show(caller, caller.url + path)
    policy = response.headers["content-security-policy"]
    for part in ("default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"):
        assert part in policy
    assert "unsafe" not in policy
    assert response.headers["x-frame-options"] == "DENY"
    assert response.headers["referrer-policy"] == "no-referrer"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["cache-control"] == "no-store"
    assert "<script" not in response.text
    assert "style=" not in response.text


def test_serves_the_stylesheet(caller: Caller) -> None:
    response = show(caller, f"{caller.url}/static/issuer.css")
    assert response.headers["content-type"].startswith("text/css")


def test_the_cookie_is_http_only_and_same_site(caller: Caller) -> None:
    cookie = show(caller, f"{caller.url}/device").headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie


def test_the_authorization_page_shows_client_scopes_and_destination(rfc: Caller) -> None:
    page = show(rfc, rfc.authorize_url())
    assert page.status_code == 200
    assert "<code>a</code>" in page.text
    assert "127.0.0.1:8400" in page.text


def test_only_forms_that_lead_to_the_client_may_leave_the_issuer(rfc: Caller) -> None:
    """Chrome applies form-action to the redirects that follow a form as well."""
    leaving = [rfc.authorize_url(), rfc.authorize_url(response_mode="form_post", scope="c")]
    staying = [f"{rfc.url}{path}" for path in ("/", "/device", "/authorize")]
    policies = [
        "form-action 'self'" in show(rfc, url).headers["content-security-policy"]
        for url in leaving + staying
    ]
    assert policies == [False, False, True, True, True]


def test_pages_show_the_issuers_name_and_scope_descriptions() -> None:
    settings = IssuerSettings(
        issuer="https://login.example:81",
        registration="open",
        registration_scopes=("a", "b"),
        name="Ex & Co",
        scope_descriptions={"a": "See <all>"},
    )
    with IssuerServer(settings) as server, Caller(server.address) as caller:
        caller.register_rfc()
        started = caller.start()
        for url in (
            caller.authorize_url(),
            f"{caller.url}/device?user_code={started['user_code']}",
        ):
            page = show(caller, url).text
            assert "Ex &amp; Co" in page
            assert "login.example:81" in page
            assert "<bdi>See &lt;all&gt;</bdi> <code>a</code>" in page
            assert "use the scope <code>b</code>" in page


def test_right_to_left_text_does_not_reorder_surrounding_text(caller: Caller) -> None:
    name = "\u05e9\u05dc\u05d5\u05dd 1<2"
    caller.register_rfc(client_name=name)
    shown = '<q dir="auto">\u05e9\u05dc\u05d5\u05dd 1&lt;2</q>'
    started = caller.start()
    for url in (
        caller.authorize_url(),
        f"{caller.url}/device?user_code={started['user_code']}",
    ):
        page = show(caller, url).text
        assert f"Allow {shown}" in page
        assert f"{shown} will be able to" in page
    for hidden in ("\u202e", "\u2066", "\u200b", "\x1b"):  # these are not registered
        refused = caller.http.post(f"{caller.url}/register", json={"client_name": f"a{hidden}b"})
        assert refused.status_code == 400


@pytest.mark.parametrize(
    "settings",
    [
        {"name": ""},
        {"name": "a\nb"},
        {"scope_descriptions": {"a b": "Both"}},
        {"scope_descriptions": {"a": ""}},
        {"scope_descriptions": {"a": 1}},
        {"scope_descriptions": [("a", "A")]},
    ],
)
def test_rejects_an_unprintable_name_or_description(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError) as refused:
        IssuerSettings(**settings)
    assert list(refused.value.errors) == list(settings)


def test_an_unknown_path_in_a_browser_links_to_the_start_page(caller: Caller) -> None:
    headers = {"accept": "text/html,*/*;q=0.8"}
    response = requests.get(f"{caller.url}/devices", headers=headers, timeout=PATIENCE)
    assert response.status_code == 404
    assert 'href="/"' in response.text
    assert "frame-ancestors 'none'" in response.headers["content-security-policy"]


def test_the_start_page_contains_no_secret_and_sets_no_cookie(rfc: Caller) -> None:
    started = rfc.start()
    response = requests.get(rfc.url, timeout=PATIENCE)
    assert response.status_code == 200
    assert "set-cookie" not in response.headers
    for known in (rfc.id, rfc.secret, started["user_code"], "local-user"):
        assert known not in response.text
    assert requests.post(rfc.url, data={"a": "b"}, timeout=PATIENCE).status_code == 405


def test_escapes_client_names(caller: Caller) -> None:
    caller.register_aws(clientName="<script>alert(1)</script>")
    page = show(caller, caller.authorize_url(state='"><script>'))
    assert "<script" not in page.text


def test_approval_redirects_with_code_state_and_issuer(rfc: Caller) -> None:
    page = show(rfc, rfc.authorize_url())
    response = rfc.http.post(
        f"{rfc.url}/authorize",
        data={**fields_of(page.text), "decision": "approve"},
        allow_redirects=False,
    )
    assert response.status_code == 303
    assert response.headers["location"].startswith(CALLBACK + "?")
    sent = query_of(response.headers["location"])
    assert (sent["state"], sent["iss"]) == ("xyz", rfc.url)
    assert rfc.redeem(sent["code"]).status_code == 200


def test_denial_redirects_with_access_denied(rfc: Caller, driver: BrowserDriver) -> None:
    sent = query_of(driver.deny_authorization(rfc.authorize_url()))
    assert (sent["error"], sent["state"], sent["iss"]) == ("access_denied", "xyz", rfc.url)


@pytest.mark.parametrize(
    "params",
    [
        {"client_id": "unknown"},
        {"redirect_uri": "http://127.0.0.1:8400/other"},
        {"redirect_uri": "http://127.0.0.1:8400/oauth/callback/"},
        {"redirect_uri": "http://127.0.0.1:8400/oauth/callback?x=1"},
        {"redirect_uri": "http://127.0.0.1:8400/oauth/callback#f"},
        {"redirect_uri": "http://localhost:8400/oauth/callback"},
        {"redirect_uri": "https://127.0.0.1:8400/oauth/callback"},
        {"redirect_uri": "http://127.0.0.1:8400@evil.example/oauth/callback"},
        {"redirect_uri": "http://127.0.0.1:99999/oauth/callback"},
        {"redirect_uri": "https://evil.example"},
        {"redirect_uri": "http://127.0.0.1:8400/oauth/callback\r\nx: y"},
    ],
)
def test_an_invalid_client_or_redirect_uri_gets_an_error_page(
    rfc: Caller, params: dict[str, str]
) -> None:
    response = show(rfc, rfc.authorize_url(**params))
    assert response.status_code == 400
    assert "location" not in response.headers


@pytest.mark.parametrize("repeated", ["client_id", "redirect_uri"])
def test_a_duplicate_client_id_or_redirect_uri_gets_an_error_page(
    rfc: Caller, repeated: str
) -> None:
    url = rfc.authorize_url()
    again = re.search(rf"{repeated}=[^&]*", url)
    assert again is not None
    response = show(rfc, f"{url}&{again[0]}")
    assert response.status_code == 400


@pytest.mark.parametrize("port", [":1", ":65535", ""])
@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_loopback_redirect_uris_may_use_any_port(caller: Caller, host: str, port: str) -> None:
    caller.register_rfc(redirect_uris=[f"http://{host}:3000/cb"])
    response = show(caller, caller.authorize_url(redirect_uri=f"http://{host}{port}/cb"))
    assert response.status_code == 200


def test_other_redirect_uris_must_match_their_port_and_keep_their_query(
    caller: Caller, driver: BrowserDriver
) -> None:
    caller.register_rfc(redirect_uris=["https://example.com/cb?x=1"])
    url = caller.authorize_url(redirect_uri="https://example.com:444/cb?x=1")
    assert show(caller, url).status_code == 400
    url = caller.authorize_url(redirect_uri="https://example.com/cb?x=1")
    location = driver.approve_authorization(url)
    assert location.startswith("https://example.com/cb?x=1&code=")


@pytest.mark.parametrize(
    ("params", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": ""}, "invalid_request"),
        ({"scope": "a c"}, "invalid_scope"),
        ({"scope": 'a "'}, "invalid_scope"),
    ],
)
def test_returns_other_errors_to_the_client(
    rfc: Caller, params: dict[str, str], error: str
) -> None:
    response = show(rfc, rfc.authorize_url(**params))
    assert response.status_code == 303
    sent = query_of(response.headers["location"])
    assert (sent["error"], sent["state"], sent["iss"]) == (error, "xyz", rfc.url)


def test_returns_a_duplicate_parameter_to_the_client(rfc: Caller) -> None:
    response = show(rfc, rfc.authorize_url() + "&response_type=code")
    assert query_of(response.headers["location"])["error"] == "invalid_request"


def test_returns_unauthorized_client_to_a_client_without_the_grant(caller: Caller) -> None:
    caller.register_aws(grantTypes=["refresh_token"])
    response = show(caller, caller.authorize_url())
    assert query_of(response.headers["location"])["error"] == "unauthorized_client"


@pytest.mark.parametrize("path", ["/authorize", "/device"])
@pytest.mark.parametrize("change", ["no token", "wrong token", "other session", "other site"])
def test_rejects_a_form_from_another_site(rfc: Caller, path: str, change: str) -> None:
    started = rfc.start()
    url = rfc.authorize_url() if path == "/authorize" else started["verification_uri_complete"]
    form = {**fields_of(show(rfc, url).text), "decision": "approve"}
    headers = {}
    if change == "no token":
        del form["csrf"]
    elif change == "wrong token":
        form["csrf"] = "0" * 64
    elif change == "other session":
        rfc.http.cookies.clear()
        show(rfc, url)
    else:
        headers["sec-fetch-site"] = "same-site"
    response = rfc.http.post(rfc.url + path, data=form, headers=headers, allow_redirects=False)
    assert response.status_code == 403
    assert rfc.poll(started["device_code"]).json()["error"] == "authorization_pending"


def test_the_device_page_requires_confirmation_even_with_the_code_in_the_url(rfc: Caller) -> None:
    started = rfc.start(scope="b")
    page = show(rfc, started["verification_uri_complete"])
    assert started["user_code"] in page.text
    assert "<code>b</code>" in page.text
    assert rfc.id in page.text  # it registered without a name
    assert rfc.poll(started["device_code"]).json()["error"] == "authorization_pending"


@pytest.mark.parametrize("spelling", ["lower", "spaces", "plain"])
def test_ignores_case_and_punctuation_of_user_codes(
    rfc: Caller, driver: BrowserDriver, spelling: str
) -> None:
    started = rfc.start()
    code = started["user_code"]
    typed = {"lower": code.lower(), "spaces": f" {code} .", "plain": code.replace("-", "")}
    driver.approve_device(started["verification_uri"], typed[spelling])
    assert rfc.poll(started["device_code"]).status_code == 200


def test_counts_an_entry_before_it_is_looked_up(rfc: Caller, server: IssuerServer) -> None:
    """Otherwise, many entries sent at the same time would all be looked up."""
    holding, released = threading.Event(), threading.Event()

    def hold(_transaction: object) -> bool:
        holding.set()
        return released.wait(PATIENCE)

    right = rfc.start()["verification_uri_complete"]
    wrong = f"{rfc.url}/device?user_code=BBBB-BBBB"
    with ThreadPoolExecutor(11) as pool:
        held = pool.submit(server.store.run, hold)
        assert holding.wait(PATIENCE)
        try:
            guesses = [pool.submit(requests.get, wrong, timeout=PATIENCE) for _ in range(10)]
            until(lambda: server.store._jobs.qsize() >= 10, seconds=PATIENCE / 2)
            assert requests.get(right, timeout=PATIENCE / 4).status_code == 429
        finally:
            released.set()
        assert held.result()
        assert {each.result().status_code for each in guesses} == {429}


@pytest.mark.parametrize("part", ["image", "iframe", "empty"])
def test_a_request_from_an_image_or_frame_enters_no_code(caller: Caller, part: str) -> None:
    """Otherwise, another site could use up the user's attempts."""
    wrong = f"{caller.url}/device?user_code=BBBB-BBBB"
    for _ in range(6):
        response = requests.get(wrong, headers={"sec-fetch-dest": part}, timeout=20)
        assert response.status_code == 200
    assert (
        requests.get(wrong, headers={"sec-fetch-dest": "document"}, timeout=20).status_code == 400
    )


def test_five_wrong_codes_throttle_the_browser(
    rfc: Caller, driver: BrowserDriver, clock: Clock
) -> None:
    started = rfc.start()
    for _ in range(4):
        with pytest.raises(FlowError, match="No device is waiting"):
            driver.approve_device(started["verification_uri"], "BBBB-BBBB")
    with pytest.raises(FlowError, match="Wait 12 seconds"):
        driver.approve_device(started["verification_uri"], "BBBB-BBBB")
    clock.tick(2.5)
    with pytest.raises(FlowError, match="Wait 10 seconds"):
        driver.approve_device(started["verification_uri"], started["user_code"])
    with BrowserDriver() as other:  # another browser at the same address
        other.approve_device(rfc.start()["verification_uri_complete"])
    clock.tick(9.5)
    driver.approve_device(started["verification_uri"], started["user_code"])
    assert rfc.poll(started["device_code"]).status_code == 200


def test_ten_wrong_codes_throttle_the_address(rfc: Caller, clock: Clock) -> None:
    """A program without the cookie has a new session with each request."""
    right = rfc.start()["verification_uri_complete"]
    wrong = f"{rfc.url}/device?user_code=BBBB-BBBB"
    responses = [requests.get(wrong, timeout=PATIENCE) for _ in range(10)]
    assert [each.status_code for each in responses] == [400] * 9 + [429]
    response = show(rfc, right)
    assert (response.status_code, response.headers["retry-after"]) == (429, "6")
    clock.tick(6)
    assert show(rfc, right).status_code == 200


@pytest.mark.parametrize("cookie", [True, False])
def test_entering_a_valid_code_allows_no_further_guesses(rfc: Caller, cookie: bool) -> None:
    """A guesser repeats four wrong codes and a valid one."""
    own = [rfc.start()["verification_uri_complete"] for _ in range(2)]
    wrong = f"{rfc.url}/device?user_code=BBBB-BBBB"
    looked_up = 0
    with requests.Session() as browser:
        browser.get(f"{rfc.url}/device", timeout=PATIENCE)
        for number in range(80):
            for url in (wrong, wrong, wrong, wrong, own[number % 2]):
                if not cookie:
                    browser.cookies.clear()
                response = browser.get(url, timeout=PATIENCE)
                looked_up += url == wrong and response.status_code != 429
    assert looked_up == (4 if cookie else 9)


def test_does_not_throttle_correct_codes(rfc: Caller, driver: BrowserDriver) -> None:
    for _ in range(12):
        driver.approve_device(rfc.start()["verification_uri_complete"])


def test_accepts_a_decision_while_the_address_is_throttled(rfc: Caller) -> None:
    """Otherwise, a guesser at the same address could prevent a user's decision."""
    started = rfc.start()
    form = fields_of(show(rfc, started["verification_uri_complete"]).text)
    for _ in range(12):
        requests.get(f"{rfc.url}/device?user_code=BBBB-BBBB", timeout=PATIENCE)
    response = rfc.http.post(f"{rfc.url}/device", data={**form, "decision": "approve"})
    assert response.status_code == 200
    assert rfc.poll(started["device_code"]).status_code == 200


def test_a_form_is_valid_only_for_the_device_that_it_showed(rfc: Caller) -> None:
    """Otherwise, a guesser could approve any code without being throttled."""
    shown, other = rfc.start(), rfc.start()
    form = fields_of(show(rfc, shown["verification_uri_complete"]).text)
    form |= {"user_code": other["user_code"], "decision": "approve"}
    assert rfc.http.post(f"{rfc.url}/device", data=form).status_code == 403
    assert rfc.poll(other["device_code"]).json()["error"] == "authorization_pending"


def test_shows_a_wrong_code_again_and_escapes_it(rfc: Caller) -> None:
    wrong = '"><b>' + "x" * 60
    page = show(rfc, f"{rfc.url}/device?user_code={quote(wrong)}").text
    assert 'value="&#34;&gt;&lt;b&gt;' + "x" * 35 + '"' in page


def test_a_database_failure_does_not_count_as_a_wrong_code(
    rfc: Caller, server: IssuerServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = rfc.start()

    async def busy(_work: object) -> None:
        raise DatabaseBusyError("busy")

    with monkeypatch.context() as patch:
        patch.setattr(server.store, "arun", busy)
        for _ in range(12):
            assert show(rfc, started["verification_uri_complete"]).status_code == 503
    assert show(rfc, started["verification_uri_complete"]).status_code == 200


def test_an_expired_code_cannot_be_approved(
    rfc: Caller, driver: BrowserDriver, clock: Clock
) -> None:
    started = rfc.start()
    clock.tick(600)
    with pytest.raises(FlowError, match="expired"):
        driver.approve_device(started["verification_uri_complete"])


def test_rejects_an_unreadable_form_and_one_without_a_decision(rfc: Caller) -> None:
    page = show(rfc, rfc.authorize_url())
    form = fields_of(page.text)
    responses = [
        rfc.http.post(f"{rfc.url}/authorize", data=b"\xff", allow_redirects=False),
        rfc.http.post(f"{rfc.url}/authorize", data=form, allow_redirects=False),
        rfc.http.post(f"{rfc.url}/device", data={**form, "decision": "x"}),
        rfc.http.post(f"{rfc.url}/device", data=b"a=" + b"b" * 70_000),
    ]
    assert [response.status_code for response in responses] == [400, 400, 400, 413]


def test_auto_approves_without_a_page(clock: Clock) -> None:
    with (
        IssuerServer(IssuerSettings(approve="auto"), clock=clock) as server,
        Caller(server.url) as caller,
    ):
        caller.register_rfc()
        assert caller.poll(caller.start()["device_code"]).status_code == 200
        response = show(caller, caller.authorize_url())
        assert caller.redeem(query_of(response.headers["location"])["code"]).status_code == 200


def test_does_not_log_an_incomplete_form_as_an_error(
    caller: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    address = urlsplit(caller.url)
    assert address.hostname
    assert address.port
    with socket.create_connection((address.hostname, address.port)) as connection:
        connection.sendall(
            b"POST /device HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 50\r\n\r\nuser_code=B"
        )
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""
    assert show(caller, f"{caller.url}/device").status_code == 200
    assert "Traceback" not in caplog.text
