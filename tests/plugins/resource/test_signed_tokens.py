"""JWT access tokens (RFC 9068), and attacks with them."""

from __future__ import annotations

import asyncio
import base64
import hmac
import itertools
import json
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
from joserfc import jws
from joserfc.jwk import ECKey
from joserfc.jws import JWSRegistry

from grantway import ConfigurationError
from grantway_plugins._jose import cached_keys
from grantway_plugins.issuer import IssuerServer, IssuerSettings
from grantway_plugins.resource import (
    AcceptedIssuer,
    AccessDeniedError,
    ProtectedResource,
    Requirement,
    VerificationUnavailableError,
)
from grantway_plugins.testing import WorkloadIssuer
from tests.plugins.resource.conftest import API, AT_JWT, Clock, Tokens, asked, denial

KEYS = "/openid/v1/jwks"


def bearer(token: str) -> Any:
    return asked(f"Bearer {token}")


def encoded(part: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


def claims(issuer: WorkloadIssuer, **more: Any) -> dict[str, Any]:
    return {"iss": issuer.url, "aud": API, "exp": int(time.time()) + 60, "sub": "eve", **more}


def test_a_token_of_an_accepted_issuer_is_accepted(
    resource: ProtectedResource, token: Tokens, issuer: WorkloadIssuer
) -> None:
    found = resource.verify(bearer(token(org_id="acme")))
    assert (found.issuer, found.subject, found.client_id) == (issuer.url, "ann", "app")
    assert found.scope == {"read", "write"}
    assert found.audience == (API,)
    assert found.claims["org_id"] == "acme"
    with pytest.raises(TypeError):  # other requests get the same object
        found.claims["org_id"] = "umbrella"  # type: ignore[index]


def test_a_token_of_the_embedded_issuer_is_accepted() -> None:
    settings = IssuerSettings(access_token_format="jwt", registration="unrestricted")
    with IssuerServer(settings) as server:
        metadata = {"grant_types": ["client_credentials"], "scope": "read"}
        client = requests.post(f"{server.url}/register", json=metadata, timeout=30).json()
        answer = requests.post(
            f"{server.url}/token",
            auth=(client["client_id"], client["client_secret"]),
            data={"grant_type": "client_credentials", "resource": API},
            timeout=30,
        ).json()
        resource = ProtectedResource(API, [AcceptedIssuer(server.url)])
        found = asyncio.run(resource.verify_async(bearer(answer["access_token"])))
    assert found.client_id == client["client_id"]
    assert found.scope == {"read"}


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "Bearer "])
def test_the_scheme_is_compared_without_case(
    resource: ProtectedResource, token: Tokens, scheme: str
) -> None:
    assert resource.verify(asked(f"{scheme} {token()}")).subject == "ann"


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"lifetime": -60}, "expired"),
        ({"exp": None}, "has no exp"),
        ({"exp": True}, "has no exp"),
        ({"nbf": time.time() + 86_400}, "in the future"),
        ({"audience": "https://other.example.com"}, "is not for this resource"),
        ({"audience": ["https://a.example", "https://b.example"]}, "is not for this resource"),
        ({"aud": None}, "is not for this resource"),
        ({"aud": {API: 1}}, "is not for this resource"),
        ({"iss": "https://evil.example"}, "is of an issuer that is not accepted here"),
        ({"iss": ["x"]}, "is of an issuer that is not accepted here"),
        ({"iss": None}, "is not a JWT of an accepted issuer"),
        ({"header": {"typ": "JWT"}}, "has another typ"),
        ({"header": {"typ": "dpop+jwt"}}, "has another typ"),
        ({"header": {}}, "has another typ"),
        ({"scope": 5}, "has a scope that is not text"),
        ({"sub": 5}, "has a sub that is not text"),
        ({"cnf": {"jwk": {}}}, "in a way that is not supported"),
        ({"cnf": {"jkt": "x", "new": "y"}}, "in a way that is not supported"),
        ({"cnf": {}}, "in a way that is not supported"),
        ({"cnf": "x"}, "in a way that is not supported"),
    ],
)
def test_an_invalid_token_is_rejected(
    resource: ProtectedResource, token: Tokens, options: dict[str, Any], problem: str
) -> None:
    invalid = token(**options)
    for _ in range(2):  # also from the cache of rejections
        error, challenge = denial(resource, bearer(invalid))
        assert problem in error.message
        assert (error.status, error.error) == (401, "invalid_token")
        assert challenge.scheme == "bearer"
        assert challenge.parameters["error"] == "invalid_token"
        assert challenge.parameters["error_description"] == error.message
        assert (
            challenge.parameters["resource_metadata"]
            == f"{API}/.well-known/oauth-protected-resource"
        )


