"""The pages: what they show, what they refuse, and where they send the browser."""

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
def test_every_page_has_its_security_headers(caller: Caller, path: str) -> None:
    answer = show(caller, caller.url + path)
    policy = answer.headers["content-security-policy"]
    for part in ("default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"):
        assert part in policy
    assert "unsafe" not in policy
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert "<script" not in answer.text
    assert "style=" not in answer.text


def test_the_stylesheet_is_there(caller: Caller) -> None:
    answer = show(caller, f"{caller.url}/static/issuer.css")
    assert answer.headers["content-type"].startswith("text/css")


def test_the_cookie_is_out_of_reach_of_scripts_and_strangers(caller: Caller) -> None:
    cookie = show(caller, f"{caller.url}/device").headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie


def test_the_authorization_page_shows_who_asks_for_what_and_where_it_leads(rfc: Caller) -> None:
    page = show(rfc, rfc.authorize_url())
    assert page.status_code == 200
    assert "<code>a</code>" in page.text
    assert "127.0.0.1:8400" in page.text


def test_only_forms_that_end_at_the_client_may_leave_the_issuer(rfc: Caller) -> None:
    """Chrome applies form-action to the redirects after a form, wherever they lead."""
    leaving = [rfc.authorize_url(), rfc.authorize_url(response_mode="form_post", scope="c")]
    staying = [f"{rfc.url}{path}" for path in ("/", "/device", "/authorize")]
    policies = [
        "form-action 'self'" in show(rfc, url).headers["content-security-policy"]
        for url in leaving + staying
    ]
    assert policies == [False, False, True, True, True]


def test_the_pages_show_the_issuers_name_and_what_scopes_mean() -> None:
    settings = IssuerSettings(
        issuer="http://login.example:81",
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


def test_text_from_right_to_left_cannot_move_the_words_around_it(caller: Caller) -> None:
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
    for hidden in ("\u202e", "\u2066", "\u200b", "\x1b"):  # these are not even registered
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
def test_a_name_or_description_that_cannot_be_shown_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError) as refused:
        IssuerSettings(**settings)
    assert list(refused.value.errors) == list(settings)


def test_an_unknown_address_in_a_browser_leads_to_the_start_page(caller: Caller) -> None:
    headers = {"accept": "text/html,*/*;q=0.8"}
    answer = requests.get(f"{caller.url}/devices", headers=headers, timeout=PATIENCE)
    assert answer.status_code == 404
    assert 'href="/"' in answer.text
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]


def test_the_start_page_tells_no_secret_and_changes_nothing(rfc: Caller) -> None:
    started = rfc.start()
    answer = requests.get(rfc.url, timeout=PATIENCE)
    assert answer.status_code == 200
    assert "set-cookie" not in answer.headers
    for known in (rfc.id, rfc.secret, started["user_code"], "local-user"):
        assert known not in answer.text
    assert requests.post(rfc.url, data={"a": "b"}, timeout=PATIENCE).status_code == 405


def test_names_are_escaped(caller: Caller) -> None:
    caller.register_aws(clientName="<script>alert(1)</script>")
    page = show(caller, caller.authorize_url(state='"><script>'))
    assert "<script" not in page.text


def test_approval_sends_back_by_303_with_code_state_and_issuer(rfc: Caller) -> None:
    page = show(rfc, rfc.authorize_url())
    answer = rfc.http.post(
        f"{rfc.url}/authorize",
        data={**fields_of(page.text), "decision": "approve"},
        allow_redirects=False,
    )
    assert answer.status_code == 303
    assert answer.headers["location"].startswith(CALLBACK + "?")
    sent = query_of(answer.headers["location"])
    assert (sent["state"], sent["iss"]) == ("xyz", rfc.url)
    assert rfc.redeem(sent["code"]).status_code == 200


def test_denial_sends_back_access_denied(rfc: Caller, person: BrowserDriver) -> None:
    sent = query_of(person.deny_authorization(rfc.authorize_url()))
    assert (sent["error"], sent["state"], sent["iss"]) == ("access_denied", "xyz", rfc.url)


