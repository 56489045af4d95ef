"""Logins at an OpenID provider that lies, fails or is slow."""

from __future__ import annotations

import base64
import json
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from grantway import Secret
from grantway._exceptions import ConfigurationError
from grantway_grants.authorization_code import code_challenge
from grantway_plugins._jose import cached_keys
from grantway_plugins._openid import provider as provider_module
from grantway_plugins.issuer import IssuerServer, IssuerSettings, OpenIDLogin
from grantway_plugins.issuer._login import steps
from tests.faults import free_port
from tests.plugins.issuer.conftest import Caller
from tests.plugins.issuer.login.upstream import ACCESS_TOKEN, Upstream
from tests.plugins.issuer.login.visitor import Shown, Visitor
from tests.waiting import PATIENCE

ASKED = "to act for you?"
SECRET = "issuer-secret-at-upstream"


@pytest.fixture(scope="module")
def started() -> Iterator[Upstream]:
    with Upstream() as running:
        yield running


@pytest.fixture
def upstream(started: Upstream) -> Upstream:
    started.reset()
    return started


def issuer_of(upstream: Upstream, **settings: Any) -> IssuerServer:
    given = {"client_secret": SECRET, **settings}
    login = OpenIDLogin(
        upstream.url, "issuer", token_endpoint_auth_method="client_secret_post", **given
    )
    return IssuerServer(IssuerSettings(registration="unrestricted", login=login))


@pytest.fixture(scope="module")
def server(started: Upstream) -> Iterator[IssuerServer]:
    with issuer_of(started) as running:
        yield running


@pytest.fixture
def rfc(server: IssuerServer) -> Iterator[Caller]:
    with Caller(server.url) as made:
        yield made.register_rfc()


@pytest.fixture
def visitor() -> Iterator[Visitor]:
    with Visitor() as made:
        yield made


def failed(page: Shown, status: int, text: str) -> bool:
    assert page.status == status, page.text
    assert "<h1>You are not logged in</h1>" in page.text
    assert text in page.text
    for secret in (SECRET, ACCESS_TOKEN, "upstream-code", "upstream-refresh-token"):
        assert secret not in page.text
    return True


def test_a_login_succeeds(rfc: Caller, visitor: Visitor, upstream: Upstream) -> None:
    page = visitor.open(rfc.authorize_url(login_hint="ada"))
    assert ASKED in page.text
    assert "ada@example.com" in page.text
    assert upstream.asked["login_hint"] == "ada"
    assert len(upstream.asked["nonce"]) == len(upstream.asked["state"]) == 43
    assert code_challenge(upstream.sent["code_verifier"]) == upstream.asked["code_challenge"]
    assert upstream.sent["client_secret"] == SECRET


def test_the_client_secret_can_come_from_a_source(upstream: Upstream, visitor: Visitor) -> None:
    class Rotating:
        def read(self) -> Secret:
            return Secret("rotated-secret")

    with issuer_of(upstream, client_secret=Rotating()) as server:
        assert visitor.open(f"{server.url}/login").status == 200
    assert upstream.sent["client_secret"] == "rotated-secret"


def test_a_logout_continues_at_the_provider_and_returns_to_the_client(
    upstream: Upstream, visitor: Visitor
) -> None:
    after = "http://127.0.0.1:8400/bye"
    with issuer_of(upstream, provider_logout=True) as server, Caller(server.url) as rfc:
        rfc.register_rfc(post_logout_redirect_uris=[after])
        visitor.open(f"{server.url}/login")
        query = f"client_id={rfc.id}&post_logout_redirect_uri={after}&state=s1"
        page = visitor.submit(visitor.open(f"{server.url}/session/end?{query}"))
        assert page.url == f"{after}?state=s1"
        assert upstream.asked["client_id"] == "issuer"
        assert upstream.asked["post_logout_redirect_uri"] == f"{server.url}/session/ended"
        replayed = visitor.open(f"{server.url}/session/ended?state={upstream.asked['state']}")
        assert (replayed.status, "You are logged out" in replayed.text) == (200, True)


@pytest.mark.parametrize(
    "metadata", [{"end_session_endpoint": None}, {"end_session_endpoint": "http://example.com/"}]
)
def test_a_logout_ends_here_if_the_provider_has_none(
    upstream: Upstream, visitor: Visitor, metadata: dict[str, Any]
) -> None:
    upstream.metadata = metadata
    with issuer_of(upstream, provider_logout=True) as server:
        visitor.open(f"{server.url}/login")
        page = visitor.submit(visitor.open(f"{server.url}/session/end"))
        assert "You are logged out" in page.text
        assert "You are logged in" not in visitor.open(f"{server.url}/").text


