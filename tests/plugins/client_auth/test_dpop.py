"""Tests of DPoP: proofs, nonces and bound tokens."""

from __future__ import annotations

import pickle
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

import grantway
from grantway import NoAuth, UseDpopNonceError
from grantway._exceptions import (
    ConnectionFailedError,
    InvalidGrantException,
    ResponseInvalidError,
)
from grantway._requests.retry import RetryPolicy
from grantway._transport.http import HttpRequest, HttpResponse
from grantway_plugins.client_auth import DPoP, PrivateKeyJwt
from grantway_plugins.client_auth._dpop import target, token_hash
from tests.plugins.client_auth.scripted import (
    TOKEN_ENDPOINT,
    Scripted,
    answer,
    form,
    header_of,
    refusal,
    token,
    verified,
)

KEY = ECKey.generate_key("P-256", {"kid": "k1"})
RESOURCE = "https://api.example/orders?page=2#top"


def read(proof: str) -> jwt.Token:
    """Return a proof after verifying it with its own key."""
    return verified(proof, header_of(proof)["jwk"])


def claims(request: HttpRequest) -> dict[str, Any]:
    return dict(read(request.headers["DPoP"]).claims)


def client(transport: Scripted, auth: DPoP, **metadata: str) -> grantway.Client:
    return grantway.Client(
        grantway.Provider(TOKEN_ENDPOINT, metadata=metadata),
        client_id="my-client",
        auth=auth,
        transport=transport,
        retry=RetryPolicy(base=0),
    )


def refresh(transport: Scripted, auth: DPoP) -> grantway.Token:
    return client(transport, auth).create_token(grant_type="refresh_token", refresh_token="rt-1")


def make(**options: Any) -> DPoP:
    return DPoP(NoAuth("my-client"), KEY, **options)


def bound(**headers: str) -> HttpResponse:
    return token("DPoP", **headers)


# --- the vectors of RFC 9449 -------------------------------------------------------------------


def test_the_token_hash_matches_section_7_1() -> None:
    held = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"
    assert token_hash(held) == "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo"


def test_the_thumbprint_matches_section_6_1() -> None:
    public = {
        "kty": "EC",
        "crv": "P-256",
        "x": "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs",
        "y": "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA",
    }
    key = ECKey.import_key(public)
    assert key.thumbprint() == "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
    dpop = make()
    assert dpop.thumbprint == KEY.thumbprint()


# --- the proof ---------------------------------------------------------------------------------


def test_a_token_request_has_a_proof() -> None:
    transport, before = Scripted([bound()]), int(time.time())
    assert refresh(transport, make()).token_type == "DPoP"
    (request,) = transport.requests
    seen = read(request.headers["DPoP"])
    assert seen.header["typ"] == "dpop+jwt"
    assert set(seen.header) == {"typ", "alg", "jwk"}
    assert set(seen.header["jwk"]) == {"kty", "crv", "x", "y"}
    assert set(seen.claims) == {"jti", "htm", "htu", "iat"}
    assert (seen.claims["htm"], seen.claims["htu"]) == ("POST", TOKEN_ENDPOINT)
    assert before <= seen.claims["iat"] <= time.time()
    assert form(request)["client_id"] == "my-client"


def test_wraps_any_other_authentication_method() -> None:
    transport = Scripted([bound()])
    refresh(transport, DPoP(PrivateKeyJwt("my-client", KEY), RSAKey.generate_key(2048)))
    (request,) = transport.requests
    assert "client_assertion" in form(request)
    assert set(read(request.headers["DPoP"]).header["jwk"]) == {"kty", "n", "e"}


def test_every_attempt_has_a_new_proof() -> None:
    transport = Scripted([ConnectionFailedError("down"), answer(503, {}), bound()])
    refresh(transport, make())
    assert len({claims(request)["jti"] for request in transport.requests}) == 3


def test_sends_no_proof_to_other_endpoints() -> None:
    transport = Scripted([answer(200, {}), answer(201, {"request_uri": "urn:x"})])
    endpoints = {
        "revocation_endpoint": "https://as.example/revoke",
        "pushed_authorization_request_endpoint": "https://as.example/par",
    }
    asking = client(transport, make(), **endpoints)
    asking.call("revocation", token="t")
    asking.call("pushed_authorization_request", scope=("read",))
    revoked, pushed = transport.requests
    assert "DPoP" not in revoked.headers
    assert claims(pushed)["htu"] == "https://as.example/par"


@pytest.mark.parametrize(
    ("url", "htu"),
    [
        (RESOURCE, "https://api.example/orders"),
        ("HTTPS://API.example:443", "https://api.example/"),
        ("https://api.example:8443/A%20b?x", "https://api.example:8443/A%20b"),
        ("http://[::1]:80/x", "http://[::1]/x"),
        ("wss://api.example:443/x", "https://api.example/x"),
    ],
)
def test_normalizes_htu(url: str, htu: str) -> None:
    assert target(url) == htu


# --- the nonce ---------------------------------------------------------------------------------


def test_retries_with_a_requested_nonce_and_remembers_it() -> None:
    transport = Scripted(
        [refusal("use_dpop_nonce", dpop_nonce="n1"), bound(), bound(dpop_nonce="n2"), bound()]
    )
    dpop = make()
    for _ in range(3):
        refresh(transport, dpop)
    nonces = [claims(request).get("nonce") for request in transport.requests]
    assert nonces == [None, "n1", "n1", "n2"]
    assert transport.requests[0].body == transport.requests[1].body