@pytest.mark.parametrize(
    "params",
    [
        {"client_id": "nobody"},
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
def test_a_bad_client_or_redirect_gets_a_page_and_never_a_redirect(
    rfc: Caller, params: dict[str, str]
) -> None:
    answer = show(rfc, rfc.authorize_url(**params))
    assert answer.status_code == 400
    assert "location" not in answer.headers


@pytest.mark.parametrize("repeated", ["client_id", "redirect_uri"])
def test_a_repeated_client_or_redirect_gets_a_page(rfc: Caller, repeated: str) -> None:
    url = rfc.authorize_url()
    again = re.search(rf"{repeated}=[^&]*", url)
    assert again is not None
    answer = show(rfc, f"{url}&{again[0]}")
    assert answer.status_code == 400


@pytest.mark.parametrize("port", [":1", ":65535", ""])
@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_on_loopback_the_port_does_not_count(caller: Caller, host: str, port: str) -> None:
    caller.register_rfc(redirect_uris=[f"http://{host}:3000/cb"])
    answer = show(caller, caller.authorize_url(redirect_uri=f"http://{host}{port}/cb"))
    assert answer.status_code == 200


def test_elsewhere_the_port_counts_and_the_query_is_kept(
    caller: Caller, person: BrowserDriver
) -> None:
    caller.register_rfc(redirect_uris=["https://example.com/cb?x=1"])
    url = caller.authorize_url(redirect_uri="https://example.com:444/cb?x=1")
    assert show(caller, url).status_code == 400
    url = caller.authorize_url(redirect_uri="https://example.com/cb?x=1")
    location = person.approve_authorization(url)
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
def test_other_mistakes_are_sent_back(rfc: Caller, params: dict[str, str], error: str) -> None:
    answer = show(rfc, rfc.authorize_url(**params))
    assert answer.status_code == 303
    sent = query_of(answer.headers["location"])
    assert (sent["error"], sent["state"], sent["iss"]) == (error, "xyz", rfc.url)


def test_a_repeated_parameter_is_sent_back(rfc: Caller) -> None:
    answer = show(rfc, rfc.authorize_url() + "&response_type=code")
    assert query_of(answer.headers["location"])["error"] == "invalid_request"


def test_a_client_without_the_grant_is_sent_back(caller: Caller) -> None:
    caller.register_aws(grantTypes=["refresh_token"])
    answer = show(caller, caller.authorize_url())
    assert query_of(answer.headers["location"])["error"] == "unauthorized_client"


@pytest.mark.parametrize("path", ["/authorize", "/device"])
@pytest.mark.parametrize("change", ["no token", "wrong token", "other session", "other site"])
def test_a_form_from_elsewhere_is_refused(rfc: Caller, path: str, change: str) -> None:
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
    answer = rfc.http.post(rfc.url + path, data=form, headers=headers, allow_redirects=False)
    assert answer.status_code == 403
    assert rfc.poll(started["device_code"]).json()["error"] == "authorization_pending"


def test_the_device_page_needs_a_click_even_with_the_code_in_the_link(rfc: Caller) -> None:
    started = rfc.start(scope="b")
    page = show(rfc, started["verification_uri_complete"])
    assert started["user_code"] in page.text
    assert "<code>b</code>" in page.text
    assert rfc.id in page.text  # it registered no name
    assert rfc.poll(started["device_code"]).json()["error"] == "authorization_pending"


@pytest.mark.parametrize("spelling", ["lower", "spaces", "plain"])
def test_case_and_punctuation_of_a_user_code_do_not_count(
    rfc: Caller, person: BrowserDriver, spelling: str
) -> None:
    started = rfc.start()
    code = started["user_code"]
    typed = {"lower": code.lower(), "spaces": f" {code} .", "plain": code.replace("-", "")}
    person.approve_device(started["verification_uri"], typed[spelling])
    assert rfc.poll(started["device_code"]).status_code == 200


def test_wrong_codes_count_before_they_are_looked_up(rfc: Caller, server: IssuerServer) -> None:
    """Many sent at once would otherwise all be looked at."""
    released = threading.Event()
    right = rfc.start()["verification_uri_complete"]
    wrong = f"{rfc.url}/device?user_code=BBBB-BBBB"
    with ThreadPoolExecutor(11) as pool:
        held = pool.submit(server.store.run, lambda _transaction: released.wait(PATIENCE))
        try:
            guesses = [pool.submit(requests.get, wrong, timeout=PATIENCE) for _ in range(10)]
            until(lambda: server.store._jobs.qsize() >= 10, seconds=PATIENCE / 2)
            assert requests.get(right, timeout=PATIENCE / 4).status_code == 429
        finally:
            released.set()
        assert held.result()
        assert {each.result().status_code for each in guesses} == {429}


@pytest.mark.parametrize("part", ["image", "iframe", "empty"])
def test_a_part_of_a_strangers_page_enters_no_code(caller: Caller, part: str) -> None:
    """It could make the person wait, again and again."""
    wrong = f"{caller.url}/device?user_code=BBBB-BBBB"
    for _ in range(6):
        answer = requests.get(wrong, headers={"sec-fetch-dest": part}, timeout=20)
        assert answer.status_code == 200
    assert (
        requests.get(wrong, headers={"sec-fetch-dest": "document"}, timeout=20).status_code == 400
    )


def test_five_wrong_codes_in_a_row_make_this_browser_wait(
    rfc: Caller, person: BrowserDriver, clock: Clock
) -> None:
    started = rfc.start()
    for _ in range(4):
        with pytest.raises(FlowError, match="No device is waiting"):
            person.approve_device(started["verification_uri"], "BBBB-BBBB")
    with pytest.raises(FlowError, match="Wait 12 seconds"):
        person.approve_device(started["verification_uri"], "BBBB-BBBB")
    clock.tick(2.5)
    with pytest.raises(FlowError, match="Wait 10 seconds"):
        person.approve_device(started["verification_uri"], started["user_code"])
    with BrowserDriver() as other:  # another browser at the same address
        other.approve_device(rfc.start()["verification_uri_complete"])
    clock.tick(9.5)
    person.approve_device(started["verification_uri"], started["user_code"])
    assert rfc.poll(started["device_code"]).status_code == 200


def test_ten_wrong_codes_make_the_address_wait(rfc: Caller, clock: Clock) -> None:
    """Without its cookie, a program is a new browser with each request."""
    right = rfc.start()["verification_uri_complete"]
    wrong = f"{rfc.url}/device?user_code=BBBB-BBBB"
    answers = [requests.get(wrong, timeout=PATIENCE) for _ in range(10)]
    assert [each.status_code for each in answers] == [400] * 9 + [429]
    answer = show(rfc, right)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "6")
    clock.tick(6)
    assert show(rfc, right).status_code == 200


@pytest.mark.parametrize("cookie", [True, False])
def test_entering_a_valid_code_makes_no_room_for_guesses(rfc: Caller, cookie: bool) -> None:
    """The sequence of a guesser: four wrong codes, then their own valid one, repeated."""
    own = [rfc.start()["verification_uri_complete"] for _ in range(2)]
    wrong = f"{rfc.url}/device?user_code=BBBB-BBBB"
    looked_up = 0
    with requests.Session() as browser:
        browser.get(f"{rfc.url}/device", timeout=PATIENCE)
        for number in range(80):
            for url in (wrong, wrong, wrong, wrong, own[number % 2]):
                if not cookie:
                    browser.cookies.clear()
                answer = browser.get(url, timeout=PATIENCE)
                looked_up += url == wrong and answer.status_code != 429
    assert looked_up == (4 if cookie else 9)


def test_right_codes_are_never_throttled(rfc: Caller, person: BrowserDriver) -> None:
    for _ in range(12):
        person.approve_device(rfc.start()["verification_uri_complete"])


def test_a_choice_counts_even_while_the_address_must_wait(rfc: Caller) -> None:
    """Somebody else at the address could otherwise keep a person from pressing the button."""
    started = rfc.start()
    form = fields_of(show(rfc, started["verification_uri_complete"]).text)
    for _ in range(12):
        requests.get(f"{rfc.url}/device?user_code=BBBB-BBBB", timeout=PATIENCE)
    answer = rfc.http.post(f"{rfc.url}/device", data={**form, "decision": "approve"})
    assert answer.status_code == 200
    assert rfc.poll(started["device_code"]).status_code == 200


def test_a_form_answers_only_the_device_that_it_showed(rfc: Caller) -> None:
    """Its token would otherwise let a guesser answer any code without being throttled."""
    shown, other = rfc.start(), rfc.start()
    form = fields_of(show(rfc, shown["verification_uri_complete"]).text)
    form |= {"user_code": other["user_code"], "decision": "approve"}
    assert rfc.http.post(f"{rfc.url}/device", data=form).status_code == 403
    assert rfc.poll(other["device_code"]).json()["error"] == "authorization_pending"


def test_a_wrong_code_stays_in_the_field_and_is_escaped(rfc: Caller) -> None:
    wrong = '"><b>' + "x" * 60
    page = show(rfc, f"{rfc.url}/device?user_code={quote(wrong)}").text
    assert 'value="&#34;&gt;&lt;b&gt;' + "x" * 35 + '"' in page


def test_a_failing_database_takes_no_try(
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
    rfc: Caller, person: BrowserDriver, clock: Clock
) -> None:
    started = rfc.start()
    clock.tick(600)
    with pytest.raises(FlowError, match="expired"):
        person.approve_device(started["verification_uri_complete"])


def test_rejects_an_unreadable_form_and_one_without_a_choice(rfc: Caller) -> None:
    page = show(rfc, rfc.authorize_url())
    form = fields_of(page.text)
    answers = [
        rfc.http.post(f"{rfc.url}/authorize", data=b"\xff", allow_redirects=False),
        rfc.http.post(f"{rfc.url}/authorize", data=form, allow_redirects=False),
        rfc.http.post(f"{rfc.url}/device", data={**form, "decision": "x"}),
        rfc.http.post(f"{rfc.url}/device", data=b"a=" + b"b" * 70_000),
    ]
    assert [answer.status_code for answer in answers] == [400, 400, 400, 413]


def test_auto_approves_at_once(clock: Clock) -> None:
    with (
        IssuerServer(IssuerSettings(approve="auto"), clock=clock) as server,
        Caller(server.url) as caller,
    ):
        caller.register_rfc()
        assert caller.poll(caller.start()["device_code"]).status_code == 200
        answer = show(caller, caller.authorize_url())
        assert caller.redeem(query_of(answer.headers["location"])["code"]).status_code == 200


def test_a_form_that_breaks_off_is_no_error_in_the_log(
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