def test_a_provider_without_userinfo(upstream: Upstream, visitor: Visitor) -> None:
    upstream.metadata = {"userinfo_endpoint": None}
    upstream.claims = {"name": "Ada"}
    with issuer_of(upstream) as server:
        assert "<strong>Ada</strong>" in visitor.open(f"{server.url}/login").text


def test_claims_of_the_id_token_count_more_than_those_of_userinfo(
    upstream: Upstream, visitor: Visitor
) -> None:
    upstream.claims = {"name": "Ada", "email": "signed@example.com"}
    with issuer_of(upstream) as server:
        assert "Ada / signed@example.com" in visitor.open(f"{server.url}/login").text


def test_a_prompt_that_the_provider_does_not_list_is_replaced(
    upstream: Upstream, visitor: Visitor
) -> None:
    upstream.metadata = {"prompt_values_supported": ["none", "login"]}
    with issuer_of(upstream) as server:
        visitor.open(f"{server.url}/login?login=other")
    assert upstream.asked["prompt"] == "login"


@pytest.mark.parametrize("instead", ["select_account", ""])
def test_a_prompt_can_be_replaced(upstream: Upstream, visitor: Visitor, instead: str) -> None:
    with issuer_of(upstream, prompts={"login": instead}) as server, Caller(server.url) as rfc:
        visitor.open(rfc.register_rfc().authorize_url(prompt="login"))
    assert upstream.asked.get("prompt", "") == instead


def test_further_parameters_are_sent(upstream: Upstream, visitor: Visitor) -> None:
    with issuer_of(upstream, parameters={"hd": "example.com"}, scopes=("openid",)) as server:
        visitor.open(f"{server.url}/login")
    assert (upstream.asked["hd"], upstream.asked["scope"]) == ("example.com", "openid")


def test_nothing_of_the_providers_tokens_is_stored(
    upstream: Upstream, visitor: Visitor, tmp_path: Any
) -> None:
    login = OpenIDLogin(upstream.url, "issuer", SECRET)
    settings = IssuerSettings(login=login)
    with IssuerServer(settings, database=tmp_path / "x.db") as server:
        visitor.open(f"{server.url}/login")
        nonce = upstream.asked["nonce"]
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    for secret in (ACCESS_TOKEN, "upstream-refresh-token", "upstream-code", nonce, SECRET):
        assert secret.encode() not in stored


NOW = int(time.time())


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"iss": "https://other.example"}, "is of https://other.example"),
        ({"aud": "another-client"}, "has the audience another-client"),
        ({"aud": ["issuer", "another"]}, "has the authorized party None"),
        ({"azp": "another"}, "has the authorized party another"),
        ({"nonce": "another"}, "has another nonce"),
        ({"nonce": None}, "has another nonce"),
        ({"nonce": 5}, "has another nonce"),
        ({"sub": None}, "has no sub"),
        ({"sub": ""}, "has no sub"),
        ({"sub": 7}, "has no sub"),
        ({"sub": "a" * 256}, "has no sub"),
        ({"sub": "a\nb"}, "has no sub"),
        ({"exp": NOW - 3600}, "expired"),
        ({"exp": None}, "has no valid exp"),
        ({"exp": "tomorrow"}, "has no valid exp"),
        ({"iat": None}, "has no valid iat"),
        ({"iat": NOW + 3600}, "in the future"),
        ({"nbf": NOW + 3600}, "in the future"),
        ({"auth_time": NOW + 3600}, "in the future"),
        ({"auth_time": "now"}, "has no valid auth_time"),
        ({"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}, "at_hash"),
        ({"at_hash": 5}, "at_hash"),
    ],
)
def test_a_wrong_id_token_logs_nobody_in(
    rfc: Caller,
    visitor: Visitor,
    *,
    upstream: Upstream,
    caplog: pytest.LogCaptureFixture,
    claims: dict[str, Any],
    reason: str,
) -> None:
    upstream.claims = claims
    page = visitor.open(rfc.authorize_url())
    assert failed(page, 502, "sent a response that cannot be accepted")
    assert reason in caplog.text
    upstream.reset()
    assert ASKED in visitor.open(page.links["Try again"]).text


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ({"alg": "none"}, "has the algorithm none"),
        ({"alg": "HS256"}, "has the algorithm HS256"),
        ({"alg": None}, "has the algorithm"),
        ({"typ": "at+jwt"}, "has the type at+jwt"),
        ({"typ": 5}, "has the type 5"),
        ({"kid": "another"}, "has no valid signature"),
    ],
)
def test_a_wrong_header_logs_nobody_in(
    rfc: Caller,
    visitor: Visitor,
    *,
    upstream: Upstream,
    caplog: pytest.LogCaptureFixture,
    header: dict[str, Any],
    reason: str,
) -> None:
    upstream.token = {"id_token": forged(upstream, header)}
    assert failed(visitor.open(rfc.authorize_url()), 502, "cannot be accepted")
    assert reason in caplog.text


