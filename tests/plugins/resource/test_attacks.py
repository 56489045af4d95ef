"""Issuers and tokens that try to mislead a resource, over real connections."""

from __future__ import annotations

import base64
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from joserfc import jws
from joserfc.jwk import ECKey

from grantway_plugins._jose import cached_keys
from grantway_plugins.resource import (
    AcceptedIssuer,
    ProtectedResource,
    VerificationUnavailableError,
)
from grantway_plugins.testing import WorkloadIssuer
from tests.plugins.resource.conftest import API, AT_JWT, asked, denial


@pytest.fixture
def own() -> Iterator[WorkloadIssuer]:
    with WorkloadIssuer() as running:
        yield running


def of(issuer: WorkloadIssuer, **options: Any) -> ProtectedResource:
    return ProtectedResource(API, [AcceptedIssuer(issuer.url, **options)])


@pytest.mark.parametrize(
    "claims",
    [
        {"at_hash": "x"},
        {"c_hash": "x"},
        {"token_use": "id"},
        {"token_use": "refresh"},
        {"typ": "ID"},
        {"typ": "Refresh"},
        {"typ": "Offline"},
    ],
)
def test_another_token_of_the_issuer_is_no_access_token(
    own: WorkloadIssuer, claims: dict[str, Any]
) -> None:
    """Also if the issuer gives all its JWTs the same type, and the audience is right."""
    resource = of(own, types=("jwt", "at+jwt"))
    for typ in ("JWT", "at+jwt"):
        other = own.token("ann", API, header={"typ": typ}, **claims)
        assert "is not an access token" in denial(resource, asked(f"Bearer {other}"))[0].message
    for usual in ({"token_use": "access"}, {"typ": "Bearer"}, {"nonce": "n"}):
        good = own.token("ann", API, header={"typ": "JWT"}, **usual)
        assert resource.verify(asked(f"Bearer {good}")).subject == "ann"


@pytest.mark.parametrize("kid", [5, True, ["k"], {"k": 1}, "", "k" * 5000, "\x00", "../../key"])
def test_any_key_id_is_only_a_name(own: WorkloadIssuer, kid: Any) -> None:
    resource = of(own)
    resource.verify(asked(f"Bearer {own.token('ann', API, header=AT_JWT)}"))
    part = own.token("ann", API, header=AT_JWT).split(".")[1]
    header = encoded({"alg": "ES256", "typ": "at+jwt", "kid": kid})
    error, _ = denial(resource, asked(f"Bearer {header}.{part}.AAAA"))
    assert "does not publish" in error.message