def test_a_nonce_challenge_does_not_consume_a_code() -> None:
    transport = Scripted([refusal("use_dpop_nonce", dpop_nonce="n1"), bound()])
    got = client(transport, make()).create_token(grant_type="authorization_code", code="c")
    assert got.access_token == "at-1"


@pytest.mark.parametrize(
    "script",
    [
        [refusal("use_dpop_nonce")],
        [refusal("use_dpop_nonce", dpop_nonce="n1"), refusal("use_dpop_nonce", dpop_nonce="n1")],
        [refusal("use_dpop_nonce", dpop_nonce="n1"), refusal("use_dpop_nonce", dpop_nonce="n2")],
    ],
    ids=["no nonce", "the same again", "another again"],
)
def test_retries_only_once_for_a_nonce(script: list[Any]) -> None:
    transport = Scripted(list(script))
    with pytest.raises(UseDpopNonceError) as caught:
        refresh(transport, make())
    assert caught.value.error == "use_dpop_nonce"
    assert caught.value.evidence.attempts == len(transport.requests) == len(script)
    assert "n1" not in str(caught.value.evidence)


def test_does_not_retry_other_errors_but_keeps_their_nonce() -> None:
    transport = Scripted([refusal("invalid_grant", dpop_nonce="n1"), bound()])
    dpop = make()
    with pytest.raises(InvalidGrantException):
        refresh(transport, dpop)
    refresh(transport, dpop)
    assert claims(transport.requests[1])["nonce"] == "n1"


def test_keeps_nonces_separate_by_server() -> None:
    dpop = make()
    assert not dpop.record_nonce("https://a.example/x", 200, {"DPoP-Nonce": "na"})
    assert read(dpop.proof("GET", "https://A.example:443/y")).claims["nonce"] == "na"
    assert "nonce" not in read(dpop.proof("GET", "https://b.example/y")).claims


def test_limits_the_number_of_nonces() -> None:
    dpop = make()
    for number in range(2500):
        dpop.record_nonce(f"https://{number}.example", 200, {"dpop-nonce": "n"})
    assert len(dpop._nonces) <= 1000


def test_one_object_serves_many_threads() -> None:
    def serve(request: HttpRequest) -> HttpResponse:
        asked = claims(request).get("nonce") != "n1"
        return refusal("use_dpop_nonce", dpop_nonce="n1") if asked else bound()

    transport, dpop = Scripted([serve] * 64), make()
    failures: list[BaseException] = []

    def run() -> None:
        try:
            refresh(transport, dpop)
        except BaseException as error:  # noqa: BLE001 - shown by the assertion
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    jtis = [claims(request)["jti"] for request in transport.requests]
    assert len(set(jtis)) == len(jtis) <= 32


# --- the token ---------------------------------------------------------------------------------


def test_rejects_a_token_that_is_not_bound() -> None:
    with pytest.raises(ResponseInvalidError, match="not bound to the DPoP key"):
        refresh(Scripted([token("Bearer")]), make())
    assert refresh(Scripted([token("Bearer")]), make(require_bound=False)).token_type == "Bearer"
    assert refresh(Scripted([token("dpop")]), make()).access_token == "at-1"


# --- resources ---------------------------------------------------------------------------------


def test_a_resource_accepts_the_token_with_its_proof() -> None:
    dpop = make()
    for held in (grantway.Token("at-1", token_type="DPoP"), "at-1"):
        headers = dpop.headers("get", RESOURCE, held)
        assert headers["Authorization"] == "DPoP at-1"
        seen = read(headers["DPoP"]).claims
        assert seen["htm"] == "GET"
        assert seen["htu"] == "https://api.example/orders"
        assert seen["ath"] == token_hash("at-1")


CHALLENGE = 'DPoP error="use_dpop_nonce", error_description="Resource server requires nonce"'


@pytest.mark.parametrize(
    ("status", "headers", "again"),
    [
        (401, {"WWW-Authenticate": CHALLENGE, "DPoP-Nonce": "n1"}, True),
        (401, {"www-authenticate": f"Bearer, {CHALLENGE}", "dpop-nonce": "n1"}, True),
        (401, {"WWW-Authenticate": CHALLENGE}, False),
        (401, {"WWW-Authenticate": 'DPoP error="invalid_token"', "DPoP-Nonce": "n1"}, False),
        (403, {"WWW-Authenticate": CHALLENGE, "DPoP-Nonce": "n1"}, False),
        (200, {"DPoP-Nonce": "n1"}, False),
        (200, {}, False),
    ],
)
def test_handles_a_nonce_challenge_of_a_resource(
    status: int, headers: dict[str, str], again: bool
) -> None:
    dpop = make()
    assert dpop.record_nonce(RESOURCE, status, headers) is again
    kept = read(dpop.headers("GET", RESOURCE, "at-1")["DPoP"]).claims.get("nonce")
    assert kept == ("n1" if any(name.lower() == "dpop-nonce" for name in headers) else None)


# --- secrets -----------------------------------------------------------------------------------


def test_the_repr_hides_the_key() -> None:
    dpop = make()
    assert str(KEY["d"]) not in repr(dpop)
    with pytest.raises(TypeError, match="cannot be pickled: it holds a private key"):
        pickle.dumps(dpop)


def test_errors_do_not_show_an_echoed_proof() -> None:
    echo: Callable[[HttpRequest], HttpResponse] = lambda request: refusal(  # noqa: E731
        "invalid_grant", f"replay of {request.headers['DPoP']}"
    )
    with pytest.raises(InvalidGrantException) as caught:
        refresh(Scripted([echo]), make())
    assert caught.value.error_description == "replay of ***"