def forged(upstream: Upstream, header: dict[str, Any]) -> str:
    """Return a token whose header was changed after it was signed."""
    token = upstream.keys.token("ada", "issuer")
    first, rest = token.split(".", 1)
    members = json.loads(base64.urlsafe_b64decode(first + "=="))
    members = {name: each for name, each in {**members, **header}.items() if each is not None}
    return f"{base64.urlsafe_b64encode(json.dumps(members).encode()).rstrip(b'=').decode()}.{rest}"


def test_a_key_that_is_not_published_logs_nobody_in(
    rfc: Caller, visitor: Visitor, upstream: Upstream
) -> None:
    with Upstream() as liar:
        upstream.token = {"id_token": liar.keys.token("ada", "issuer", iss=upstream.url)}
        assert failed(visitor.open(rfc.authorize_url()), 502, "cannot be accepted")


def test_rotated_keys_are_found(visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cached_keys, "PAUSE", 0.0)
    with Upstream() as rotating, issuer_of(rotating) as server:
        for _ in range(2):
            assert visitor.open(f"{server.url}/login?login=other").status == 200
            rotating.keys.rotate()


@pytest.mark.parametrize(
    ("token", "text"),
    [
        ({"id_token": None}, "cannot be accepted"),
        ({"id_token": "a.b"}, "cannot be accepted"),
        ({"id_token": "a.b.c"}, "cannot be accepted"),
        ({"id_token": "a" * 40_000}, "cannot be accepted"),
        ({"id_token": 5}, "cannot be accepted"),
        ({"access_token": None}, "cannot be accepted"),
    ],
)
def test_a_wrong_token_response_logs_nobody_in(
    rfc: Caller, visitor: Visitor, upstream: Upstream, token: dict[str, Any], text: str
) -> None:
    upstream.token = token
    assert failed(visitor.open(rfc.authorize_url()), 502, text)


@pytest.mark.parametrize(
    ("path", "answer", "status", "text"),
    [
        ("/token", (400, b'{"error": "invalid_client"}'), 502, "rejected the login"),
        ("/token", (400, b'{"error": "invalid_grant"}'), 400, "already finished"),
        ("/token", (503, b""), 502, "cannot be reached"),
        ("/token", (500, b"<html>"), 502, "cannot be reached"),
        ("/token", (200, b"[]"), 502, "cannot be accepted"),
        ("/token", (200, b"{" + b" " * 100_000), 502, "cannot be accepted"),
        ("/userinfo", (401, b""), 502, "cannot be reached"),
        ("/userinfo", (200, b"[]"), 502, "cannot be reached"),
        ("/userinfo", (200, b'{"sub": "bob"}'), 502, "cannot be accepted"),
        ("/userinfo", (200, b"{}"), 502, "cannot be accepted"),
        ("/userinfo", (200, b"{" + b" " * 100_000), 502, "cannot be accepted"),
    ],
)
def test_an_error_of_the_provider_is_explained(
    rfc: Caller,
    visitor: Visitor,
    *,
    upstream: Upstream,
    path: str,
    answer: tuple[int, bytes],
    status: int,
    text: str,
) -> None:
    upstream.answers = {path: answer}
    page = visitor.open(rfc.authorize_url())
    assert failed(page, status, text)
    upstream.reset()
    assert ASKED in visitor.open(page.links["Try again"]).text


@pytest.mark.parametrize(
    ("redirect", "status", "text"),
    [
        ({"error": "access_denied", "code": None}, 403, "You cancelled the login"),
        ({"error": "temporarily_unavailable", "code": None}, 502, "cannot be reached"),
        ({"error": "invalid_scope", "code": None}, 502, "rejected the login"),
        ({"error": "<script>", "code": None}, 502, "rejected the login"),
        ({"code": None}, 502, "cannot be accepted"),
        ({"iss": "https://other.example"}, 502, "cannot be accepted"),
        ({"iss": None}, 502, "cannot be accepted"),
    ],
)
def test_a_wrong_redirect_is_explained(
    rfc: Caller,
    visitor: Visitor,
    *,
    upstream: Upstream,
    redirect: dict[str, Any],
    status: int,
    text: str,
) -> None:
    upstream.redirect = redirect
    page = visitor.open(rfc.authorize_url())
    assert failed(page, status, text)
    assert "<script>" not in page.text