@pytest.mark.parametrize(
    "text", ["", "x", "a.b.c", "..", "ä.b.c", "a b", "a,b", "%00", "x" * 20_000]
)
def test_a_text_that_is_no_token_is_rejected(resource: ProtectedResource, text: str) -> None:
    assert denial(resource, bearer(text))[0].error in {"invalid_token", ""}


@pytest.mark.parametrize("authorization", ["", "Basic YTpi", "Bearertoken", "Negotiate x"])
def test_a_request_without_token_gets_a_challenge_without_error(
    resource: ProtectedResource, authorization: str
) -> None:
    error, challenge = denial(resource, asked(authorization))
    assert (error.status, error.error) == (401, "")
    assert challenge.scheme == "bearer"
    assert "error" not in challenge.parameters


# --- forged tokens ---


def test_alg_none_is_rejected(resource: ProtectedResource, issuer: WorkloadIssuer) -> None:
    for alg in ("none", "None", "NONE", ""):
        header = {"alg": alg, "typ": "at+jwt"}
        forged = f"{encoded(header)}.{encoded(claims(issuer))}."
        assert denial(resource, bearer(forged))[0].status == 401
        assert denial(resource, bearer(f"{forged}AAAA"))[0].error == "invalid_token"


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        ({"typ": 5}, "has another typ"),
        ({"typ": "at+jwt", "crit": ["x"], "x": 1}, "critical header members"),
        ({"typ": "at+jwt", "alg": ["ES256"]}, "has an algorithm"),
        ({"typ": "at+jwt", "alg": "ES256", "kid": ["x"]}, "does not publish"),
    ],
)
def test_an_unusual_header_is_rejected(
    resource: ProtectedResource, issuer: WorkloadIssuer, header: dict[str, Any], problem: str
) -> None:
    forged = f"{encoded({'alg': 'ES256', **header})}.{encoded(claims(issuer))}.AAAA"
    assert problem in denial(resource, bearer(forged))[0].message


def test_the_public_key_is_no_shared_secret(
    resource: ProtectedResource, issuer: WorkloadIssuer
) -> None:
    published = issuer.jwks()["keys"][0]
    pem = ECKey.import_key(published).as_pem(private=False)
    for secret in (pem, json.dumps(published).encode()):
        header = {"alg": "HS256", "typ": "at+jwt", "kid": published["kid"]}
        signed = f"{encoded(header)}.{encoded(claims(issuer))}"
        mac = hmac.digest(secret, signed.encode(), "sha256")
        forged = f"{signed}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"
        error, _ = denial(resource, bearer(forged))
        assert "has an algorithm" in error.message


def test_a_key_in_the_header_is_not_used(
    resource: ProtectedResource, issuer: WorkloadIssuer
) -> None:
    own = ECKey.generate_key("P-256", {"kid": issuer.jwks()["keys"][0]["kid"]})
    header = {
        "alg": "ES256",
        "typ": "at+jwt",
        "kid": own.kid,
        "jwk": own.as_dict(private=False),
        "jku": "https://evil.example/jwks",
    }
    registry = JWSRegistry(strict_check_header=False)
    forged = jws.serialize_compact(header, json.dumps(claims(issuer)), own, registry=registry)
    assert "has an invalid signature" in denial(resource, bearer(forged))[0].message


