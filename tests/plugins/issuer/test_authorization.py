"""Parameters and errors of authorization requests."""

from __future__ import annotations

import html
import re
from urllib.parse import quote, urlencode

import pytest
import requests

from grantway_plugins.issuer import IssuerServer, IssuerSettings
from grantway_plugins.issuer._browser_driver import BrowserDriver
from tests.plugins.issuer.conftest import CALLBACK, CHALLENGE, Caller, query_of

ELSEWHERE = "https://client.example/cb"


def ask(caller: Caller, url: str) -> requests.Response:
    return caller.http.get(url, allow_redirects=False)


def error_of(response: requests.Response) -> str:
    assert response.status_code == 303, response.text
    return query_of(response.headers["location"])["error"]


@pytest.mark.parametrize(
    "name", ["scope", "scopes", "state", "response_mode", "request", "request_uri", "prompt"]
)
def test_a_parameter_without_a_value_counts_as_omitted(rfc: Caller, name: str) -> None:
    """RFC 6749 section 3.1."""
    url = rfc.authorize_url(**{name: ""})
    assert f"{name}=" not in url
    assert ask(rfc, f"{url}&{name}=").status_code == 200


def test_an_empty_redirect_uri_stands_for_the_only_registered_one(
    rfc: Caller, driver: BrowserDriver
) -> None:
    url = rfc.authorize_url(redirect_uri="") + "&redirect_uri="
    code = query_of(driver.approve_authorization(url))["code"]
    assert rfc.redeem(code, redirect_uri="").status_code == 200


def test_empty_pkce_parameters_count_as_omitted(rfc: Caller) -> None:
    plain = rfc.authorize_url(code_challenge="", code_challenge_method="")
    empty = "&code_challenge=&code_challenge_method="
    assert ask(rfc, plain + empty).status_code == 200
    rfc.register_rfc(token_endpoint_auth_method="none")
    plain = rfc.authorize_url(code_challenge="", code_challenge_method="")
    assert error_of(ask(rfc, plain + empty)) == "invalid_request"


@pytest.mark.parametrize("name", ["response_type", "client_id"])
def test_an_empty_required_parameter_counts_as_missing(rfc: Caller, name: str) -> None:
    response = ask(rfc, f"{rfc.authorize_url(**{name: ''})}&{name}=")
    if name == "client_id":
        assert response.status_code == 400
    else:
        assert "required" in query_of(response.headers["location"])["error_description"]


def test_an_empty_parameter_is_not_a_duplicate(rfc: Caller) -> None:
    assert ask(rfc, f"{rfc.authorize_url()}&state=&scope=&scope=a").status_code == 200


@pytest.mark.parametrize("name", ["state", "scope", "prompt", "request_uri", "response_mode"])
def test_names_a_duplicate_parameter(rfc: Caller, name: str) -> None:
    url = f"{rfc.authorize_url(state='')}&{name}=a&{name}=b"
    sent = query_of(ask(rfc, url).headers["location"])
    assert sent["error"] == "invalid_request"
    assert name in sent["error_description"]


def test_ignores_unknown_parameters(rfc: Caller) -> None:
    page = ask(rfc, f"{rfc.authorize_url()}&display=n1&display=n2&claims=5")
    assert page.status_code == 200
    assert "display" not in page.text


@pytest.mark.parametrize(
    ("params", "error"),
    [
        ({"prompt": "none"}, "consent_required"),
        ({"prompt": "none login"}, "invalid_request"),
        ({"request": "ey.ey."}, "request_not_supported"),
        ({"request_uri": "https://client.example/r"}, "request_uri_not_supported"),
        ({"registration": "{}"}, "registration_not_supported"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"response_mode": "web_message"}, "invalid_request"),
    ],
)
def test_rejects_unsupported_parameters(rfc: Caller, params: dict[str, str], error: str) -> None:
    response = ask(rfc, rfc.authorize_url(**params))
    assert error_of(response) == error
    sent = query_of(response.headers["location"])
    assert (sent["state"], sent["iss"]) == ("xyz", rfc.url)


def test_reports_request_uri_as_not_supported(rfc: Caller) -> None:
    """Clients send it after a pushed authorization request (RFC 9126 section 4)."""
    query = urlencode({"client_id": rfc.id, "request_uri": "urn:example:1"})
    assert error_of(ask(rfc, f"{rfc.url}/authorize?{query}")) == "request_uri_not_supported"


@pytest.mark.parametrize("prompt", ["login", "consent", "select_account", "login consent"])
def test_any_other_prompt_shows_the_page(rfc: Caller, prompt: str) -> None:
    assert ask(rfc, rfc.authorize_url(prompt=prompt)).status_code == 200


def test_prompt_none_works_with_automatic_approval() -> None:
    with IssuerServer(IssuerSettings(approve="auto")) as server, Caller(server.url) as caller:
        caller.register_rfc()
        response = ask(caller, caller.authorize_url(prompt="none"))
        assert query_of(response.headers["location"])["code"]