@pytest.mark.parametrize("state", [None, "", "another", "a" * 3000])
def test_a_callback_without_a_login_is_explained(
    server: IssuerServer, visitor: Visitor, upstream: Upstream, state: str | None
) -> None:
    upstream.redirect = {"state": state}
    page = visitor.open(f"{server.url}/login")
    assert (page.status, "no longer valid" in page.text) == (400, True)


def test_a_repeated_parameter_of_a_callback_is_rejected(
    rfc: Caller, visitor: Visitor, upstream: Upstream
) -> None:
    stopped = visitor.open(rfc.authorize_url(), until="/login/callback")
    page = visitor.open(f"{stopped.url}&code=another")
    assert page.status == 400
    assert ASKED in visitor.open(stopped.url).text


def test_a_callback_of_another_attempt_cannot_be_mixed_in(
    rfc: Caller, visitor: Visitor, upstream: Upstream, caplog: pytest.LogCaptureFixture
) -> None:
    """The nonce belongs to one attempt, also of the same browser."""
    visitor.open(rfc.authorize_url(), until="/login/callback")
    first = dict(upstream.asked)
    second = visitor.open(rfc.authorize_url(), until="/login/callback")
    upstream.asked = first
    assert failed(visitor.open(second.url), 502, "cannot be accepted")
    assert "has another nonce" in caplog.text


def test_a_login_in_another_tab_is_explained(
    rfc: Caller, visitor: Visitor, upstream: Upstream
) -> None:
    waiting = visitor.open(rfc.authorize_url(), until="/login/callback")
    assert ASKED in visitor.open(rfc.authorize_url()).text
    page = visitor.open(waiting.url)
    assert (page.status, "You are already logged in" in page.text) == (400, True)
    assert ASKED in visitor.open(rfc.authorize_url()).text


def test_the_user_must_have_authenticated_recently_enough(
    rfc: Caller, visitor: Visitor, upstream: Upstream, caplog: pytest.LogCaptureFixture
) -> None:
    upstream.claims = {"auth_time": int(time.time()) - 500}
    assert ASKED in visitor.open(rfc.authorize_url()).text
    assert ASKED in visitor.open(rfc.authorize_url(max_age="600")).text
    for params in ({"max_age": "300"}, {"prompt": "login"}):
        assert failed(visitor.open(rfc.authorize_url(**params)), 502, "cannot be accepted")
        assert "did not ask the user again" in caplog.text
    upstream.claims = {"auth_time": int(time.time())}
    assert ASKED in visitor.open(rfc.authorize_url(prompt="login", max_age="300")).text
    assert (upstream.asked["prompt"], upstream.asked["max_age"]) == ("login", "300")


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ({"issuer": "https://other.example"}, "names the issuer 'https://other.example'"),
        ({"authorization_endpoint": None}, "authorization_endpoint"),
        ({"token_endpoint": None}, "has no token_endpoint"),
        ({"jwks_uri": None}, "has no jwks_uri"),
        ({"jwks_uri": "http://example.com/jwks"}, "jwks_uri"),
        ({"token_endpoint": "http://example.com/token"}, "token_endpoint"),
    ],
)
def test_unusable_metadata_is_explained(
    upstream: Upstream,
    visitor: Visitor,
    *,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    metadata: dict[str, Any],
    reason: str,
) -> None:
    monkeypatch.setattr(provider_module, "_FAILURE_SECONDS", 0.0)
    upstream.metadata = metadata
    with issuer_of(upstream) as server:
        page = visitor.open(f"{server.url}/login")
        assert failed(page, 502, "cannot be reached")
        assert reason in caplog.text
        upstream.reset()
        assert visitor.open(page.links["Try again"]).status == 200


def test_a_huge_document_is_not_read(
    upstream: Upstream, visitor: Visitor, caplog: pytest.LogCaptureFixture
) -> None:
    upstream.answers = {"/.well-known/openid-configuration": (200, b" " * 100_000)}
    with issuer_of(upstream) as server:
        assert failed(visitor.open(f"{server.url}/login"), 502, "cannot be reached")
    assert "too large" in caplog.text