def test_a_jwt_in_a_jwt_is_rejected(own: WorkloadIssuer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if the issuer signed both."""
    inner = own.token("ann", API, header=AT_JWT)
    key = ECKey.generate_key("P-256", {"kid": "outer"})
    published = [*own.jwks()["keys"], key.as_dict(private=False)]
    monkeypatch.setattr(own, "jwks", lambda: {"keys": published})
    resource = of(own)
    assert resource.verify(asked(f"Bearer {inner}")).subject == "ann"
    header = {"alg": "ES256", "typ": "at+jwt", "kid": "outer", "cty": "JWT"}
    nested = jws.serialize_compact(header, inner, key)
    assert "is not a JWT of an accepted" in denial(resource, asked(f"Bearer {nested}"))[0].message
    plain = jws.serialize_compact(header, json.dumps({"iss": own.url, "aud": API}), key)
    assert "has no exp" in denial(resource, asked(f"Bearer {plain}"))[0].message


def test_several_keys_may_have_the_same_id(
    own: WorkloadIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    resource = of(own)
    published = own.jwks()["keys"][0]
    others = [
        ECKey.generate_key("P-256", {"kid": published["kid"]}).as_dict(private=False)
        for _ in range(3)
    ]
    monkeypatch.setattr(own, "jwks", lambda: {"keys": [*others, published]})
    good = own.token("ann", API, header=AT_JWT)
    assert resource.verify(asked(f"Bearer {good}")).subject == "ann"


@pytest.mark.parametrize(
    ("jwks", "problem"),
    [
        ({"keys": [{}] * 10_000}, "more than 100 keys"),
        ({"keys": [{"kty": "EC", "x": "y" * 300_000}]}, "larger than"),
        ({"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}, "no usable key"),
        ({"keys": []}, "no usable key"),
        ({"keys": {"kty": "EC"}}, "not a JWK Set"),
        ([], "not a JWK Set"),
    ],
)
def test_a_key_set_that_cannot_be_used_is_described(
    own: WorkloadIssuer, monkeypatch: pytest.MonkeyPatch, jwks: Any, problem: str
) -> None:
    monkeypatch.setattr(own, "jwks", lambda: jwks)
    resource = of(own)
    with pytest.raises(VerificationUnavailableError, match=problem):
        resource.verify(asked(f"Bearer {own.token('ann', API, header=AT_JWT)}"))


@contextmanager
def redirecting(target: str) -> Iterator[str]:
    """Run a server that redirects every request."""

    class Redirect(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(302)
            self.send_header("Location", target)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Redirect)
    thread = Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_redirect_to_other_keys_is_not_followed(own: WorkloadIssuer) -> None:
    """The target of a redirect could publish any keys."""
    with WorkloadIssuer() as evil, redirecting(evil.jwks_uri) as url:
        resource = of(own, jwks_uri=url)
        forged = evil.token("ann", API, header=AT_JWT, iss=own.url)
        with pytest.raises(VerificationUnavailableError, match="302"):
            resource.verify(asked(f"Bearer {forged}"))
        assert not evil.requests


def test_a_flood_without_key_id_causes_one_read_in_a_pause(
    own: WorkloadIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    resource = of(own)
    resource.verify(asked(f"Bearer {own.token('ann', API, header=AT_JWT)}"))
    before = sum(own.requests.values())
    with WorkloadIssuer() as evil:
        for number in range(50):
            forged = evil.token(f"eve{number}", API, header={**AT_JWT, "kid": None}, iss=own.url)
            assert denial(resource, asked(f"Bearer {forged}"))[0].error == "invalid_token"
        assert sum(own.requests.values()) == before  # the keys were read a moment ago
        monkeypatch.setattr(cached_keys, "PAUSE", 0.0)
        denial(resource, asked(f"Bearer {forged}"))
        assert sum(own.requests.values()) > before


def test_the_tolerated_clock_difference_is_exact(own: WorkloadIssuer) -> None:
    resource = of(own, leeway=30.0)
    for lifetime, accepted in ((-20, True), (-40, False)):
        late = own.token("ann", API, header=AT_JWT, lifetime=lifetime)
        if accepted:
            assert resource.verify(asked(f"Bearer {late}")).subject == "ann"
        else:
            assert "expired" in denial(resource, asked(f"Bearer {late}"))[0].message
    early = own.token("ann", API, header=AT_JWT, nbf=time.time() + 40)
    assert "in the future" in denial(resource, asked(f"Bearer {early}"))[0].message


def test_a_deeply_nested_header_is_rejected(own: WorkloadIssuer) -> None:
    """Also if only the second reading of the header, in a deeper call, exceeds the limit."""
    resource = of(own)
    good = own.token("ann", API, header=AT_JWT)
    resource.verify(asked(f"Bearer {good}"))
    usual = {"alg": "ES256", **AT_JWT, "kid": own.jwks()["keys"][0]["kid"]}
    for depth in range(500, sys.getrecursionlimit()):
        header = encoded({**usual, "x": "NESTED"}, "[" * depth + "]" * depth)
        forged = ".".join([header, *good.split(".")[1:2], "AAAA"])
        assert denial(resource, asked(f"Bearer {forged}"))[0].error == "invalid_token"


def encoded(members: dict[str, Any], nested: str = "") -> str:
    text = json.dumps(members).replace('"NESTED"', nested)
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()