def test_a_changed_payload_is_rejected(resource: ProtectedResource, token: Tokens) -> None:
    header, payload, signature = token().split(".")
    changed = {**json.loads(base64.urlsafe_b64decode(payload + "==")), "scope": "admin"}
    assert (
        "signature"
        in denial(resource, bearer(f"{header}.{encoded(changed)}.{signature}"))[0].message
    )


def test_a_token_of_one_accepted_issuer_cannot_name_the_other(
    issuer: WorkloadIssuer, token: Tokens
) -> None:
    with WorkloadIssuer() as other:
        resource = ProtectedResource(API, [AcceptedIssuer(issuer.url), AcceptedIssuer(other.url)])
        assert resource.verify(bearer(token())).issuer == issuer.url
        forged = other.token("ann", API, header=AT_JWT, iss=issuer.url)
        assert denial(resource, bearer(forged))[0].error == "invalid_token"


# --- audiences, types ---


def test_a_token_for_two_audiences_is_accepted_if_one_is_this_resource(
    resource: ProtectedResource, token: Tokens
) -> None:
    found = resource.verify(bearer(token(["https://other.example", API])))
    assert found.audience == ("https://other.example", API)


def test_the_rules_of_an_issuer_can_be_relaxed(issuer: WorkloadIssuer, token: Tokens) -> None:
    accepted = AcceptedIssuer(issuer.url, require_audience=False, types=("jwt", "at+jwt"))
    resource = ProtectedResource(API, [accepted])
    assert resource.verify(bearer(token(aud=None))).audience == ()
    assert resource.verify(bearer(token(header={"typ": "JWT"}, scope=None, scp=["a", "b"]))).scope
    assert resource.verify(bearer(token(header={"typ": "application/at+jwt"}))).subject == "ann"
    assert denial(resource, bearer(token("https://other.example")))[0].error == "invalid_token"