def test_missing_keys_are_explained(
    upstream: Upstream, visitor: Visitor, caplog: pytest.LogCaptureFixture
) -> None:
    upstream.metadata = {"jwks_uri": f"{upstream.url}/nothing"}
    with issuer_of(upstream) as server:
        assert failed(visitor.open(f"{server.url}/login"), 502, "cannot be reached")
    assert "its keys cannot be read" in caplog.text


def test_an_unreachable_provider_is_explained(
    visitor: Visitor, caplog: pytest.LogCaptureFixture
) -> None:
    login = OpenIDLogin(f"http://127.0.0.1:{free_port()}", "issuer")
    settings = IssuerSettings(registration="unrestricted", login=login)
    with IssuerServer(settings) as server, Caller(server.url) as rfc:
        url = rfc.register_rfc().authorize_url()
        page = visitor.open(url)
        assert failed(page, 502, "cannot be reached at the moment")
        assert urlsplit(page.links["Try again"]).query == urlsplit(url).query
    assert "Discovery of" in caplog.text


def test_a_slow_provider_delays_only_logins(
    upstream: Upstream, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "STEP_SECONDS", 0.3)
    upstream.release.clear()
    with issuer_of(upstream) as server:
        page = visitor.open(f"{server.url}/login")
        assert failed(page, 504, "took too long")
        health = visitor.http.get(f"{server.url}/health", timeout=PATIENCE)
        assert health.status_code == 200
        upstream.release.set()


def test_the_old_metadata_is_used_while_the_provider_is_down(
    upstream: Upstream, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    with issuer_of(upstream) as server:
        assert visitor.open(f"{server.url}/login").status == 200
        monkeypatch.setattr(provider_module, "REFRESH_AFTER", 0.0)
        upstream.answers = {"/.well-known/openid-configuration": (404, b"")}
        with Visitor() as other:
            assert other.open(f"{server.url}/login").status == 200


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"issuer": "http://login.example.com"}, "issuer"),
        ({"issuer": "https://a.example?x=1"}, "issuer"),
        ({"issuer": 5}, "issuer"),
        ({"client_id": ""}, "client_id"),
        ({"client_secret": ""}, "client_secret"),
        ({"client_secret": 5}, "client_secret"),
        ({"token_endpoint_auth_method": "none", "client_secret": "a"}, "client_secret"),
        ({"token_endpoint_auth_method": "client_secret_post"}, "client_secret"),
        ({"token_endpoint_auth_method": "magic"}, "token_endpoint_auth_method"),
        ({"scopes": ("email",)}, "scopes"),
        ({"scopes": "openid"}, "scopes"),
        ({"subject_claim": ""}, "subject_claim"),
        ({"subject_prefix": "a:"}, "subject_prefix"),
        ({"allow": {"email": "a"}}, "allow"),
        ({"allow": {"email": ()}}, "allow"),
        ({"allow": {"email": ("***",)}}, "allow"),
        ({"allow": 5}, "allow"),
        ({"parameters": {"state": "x"}}, "parameters"),
        ({"parameters": {"hd": 5}}, "parameters"),
        ({"prompts": {"login": "none"}}, "prompts"),
        ({"prompts": {"none": "login"}}, "prompts"),
        ({"prompts": "login"}, "prompts"),
        ({"userinfo": 1}, "userinfo"),
        ({"provider_logout": "yes"}, "provider_logout"),
        ({"ca_bundle": ""}, "ca_bundle"),
    ],
)
def test_invalid_settings_are_named(settings: dict[str, Any], name: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        OpenIDLogin(**{"issuer": "https://a.example", "client_id": "a", **settings})
    assert list(raised.value.errors) == [name]


def test_of_parallel_callbacks_one_logs_the_user_in(
    rfc: Caller, visitor: Visitor, upstream: Upstream
) -> None:
    stopped = visitor.open(rfc.authorize_url(), until="/login/callback")
    cookies = visitor.http.cookies.get_dict()

    def call(_number: int) -> int:
        response = requests.get(
            stopped.url, cookies=cookies, allow_redirects=False, timeout=PATIENCE
        )
        return response.status_code

    with ThreadPoolExecutor(8) as threads:
        statuses = sorted(threads.map(call, range(8)))
    assert statuses == [303, *[400] * 7]


def test_a_missing_library_is_a_configuration_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "grantway_plugins.issuer._login.openid.login", None)
    with pytest.raises(ConfigurationError) as raised:
        IssuerServer(IssuerSettings(login=OpenIDLogin("https://a.example", "a")))
    assert list(raised.value.errors) == ["login"]
