"""The pages: what they show, what they refuse, and where they send the browser."""

from __future__ import annotations

import re
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest
import requests

from grantway.exceptions import FlowError
from grantway_plugins.issuer import IssuerServer, IssuerSettings
from grantway_plugins.issuer.person import Person
from tests.plugins.issuer.conftest import CALLBACK, Caller, Clock, query_of
from tests.waiting import PATIENCE, until


def show(caller: Caller, url: str) -> requests.Response:
    return caller.http.get(url, allow_redirects=False)


def fields_of(page: str) -> dict[str, str]:
    return dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', page))


@pytest.mark.parametrize("path", ["/device", "/device?user_code=BBBB-BBBB", "/authorize"])
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


def test_the_authorization_page_shows_client_and_scopes_and_allows_its_redirect(
    rfc: Caller,
) -> None:
    page = show(rfc, rfc.authorize_url())
    assert page.status_code == 200
    assert "<code>a</code>" in page.text
    assert CALLBACK in page.text
    assert "form-action 'self' http://127.0.0.1:8400" in page.headers["content-security-policy"]


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


def test_denial_sends_back_access_denied(rfc: Caller, person: Person) -> None:
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


def test_elsewhere_the_port_counts_and_the_query_is_kept(caller: Caller, person: Person) -> None:
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
    rfc: Caller, person: Person, spelling: str
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
    with ThreadPoolExecutor(6) as pool:
        held = pool.submit(server.store.run, lambda _transaction: released.wait(PATIENCE))
        try:
            guesses = [pool.submit(requests.get, wrong, timeout=PATIENCE) for _ in range(5)]
            until(lambda: server.store._jobs.qsize() >= 5, seconds=PATIENCE / 2)
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


def test_five_wrong_codes_in_a_row_make_everybody_at_this_address_wait(
    rfc: Caller, person: Person, clock: Clock
) -> None:
    started = rfc.start()
    for _ in range(4):
        with pytest.raises(FlowError, match="not known"):
            person.approve_device(started["verification_uri"], "BBBB-BBBB")
    with pytest.raises(FlowError, match="Wait 60 seconds"):
        person.approve_device(started["verification_uri"], "BBBB-BBBB")
    clock.tick(20.5)
    with pytest.raises(FlowError, match="Wait 40 seconds"):
        person.approve_device(started["verification_uri"], started["user_code"])
    answer = show(rfc, started["verification_uri_complete"])  # another session, the same address
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "40")
    clock.tick(39.5)
    person.approve_device(started["verification_uri"], started["user_code"])
    assert rfc.poll(started["device_code"]).status_code == 200


def test_a_right_code_starts_the_count_again(rfc: Caller, person: Person) -> None:
    for _ in range(3):
        started = rfc.start()
        for _ in range(4):
            with pytest.raises(FlowError, match="not known"):
                person.approve_device(started["verification_uri"], "BBBB-BBBB")
        person.approve_device(started["verification_uri"], started["user_code"])


def test_an_expired_code_cannot_be_approved(rfc: Caller, person: Person, clock: Clock) -> None:
    started = rfc.start()
    clock.tick(600)
    with pytest.raises(FlowError, match="expired"):
        person.approve_device(started["verification_uri_complete"])


def test_a_form_that_cannot_be_read_or_chooses_nothing(rfc: Caller) -> None:
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