def test_the_algorithms_are_pinned(issuer: WorkloadIssuer, token: Tokens) -> None:
    resource = ProtectedResource(API, [AcceptedIssuer(issuer.url, algorithms=("RS256",))])
    assert "has an algorithm" in denial(resource, bearer(token()))[0].message


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"issuer": "http://login.example.com"}, "issuer"),
        ({"issuer": "https://login.example.com/?x"}, "issuer"),
        ({"issuer": None}, "issuer"),
        ({"algorithms": ("HS256",)}, "algorithms"),
        ({"algorithms": ("none",)}, "algorithms"),
        ({"algorithms": ()}, "algorithms"),
        ({"types": ()}, "types"),
        ({"types": ("AT+JWT",)}, "types"),
        ({"audiences": ("",)}, "audiences"),
        ({"audiences": [API]}, "audiences"),
        ({"jwks_uri": "http://x.example"}, "jwks_uri"),
        ({"jwks_uri": "https://x.example", "jwks_file": "x"}, "jwks_file"),
        ({"leeway": -1}, "leeway"),
        ({"require_audience": 1}, "require_audience"),
    ],
)
def test_an_invalid_setting_is_named(options: dict[str, Any], name: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        AcceptedIssuer(**{"issuer": "https://login.example.com", **options})
    assert list(caught.value.errors) == [name]


@pytest.mark.parametrize("resource", [None, "", "api", "http://api.example.com", f"{API}/?x=1"])
def test_an_invalid_resource_is_named(resource: Any) -> None:
    with pytest.raises(ConfigurationError, match="resource"):
        ProtectedResource(resource, [AcceptedIssuer("https://login.example.com")])


def test_issuers_are_named_once() -> None:
    with pytest.raises(ConfigurationError, match="issuers"):
        ProtectedResource(API, [AcceptedIssuer("https://login.example.com")] * 2)
    with pytest.raises(ConfigurationError, match="issuers"):
        ProtectedResource(API, [])


# --- keys ---


@pytest.fixture
def own_issuer() -> Iterator[WorkloadIssuer]:
    with WorkloadIssuer() as running:
        yield running


def test_a_flood_of_unknown_keys_causes_one_read(own_issuer: WorkloadIssuer) -> None:
    resource = ProtectedResource(API, [AcceptedIssuer(own_issuer.url)])
    resource.verify(bearer(own_issuer.token("ann", API, header=AT_JWT)))
    assert own_issuer.requests[KEYS] == 1

    def send(number: int) -> str:
        forged = own_issuer.token("eve", API, header={**AT_JWT, "kid": f"k{number}"})
        return denial(resource, bearer(forged))[0].message

    with ThreadPoolExecutor(8) as threads:
        problems = set(threads.map(send, range(200)))
    assert problems == {"The access token is signed with a key that the issuer does not publish"}
    assert own_issuer.requests[KEYS] <= 2


def test_a_new_key_is_read_when_a_token_has_it(
    own_issuer: WorkloadIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cached_keys, "PAUSE", 0.0)
    resource = ProtectedResource(API, [AcceptedIssuer(own_issuer.url)])
    resource.verify(bearer(own_issuer.token("ann", API, header=AT_JWT)))
    own_issuer.rotate()
    assert resource.verify(bearer(own_issuer.token("bob", API, header=AT_JWT))).subject == "bob"


def test_a_token_with_a_new_key_is_accepted_after_the_pause(
    own_issuer: WorkloadIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    resource = ProtectedResource(API, [AcceptedIssuer(own_issuer.url)])
    resource.verify(bearer(own_issuer.token("ann", API, header=AT_JWT)))
    own_issuer.rotate()
    new = bearer(own_issuer.token("bob", API, header=AT_JWT))
    denial(resource, new)  # the keys were read a moment ago
    monkeypatch.setattr(cached_keys, "PAUSE", 0.0)
    assert resource.verify(new).subject == "bob"


def test_keys_that_cannot_be_read_are_no_rejection(
    own_issuer: WorkloadIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cached_keys, "PAUSE", 0.0)
    usual, own_issuer.metadata = own_issuer.metadata, dict  # type: ignore[method-assign]
    resource = ProtectedResource(API, [AcceptedIssuer(own_issuer.url)])
    assert "names no issuer" in resource.problems()[own_issuer.url]
    request = bearer(own_issuer.token("ann", API, header=AT_JWT))
    with pytest.raises(VerificationUnavailableError) as caught:
        resource.verify(request)
    assert caught.value.retry_after > 0
    own_issuer.metadata = usual  # type: ignore[method-assign]
    assert resource.problems() == {}
    assert resource.verify(request).subject == "ann"


def test_an_unknown_key_is_no_rejection_while_keys_cannot_be_read(
    own_issuer: WorkloadIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise clients would discard good tokens after a rotation, and log in again."""
    monkeypatch.setattr(cached_keys, "PAUSE", 0.0)
    resource = ProtectedResource(API, [AcceptedIssuer(own_issuer.url)])
    first, second = (bearer(own_issuer.token(each, API, header=AT_JWT)) for each in ("ann", "bob"))
    assert resource.verify(first).subject == "ann"
    own_issuer.rotate()
    new = bearer(own_issuer.token("eve", API, header=AT_JWT))
    with monkeypatch.context() as broken:
        broken.setattr(own_issuer, "metadata", dict)
        with pytest.raises(VerificationUnavailableError, match="names no issuer"):
            resource.verify(new)
        assert resource.verify(second).subject == "bob"
    assert resource.verify(new).subject == "eve"


def test_an_issuer_with_a_new_identifier_is_not_followed(
    own_issuer: WorkloadIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cached_keys, "PAUSE", 0.0)
    accepted = own_issuer.url
    own_issuer.issuer = "https://new.example"
    resource = ProtectedResource(API, [AcceptedIssuer(accepted)])
    assert "names the issuer 'https://new.example'" in resource.problems()[accepted]
    new = own_issuer.token("ann", API, header=AT_JWT)
    assert "not accepted here" in denial(resource, bearer(new))[0].message
    with pytest.raises(VerificationUnavailableError):
        resource.verify(bearer(own_issuer.token("ann", API, header=AT_JWT, iss=accepted)))


# --- the cache ---


def test_a_known_token_is_not_verified_again_until_cache_seconds_have_passed(
    own_issuer: WorkloadIssuer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cached_keys, "PAUSE", 0.0)
    resource = ProtectedResource(
        API, [AcceptedIssuer(own_issuer.url)], cache_seconds=60, clock=clock
    )
    request = bearer(own_issuer.token("ann", API, header=AT_JWT))
    resource.verify(request)
    own_issuer.rotate()
    resource.verify(bearer(own_issuer.token("bob", API, header=AT_JWT)))  # reads the new keys
    clock.now += 59
    assert resource.verify(request).subject == "ann"
    clock.now += 2
    assert "does not publish" in denial(resource, request)[0].message


def test_a_known_token_expires(resource: ProtectedResource, token: Tokens, clock: Clock) -> None:
    request = bearer(token(lifetime=100))
    resource.verify(request)
    clock.now += 129  # the leeway is 30 seconds
    resource.verify(request)
    clock.now += 2
    assert "expired" in denial(resource, request)[0].message


def test_a_flood_of_invalid_tokens_evicts_no_valid_one(
    issuer: WorkloadIssuer, token: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    resource = ProtectedResource(API, [AcceptedIssuer(issuer.url)], cache_entries=10)
    request = bearer(token())
    resource.verify(request)
    for number in range(20):
        denial(resource, bearer(f"invalid{number}"))
        denial(resource, bearer(token(lifetime=-60, jti=str(number))))
    monkeypatch.setattr(resource._verifier, "verify", None)  # would fail
    assert resource.verify(request).subject == "ann"
    assert len(resource._cache._rejected) == 10


def test_the_cache_is_bounded(issuer: WorkloadIssuer, token: Tokens) -> None:
    resource = ProtectedResource(API, [AcceptedIssuer(issuer.url)], cache_entries=3)
    requests_ = [bearer(token(jti=str(number))) for number in range(5)]
    for each in requests_ * 2:
        assert resource.verify(each).subject == "ann"
    assert len(resource._cache._accepted) == 3


def test_memory_and_errors_contain_no_token(resource: ProtectedResource, token: Tokens) -> None:
    secret = token()
    found = resource.verify(bearer(secret))
    assert secret not in repr(found)
    assert secret not in repr(vars(resource._cache))
    changed = secret[:-4] + "AAAA"
    error, _ = denial(resource, bearer(changed))
    assert changed not in f"{error!r}{error.challenge}"


def test_tracebacks_with_locals_contain_no_token(
    issuer: WorkloadIssuer, token: Tokens, tmp_path: Path
) -> None:
    """Such as those of Sentry and rich, for an error that an application does not handle."""
    unreadable = AcceptedIssuer("https://other.example", jwks_file=str(tmp_path / "none.json"))
    resource = ProtectedResource(API, [AcceptedIssuer(issuer.url), unreadable])

    def verify(request: Any) -> None:
        resource.verify(request, Requirement(scopes=("admin",)))

    def verify_in_a_loop(request: Any) -> None:
        asyncio.run(resource.verify_async(request, Requirement(scopes=("admin",))))

    secrets = [token(), token(lifetime=-60), token(iss=unreadable.issuer)]
    for secret, check in itertools.product(secrets, (verify, verify_in_a_loop)):
        with pytest.raises((AccessDeniedError, VerificationUnavailableError)) as caught:
            check(bearer(secret))
        shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
        frames = [each for each in shown.stack if each.filename != __file__]
        assert frames
        assert not any(secret in str(each.locals) for each in frames)