def test_the_metadata_lists_the_supported_features(rfc: Caller) -> None:
    metadata = rfc.http.get(f"{rfc.url}/.well-known/openid-configuration").json()
    assert metadata["response_modes_supported"] == ["query", "form_post"]
    assert metadata["request_uri_parameter_supported"] is False
    assert metadata["request_parameter_supported"] is False


def form_of(page: str) -> dict[str, str]:
    pairs = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', page)
    return {name: html.unescape(value) for name, value in pairs}


def test_form_post_responds_with_a_form_for_the_client(rfc: Caller) -> None:
    url = rfc.authorize_url(response_mode="form_post", state='"><script>')
    response = rfc.http.post(
        f"{rfc.url}/authorize",
        data={**form_of(ask(rfc, url).text), "decision": "approve"},
        allow_redirects=False,
    )
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["content-security-policy"].endswith("script-src 'self'")
    assert f'action="{CALLBACK}"' in response.text
    sent = form_of(response.text)
    assert (sent["state"], sent["iss"]) == ('"><script>', rfc.url)
    assert rfc.redeem(sent["code"]).status_code == 200


def test_rejects_form_post_to_a_private_use_scheme(caller: Caller) -> None:
    caller.register_rfc(redirect_uris=["com.example.app:/cb"])
    url = caller.authorize_url(redirect_uri="com.example.app:/cb", response_mode="form_post")
    response = ask(caller, url)
    assert response.status_code == 400
    assert "com.example.app:/cb?error=invalid_request" in response.text


@pytest.mark.parametrize("redirect", [ELSEWHERE, "com.example.app:/cb"])
@pytest.mark.parametrize(
    "mistake",
    [
        {"response_type": "token"},
        {"scope": "admin"},
        {"prompt": "none"},
        {"request_uri": "https://a.example"},
        {"response_mode": "fragment"},
        {"code_challenge": "short"},
        {"state": "", "other": "&state=a&state=b"},
    ],
)
def test_an_error_does_not_redirect_the_browser_automatically(
    caller: Caller, redirect: str, mistake: dict[str, str]
) -> None:
    """Anyone can register a client, so its errors must not redirect (RFC 9700 4.11.2)."""
    caller.register_rfc(redirect_uris=[redirect], client_name="A trap")
    other = mistake.get("other", "")
    params = {name: value for name, value in mistake.items() if name != "other"}
    response = ask(caller, caller.authorize_url(redirect_uri=redirect, **params) + other)
    assert response.status_code == 400
    assert "location" not in response.headers
    assert "refresh" not in response.headers
    assert "http-equiv" not in response.text
    assert "<script" not in response.text
    assert "A trap" in response.text
    assert f'href="{redirect}?error=' in response.text


def test_an_invalid_form_does_not_redirect(caller: Caller) -> None:
    """The form contains the request again, and a user can edit its fields."""
    caller.register_rfc(redirect_uris=[ELSEWHERE])
    form = form_of(ask(caller, caller.authorize_url(redirect_uri=ELSEWHERE)).text)
    form |= {"scope": "admin", "decision": "approve"}
    response = caller.http.post(f"{caller.url}/authorize", data=form, allow_redirects=False)
    assert response.status_code == 400
    assert "location" not in response.headers


@pytest.mark.parametrize("host", ["127.0.0.1:3000", "[::1]:3000", "localhost:3000"])
def test_errors_redirect_automatically_to_this_machine(caller: Caller, host: str) -> None:
    redirect = f"http://{host}/cb"
    caller.register_rfc(redirect_uris=[redirect])
    url = caller.authorize_url(redirect_uri=redirect, scope="admin")
    assert error_of(ask(caller, url)) == "invalid_scope"


def test_a_denial_returns_to_the_client(caller: Caller, driver: BrowserDriver) -> None:
    """The page has shown the destination to the user."""
    caller.register_rfc(redirect_uris=[ELSEWHERE])
    location = driver.deny_authorization(caller.authorize_url(redirect_uri=ELSEWHERE))
    assert location.startswith(f"{ELSEWHERE}?error=access_denied")


def test_a_stale_form_links_to_the_same_request(rfc: Caller) -> None:
    form = form_of(ask(rfc, rfc.authorize_url(state="a&b")).text)
    rfc.http.cookies.clear()
    response = rfc.http.post(f"{rfc.url}/authorize", data={**form, "decision": "approve"})
    assert response.status_code == 403
    (link,) = re.findall(r'<p><a href="([^"]+)"', response.text)
    assert quote(CALLBACK, safe="") in link
    page = ask(rfc, rfc.url + html.unescape(link))
    assert form_of(page.text)["state"] == "a&b"
    assert form_of(page.text)["code_challenge"] == CHALLENGE


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost"])
def test_the_port_on_this_machine_may_differ(caller: Caller, host: str) -> None:
    """Native clients listen on a free port, and some of them on localhost."""
    caller.register_rfc(redirect_uris=[f"http://{host}/cb"])
    url = caller.authorize_url(redirect_uri=f"http://{host}:3000/cb")
    assert ask(caller, url).status_code == 200
    elsewhere = caller.authorize_url(redirect_uri=f"http://{host}:3000/other")
    assert ask(caller, elsewhere).status_code == 400
