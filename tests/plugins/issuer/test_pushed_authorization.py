"""Pushed authorization requests (RFC 9126)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import requests

import grantway
from grantway._exceptions import FlowError
from grantway_grants.authorization_code import login_by_paste
from grantway_plugins.client_auth import DPoP
from grantway_plugins.issuer import BrowserDriver, IssuerServer, IssuerSettings, Lifetimes
from tests.plugins.issuer.conftest import CALLBACK, CHALLENGE, Caller, Clock, query_of
from tests.plugins.server.proofs import KEY, OTHER_KEY, proof
from tests.waiting import PATIENCE

ASKED = {
    "response_type": "code",
    "redirect_uri": CALLBACK,
    "state": "xyz",
    "code_challenge": CHALLENGE,
    "code_challenge_method": "S256",
}
UNUSABLE = "has expired, or was used already"


@pytest.fixture(scope="module")
def clock() -> Clock:
    """The clock of the issuer that most tests share."""
    return Clock()


@pytest.fixture(scope="module")
def server(clock: Clock) -> Iterator[IssuerServer]:
    """The issuer that most tests share."""
    with IssuerServer(IssuerSettings(registration="unrestricted"), clock=clock) as running:
        yield running


def push(caller: Caller, **params: Any) -> requests.Response:
    asked = {**ASKED, **params}
    return caller.as_rfc("/par", **{name: value for name, value in asked.items() if value})


def pushed(caller: Caller, **params: Any) -> str:
    """Push a request and return its ``request_uri``."""
    response = push(caller, **params)
    assert response.status_code == 201, response.text
    uri: str = response.json()["request_uri"]
    return uri


def address(caller: Caller, uri: str, **params: str) -> str:
    query = {"client_id": caller.id, "request_uri": uri, **params}
    return f"{caller.url}/authorize?{urlencode({k: v for k, v in query.items() if v})}"


def rejected(response: requests.Response, error: str, status: int = 400) -> None:
    assert (response.status_code, response.json()["error"]) == (status, error), response.text


def test_a_pushed_request_gives_a_code(rfc: Caller, driver: BrowserDriver) -> None:
    response = push(rfc, scope="a")
    assert response.status_code == 201
    assert response.headers["cache-control"] == "no-store"
    uri, expires_in = response.json()["request_uri"], response.json()["expires_in"]
    assert uri.startswith("urn:ietf:params:oauth:request_uri:")
    assert expires_in == 60
    sent_back = query_of(driver.approve_authorization(address(rfc, uri)))
    assert sent_back["state"] == "xyz"
    tokens = rfc.redeem(sent_back["code"]).json()
    assert tokens["scope"] == "a"


def test_parameters_in_the_query_are_not_used(rfc: Caller, driver: BrowserDriver) -> None:
    uri = pushed(rfc, scope="a")
    url = address(rfc, uri, scope="a b", state="other", redirect_uri="https://evil.example.com")
    sent_back = driver.approve_authorization(url)
    assert sent_back.startswith(CALLBACK)
    assert query_of(sent_back)["state"] == "xyz"
    assert rfc.redeem(query_of(sent_back)["code"]).json()["scope"] == "a"


@pytest.mark.parametrize("method", ["client_secret_basic", "none"])
def test_clients_authenticate_as_at_the_token_endpoint(caller: Caller, method: str) -> None:
    caller.register_rfc(token_endpoint_auth_method=method)
    assert pushed(caller)
    stranger = caller.clone()
    stranger.id = "0" * 32
    with stranger:
        rejected(push(stranger), "invalid_client", 401)


def test_a_wrong_secret_is_rejected(rfc: Caller) -> None:
    rfc.secret = "wrong"
    rejected(push(rfc), "invalid_client", 401)


@pytest.mark.parametrize(
    ("params", "error", "says"),
    [
        ({"request_uri": "urn:x"}, "invalid_request", "request_uri cannot be pushed"),
        ({"request": "e30.e30."}, "request_not_supported", "request is not supported"),
        ({"redirect_uri": "https://evil.example.com"}, "invalid_request", "redirect_uri"),
        ({"response_type": ""}, "invalid_request", "response_type is required"),
        ({"response_type": "token"}, "unsupported_response_type", "must be code"),
        ({"response_mode": "fragment"}, "invalid_request", "response_mode"),
        ({"code_challenge_method": "plain"}, "invalid_request", "must be S256"),
        ({"code_challenge": "x"}, "invalid_request", "43 characters"),
        ({"scope": "a c"}, "invalid_scope", "scope exceeds"),
        ({"scope": "a  b"}, "invalid_scope", "scope exceeds"),
        ({"resource": "relative"}, "invalid_target", "resource"),
        ({"dpop_jkt": "x"}, "invalid_request", "dpop_jkt must be"),
        ({"state": ["1", "2"]}, "invalid_request", "Duplicate parameter: state"),
        ({"state": "s" * 17_000}, "invalid_request", "larger than 16,384 bytes"),
    ],
)
def test_invalid_parameters_are_rejected(
    rfc: Caller, params: dict[str, Any], error: str, says: str
) -> None:
    response = push(rfc, **params)
    rejected(response, error)
    assert says in response.json()["error_description"]


def test_a_body_that_is_too_large_is_rejected(rfc: Caller) -> None:
    assert push(rfc, state="s" * 70_000).status_code == 413


def test_only_forms_can_be_posted(rfc: Caller) -> None:
    assert rfc.aws("/par", **ASKED).status_code == 415
    assert rfc.http.get(f"{rfc.url}/par").status_code == 405


def test_several_resources_can_be_pushed(rfc: Caller, driver: BrowserDriver) -> None:
    resources = ["https://a.example.com/", "https://b.example.com/"]
    uri = pushed(rfc, resource=resources)
    code = query_of(driver.approve_authorization(address(rfc, uri)))["code"]
    token = rfc.redeem(code).json()["access_token"]
    assert rfc.as_rfc("/introspect", token=token).json()["aud"] == resources


@pytest.mark.parametrize("decision", ["approve", "deny"])
def test_a_request_is_used_once(rfc: Caller, driver: BrowserDriver, decision: str) -> None:
    uri = pushed(rfc)
    if decision == "approve":
        driver.approve_authorization(address(rfc, uri))
    else:
        sent_back = query_of(driver.deny_authorization(address(rfc, uri)))
        assert sent_back["error"] == "access_denied"
    with pytest.raises(FlowError, match=UNUSABLE):
        driver.approve_authorization(address(rfc, uri))


def test_a_request_expires(rfc: Caller, clock: Clock, driver: BrowserDriver) -> None:
    uri = pushed(rfc)
    clock.tick(61)
    with pytest.raises(FlowError, match=UNUSABLE):
        driver.approve_authorization(address(rfc, uri))


def test_the_user_has_time_to_decide(rfc: Caller, clock: Clock, driver: BrowserDriver) -> None:
    uri = pushed(rfc)
    driver.visit(address(rfc, uri))
    clock.tick(599)
    driver.visit(address(rfc, uri))  # does not extend the time again
    clock.tick(2)
    with pytest.raises(FlowError, match=UNUSABLE):
        driver.approve_authorization(address(rfc, uri))


def test_a_request_is_bound_to_its_client(
    rfc: Caller, caller: Caller, driver: BrowserDriver
) -> None:
    uri = pushed(rfc)
    caller.register_rfc()
    for url in (address(caller, uri), address(rfc, uri).replace("client_id=", "x=")):
        with pytest.raises(FlowError, match=UNUSABLE):
            driver.approve_authorization(url)
    assert driver.approve_authorization(address(rfc, uri))


@pytest.mark.parametrize(
    "uri",
    [
        "urn:ietf:params:oauth:request_uri:",
        "urn:ietf:params:oauth:request_uri:gwp_unknown",
        "urn:ietf:params:oauth:request_uri:" + "x" * 3000,
        "urn:ietf:params:oauth:request_uri:\x00",
    ],
)
def test_an_unknown_request_shows_a_page(rfc: Caller, driver: BrowserDriver, uri: str) -> None:
    with pytest.raises(FlowError, match=UNUSABLE):
        driver.approve_authorization(address(rfc, uri))


def test_requests_by_reference_are_not_supported(rfc: Caller) -> None:
    url = rfc.authorize_url(request_uri="https://client.example.com/request.jwt")
    sent_back = query_of(rfc.http.get(url, allow_redirects=False).headers["Location"])
    assert sent_back["error"] == "request_uri_not_supported"


def test_a_repeated_request_uri_is_rejected(rfc: Caller) -> None:
    uri = pushed(rfc)
    url = f"{rfc.authorize_url(request_uri=uri)}&request_uri={uri}"
    sent_back = query_of(rfc.http.get(url, allow_redirects=False).headers["Location"])
    assert sent_back["error_description"] == "Duplicate parameter: request_uri"


def test_a_proof_binds_the_code_to_its_key(
    rfc: Caller, clock: Clock, driver: BrowserDriver
) -> None:
    response = _push_with_proof(rfc, clock)
    assert response.status_code == 201, response.text
    uri = response.json()["request_uri"]
    code = query_of(driver.approve_authorization(address(rfc, uri)))["code"]
    rejected(rfc.redeem(code), "invalid_grant")


def test_a_proof_of_another_key_than_dpop_jkt_is_rejected(rfc: Caller, clock: Clock) -> None:
    rejected(_push_with_proof(rfc, clock, dpop_jkt=OTHER_KEY.thumbprint()), "invalid_request")
    assert _push_with_proof(rfc, clock, dpop_jkt=KEY.thumbprint()).status_code == 201


def test_a_client_can_register_that_it_always_pushes(caller: Caller) -> None:
    caller.register_rfc(require_pushed_authorization_requests=True)
    url = caller.authorize_url()
    sent_back = query_of(caller.http.get(url, allow_redirects=False).headers["Location"])
    assert sent_back["error"] == "invalid_request"
    assert "must push" in sent_back["error_description"]
    with BrowserDriver() as driver:
        assert driver.approve_authorization(address(caller, pushed(caller)))


def test_an_issuer_can_require_pushed_requests(clock: Clock) -> None:
    settings = IssuerSettings(
        registration="unrestricted",
        require_pushed_authorization_requests=True,
        lifetimes=Lifetimes(pushed_request=300),
    )
    with IssuerServer(settings, clock=clock) as server, Caller(server.url) as caller:
        caller.register_rfc()
        metadata = caller.http.get(f"{server.url}/.well-known/oauth-authorization-server").json()
        assert metadata["require_pushed_authorization_requests"] is True
        sent_back = query_of(
            caller.http.get(caller.authorize_url(), allow_redirects=False).headers["Location"]
        )
        assert "must push" in sent_back["error_description"]
        assert push(caller).json()["expires_in"] == 300
        with BrowserDriver() as driver:
            # A form with the parameters themselves would circumvent the requirement.
            sent_back = query_of(
                driver.submit(
                    address(caller, pushed(caller)), request_uri="", decision="approve", **ASKED
                )
            )
        assert "must push" in sent_back["error_description"]


def test_metadata_names_the_endpoint(rfc: Caller) -> None:
    metadata = rfc.http.get(f"{rfc.url}/.well-known/oauth-authorization-server").json()
    assert metadata["pushed_authorization_request_endpoint"] == f"{rfc.url}/par"
    assert "require_pushed_authorization_requests" not in metadata
    assert metadata["request_parameter_supported"] is False


def test_automatic_approval_uses_the_request_up(clock: Clock) -> None:
    settings = IssuerSettings(approve="auto", registration="unrestricted")
    with IssuerServer(settings, clock=clock) as server, Caller(server.url) as caller:
        caller.register_rfc()
        url = address(caller, pushed(caller))
        first, second = (caller.http.get(url, allow_redirects=False) for _ in range(2))
        assert "code" in query_of(first.headers["Location"])
        assert (second.status_code, UNUSABLE in second.text) == (400, True)


def test_credentials_of_a_pushed_request_are_not_stored(tmp_path: Path, clock: Clock) -> None:
    file, state = tmp_path / "issuer.db", "a-state-that-is-stored"
    settings = IssuerSettings(registration="unrestricted")
    with (
        IssuerServer(settings, database=file, clock=clock) as server,
        Caller(server.url) as caller,
    ):
        caller.register_rfc(token_endpoint_auth_method="client_secret_post")
        uri = pushed(caller, state=state)
    stored = b"".join(each.read_bytes() for each in tmp_path.iterdir() if each.is_file())
    assert state.encode() in stored
    assert caller.secret.encode() not in stored
    assert uri.rpartition(":")[2].encode() not in stored


def test_replicas_share_pushed_requests_and_use_them_once(database: str, clock: Clock) -> None:
    settings = IssuerSettings(issuer="http://login.localhost:8400", registration="unrestricted")
    first, second = (IssuerServer(settings, database=database, clock=clock) for _ in range(2))
    together = threading.Barrier(4, timeout=PATIENCE)

    def approve(url: str) -> str:
        with BrowserDriver() as driver:
            driver.visit(url)
            together.wait()
            try:
                return driver.approve_authorization(url)
            except FlowError as error:
                return str(error)

    with first, second, Caller(first.address) as caller:
        url = address(caller.register_rfc(), pushed(caller))
        other = url.replace(first.address, second.address)
        with ThreadPoolExecutor(4) as pool:
            outcomes = list(pool.map(approve, [url, other] * 2))
    assert sum("code=" in each for each in outcomes) == 1
    assert sum(UNUSABLE in each for each in outcomes) == 3


def test_grantways_client_pushes_with_a_proof() -> None:
    with IssuerServer(IssuerSettings(registration="unrestricted")) as server:
        with Caller(server.url) as caller:
            caller.register_rfc(token_endpoint_auth_method="none")
        dpop = DPoP(grantway.NoAuth(caller.id), KEY)
        provider = grantway.Provider.discover(server.url)
        with (
            grantway.Client(provider, client_id=caller.id, auth=dpop) as client,
            BrowserDriver() as driver,
        ):
            token = login_by_paste(
                client, driver.approve_authorization, redirect_uri=CALLBACK, scope="a", par=True
            )
            assert token.token_type == "DPoP"
            again = client.create_token(
                grant_type="refresh_token", refresh_token=token.refresh_token
            )
            assert again.token_type == "DPoP"


def _push_with_proof(caller: Caller, clock: Clock, **params: str) -> requests.Response:
    header = proof(f"{caller.url}/par", now=clock.now)
    return caller.http.post(
        f"{caller.url}/par",
        data={**ASKED, **params},
        auth=(caller.id, caller.secret),
        headers={"DPoP": header},
    )
