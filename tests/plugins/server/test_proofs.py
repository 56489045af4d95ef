"""Proofs of possession (RFC 9449): which ones a server accepts."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from joserfc import jws
from joserfc.errors import SecurityWarning
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey

from grantway_plugins.client_auth._keys import REGISTRY
from grantway_plugins.server._http.denial import DenialError
from grantway_plugins.server._proofs.nonces import PERIOD, Nonces
from grantway_plugins.server._proofs.proof import MAX_PROOF, ProofVerifier
from tests.plugins.server.proofs import KEY, proof

URL = "https://login.example.com/auth/token"
NOW = 1_800_000_000.0


class Clock:
    """A clock that tests can set."""

    now = NOW

    def __call__(self) -> float:
        return self.now


VERIFIER = ProofVerifier(Clock())


def made(**changes: Any) -> str:
    return proof(changes.pop("url", URL), **{"now": NOW, **changes})


def rejection(header: str | None, token: str | None = None) -> tuple[str, str]:
    with pytest.raises(DenialError) as caught:
        VERIFIER.verify(header, "POST", URL, token)
    return caught.value.denial.error, caught.value.denial.description


@pytest.mark.parametrize(
    ("key", "alg"),
    [
        (KEY, "ES256"),
        (ECKey.generate_key("P-384"), "ES384"),
        (ECKey.generate_key("P-521"), "ES512"),
        (OKPKey.generate_key("Ed25519"), "EdDSA"),
        (OKPKey.generate_key("Ed25519"), "Ed25519"),
        (RSAKey.generate_key(2048), "PS256"),
        (RSAKey.generate_key(2048), "RS256"),
    ],
)
def test_accepts_the_usual_keys(key: Key, alg: str) -> None:
    verified = VERIFIER.verify(made(key=key, alg=alg), "POST", URL)
    assert verified.thumbprint == key.thumbprint()


@pytest.mark.parametrize(
    "htu",
    [
        f"{URL}?a=b",
        f"{URL}#c",
        "https://login.example.com:443/auth/token",
        "HTTPS://Login.Example.COM/auth/token",
        "https://login.example.com/%61uth/toke%6E",
    ],
)
def test_the_url_is_normalised(htu: str) -> None:
    assert VERIFIER.verify(made(htu=htu), "POST", URL)


@pytest.mark.parametrize(
    "htu",
    [
        "http://login.example.com/auth/token",
        "https://login.example.com:8443/auth/token",
        "https://login.example.com/token",
        "https://login.example.com/auth/token/",
        "https://login.example.com/auth%2Ftoken",
        "https://login.example.com/auth/Token",
        "https://[login.example.com/auth/token",
        "https://login.example.com:99999999/auth/token",
        "/auth/token",
        "",
        7,
        None,
        [URL],
    ],
)
def test_a_proof_for_another_url_is_rejected(htu: object) -> None:
    assert "htu must be" in rejection(made(htu=htu))[1]


@pytest.mark.parametrize("htm", ["GET", "post", None, 1])
def test_a_proof_for_another_method_is_rejected(htm: object) -> None:
    assert "htm must be POST" in rejection(made(htm=htm))[1]


@pytest.mark.parametrize("age", [0, 59, 60, -59, -60])
def test_a_recent_proof_is_accepted(age: float) -> None:
    assert VERIFIER.verify(made(iat=NOW - age), "POST", URL)


@pytest.mark.parametrize(
    ("iat", "problem"),
    [
        (NOW - 61, "is older than 60 seconds"),
        (NOW + 61, "is of the future"),
        (None, "has no iat"),
        ("1800000000", "has no iat"),
        (True, "has no iat"),
        (10**400, "has no iat"),
        (-(10**30), "is older"),
        ([NOW], "has no iat"),
    ],
)
def test_a_proof_of_another_time_is_rejected(iat: object, problem: str) -> None:
    assert problem in rejection(made(iat=iat))[1]


def test_a_longer_window_does_not_extend_into_the_future() -> None:
    lenient = ProofVerifier(Clock(), 600.0)
    assert lenient.verify(made(iat=NOW - 600), "POST", URL).kept_until > NOW
    with pytest.raises(DenialError, match="invalid_dpop_proof"):
        lenient.verify(made(iat=NOW + 61), "POST", URL)


@pytest.mark.parametrize("jti", [None, "", 7, ["a"]])
def test_a_proof_without_jti_is_rejected(jti: object) -> None:
    assert "has no jti" in rejection(made(jti=jti))[1]


def test_a_use_is_unique_to_key_url_and_jti() -> None:
    uses = {
        VERIFIER.verify(each, "POST", url).use
        for each, url in [
            (made(jti="1"), URL),
            (made(jti="1", key=ECKey.generate_key("P-256")), URL),
            (made(jti="1", url=f"{URL}/2"), f"{URL}/2"),
            (made(jti="2"), URL),
        ]
    }
    assert len(uses) == 4
    assert VERIFIER.verify(made(jti="1", iat=NOW - 1), "POST", URL).use in uses


def test_a_proof_has_one_use_for_all_spellings_of_its_url() -> None:
    """Applications decode the path, so a copy with another spelling would reach the same one."""
    one, origin = made(), URL.removesuffix("/token")
    spellings = (URL, f"{origin}/%74oken", f"{origin}/t%6Fken", f"{origin}/t%6fken?a=1", f"{URL}#a")
    assert len({VERIFIER.verify(one, "POST", each).use for each in spellings}) == 1


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        (None, "is missing"),
        ("", "is missing"),
        ("a.b", "is not a signed JWT"),
        ("a.b.c.d", "is not a signed JWT"),
        ("a.b.c ", "is not a signed JWT"),
        ("é.b.c", "is not a signed JWT"),
        ("a.b.c", "has another typ"),
        ("e30.e30.c", "has another typ"),
        ("x" * (MAX_PROOF + 1), f"is longer than {MAX_PROOF} characters"),
        (f"{made()}, {made()}", "was sent twice"),
        (f"{made()},", "was sent twice"),
    ],
)
def test_a_malformed_header_is_rejected(header: str | None, problem: str) -> None:
    assert rejection(header) == ("invalid_dpop_proof", rejection(header)[1])
    assert problem in rejection(header)[1]


@pytest.mark.parametrize("typ", ["JWT", "at+jwt", None, 7])
def test_another_type_of_jwt_is_rejected(typ: object) -> None:
    assert "another typ" in rejection(_unsigned({"typ": typ}))[1]


def test_critical_header_members_are_rejected() -> None:
    encoded = _unsigned({"crit": ["b64"], "b64": False})
    assert "critical" in rejection(encoded)[1]


@pytest.mark.parametrize("member", ["d", "p", "q", "dp", "dq", "qi", "oth", "k"])
def test_a_private_key_is_rejected(member: str) -> None:
    jwk = {**KEY.as_dict(private=False), member: "AQAB"}
    assert "private or symmetric key" in rejection(made(header={"jwk": jwk}))[1]


def test_a_symmetric_key_is_rejected() -> None:
    shared = OctKey.import_key(b"s" * 32)
    jwk = {"kty": "oct", "kid": "1"}
    encoded = made(key=shared, alg="HS256", header={"jwk": jwk})
    assert "has a jwk that is not RSA" in rejection(encoded)[1]


@pytest.mark.parametrize(
    ("key", "alg"),
    [
        (ECKey.generate_key("secp256k1"), "ES256K"),
        (OKPKey.generate_key("Ed448"), "EdDSA"),
        (OKPKey.generate_key("Ed448"), "Ed448"),
    ],
)
def test_an_unusual_curve_is_rejected(key: Key, alg: str) -> None:
    assert "has a jwk that is not RSA" in rejection(made(key=key, alg=alg))[1]


def test_a_short_rsa_key_is_rejected() -> None:
    with pytest.warns(SecurityWarning):
        key = RSAKey.generate_key(1024)
    assert "2048 to 4096 bits" in rejection(made(key=key, alg="PS256"))[1]


def test_an_rsa_key_that_is_slow_to_use_is_rejected() -> None:
    key = RSAKey.generate_key(2048)
    exponent = base64.urlsafe_b64encode(b"\x01" + b"\x00" * 62 + b"\x01").rstrip(b"=").decode()
    jwk = {**key.as_dict(private=False), "e": exponent}
    assert "2048 to 4096 bits" in rejection(made(key=key, alg="RS256", header={"jwk": jwk}))[1]
    modulus = base64.urlsafe_b64encode(b"\xff" * 640).rstrip(b"=").decode()
    jwk = {**key.as_dict(private=False), "n": modulus}
    assert "2048 to 4096 bits" in rejection(made(key=key, alg="RS256", header={"jwk": jwk}))[1]


@pytest.mark.parametrize(
    "jwk",
    [
        {},
        {"kty": "EC", "crv": "P-256"},
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
        {"kty": "EC", "crv": "P-256", "x": 1, "y": 2},
        {"kty": "EC", "crv": ["P-256"], "x": "AA", "y": "AA"},
        {"kty": "EC", "crv": "P-256", "x": "\ud800", "y": "\ud800"},
        {"kty": "OKP", "crv": "Ed25519", "x": "AA"},
        {"kty": "OKP", "crv": "P-256", "x": "AA"},
        {"kty": "RSA", "n": "AA", "e": "AA"},
        {"kty": "RSA", "n": "", "e": ""},
        {"kty": ["RSA"]},
        {"kty": {"a": 1}},
        [],
        "jwk",
        None,
    ],
)
def test_a_damaged_key_is_rejected(jwk: object) -> None:
    error, problem = rejection(_unsigned({"jwk": jwk}))
    assert error == "invalid_dpop_proof"
    assert " jwk" in problem


@pytest.mark.parametrize("alg", ["none", "HS256", "ES384", "RS256", "", None, 7, ["ES256"]])
def test_an_algorithm_that_does_not_fit_is_rejected(alg: object) -> None:
    assert "alg" in rejection(_unsigned({"alg": alg}))[1]


def test_an_algorithm_that_the_server_does_not_accept_is_rejected() -> None:
    strict = ProofVerifier(Clock(), algorithms=["PS256"])
    with pytest.raises(DenialError) as caught:
        strict.verify(made(), "POST", URL)
    assert "not one of PS256" in caught.value.denial.description


def test_a_changed_proof_is_rejected() -> None:
    header, payload, signature = made().split(".")
    other = made(jti="other").split(".")
    for changed in (
        f"{header}.{other[1]}.{signature}",
        f"{header}.{payload}.{other[2]}",
        f"{made(key=ECKey.generate_key('P-256')).split('.')[0]}.{payload}.{signature}",
        f"{header}.{payload}.{signature[:-8]}",
    ):
        assert "invalid signature" in rejection(changed)[1]


@pytest.mark.parametrize("payload", [b"[1]", b"1", b"null", b"{", b"\xff", b"[" * 5000])
def test_a_payload_that_is_no_object_is_rejected(payload: bytes) -> None:
    protected = {"typ": "dpop+jwt", "alg": "ES256", "jwk": KEY.as_dict(private=False)}
    encoded = jws.serialize_compact(protected, payload, KEY, registry=REGISTRY)
    assert "invalid signature or payload" in rejection(encoded)[1]


def test_a_proof_belongs_to_its_access_token() -> None:
    assert VERIFIER.verify(made(token="gwa_1"), "POST", URL, "gwa_1")
    for wrong in (made(token="gwa_2"), made(), made(ath=7), made(ath="é")):
        assert "ath must be its hash" in rejection(wrong, "gwa_1")[1]
    assert "ath must be its hash" in rejection(made(ath="x"), "é")[1]


def test_errors_do_not_contain_the_proof() -> None:
    encoded = made(htu="https://secret.example.com", jti="secret")
    assert "secret" not in rejection(encoded)[1]
    assert "secret" not in repr(VERIFIER.verify(made(jti="secret"), "POST", URL))


def test_replicas_accept_the_nonces_of_each_other() -> None:
    ahead, behind = Clock(), Clock()
    ahead.now, behind.now = NOW + 2, NOW - 2
    first, second = Nonces(b"k" * 32, URL, ahead), Nonces(b"k" * 32, URL, behind)
    for _ in range(200):
        ahead.now, behind.now = ahead.now + 1, behind.now + 1
        assert first.accepts(second.current())
        assert second.accepts(first.current())


def test_a_nonce_expires() -> None:
    clock = Clock()
    nonces = Nonces(b"k" * 32, URL, clock)
    nonce = nonces.current()
    clock.now += PERIOD
    assert nonces.accepts(nonce)
    clock.now += PERIOD
    assert not nonces.accepts(nonce)


@pytest.mark.parametrize("nonce", [None, "", 7, "é", "x" * 5000])
def test_a_nonce_of_others_is_rejected(nonce: object) -> None:
    assert not Nonces(b"k" * 32, URL, Clock()).accepts(nonce)


def test_keys_and_servers_have_different_nonces() -> None:
    servers = [(b"k" * 32, URL), (b"l" * 32, URL), (b"k" * 32, f"{URL}/2")]
    assert len({Nonces(key, url, Clock()).current() for key, url in servers}) == 3


def test_a_required_nonce_is_the_last_check() -> None:
    nonces = Nonces(b"k" * 32, URL, Clock())
    strict = ProofVerifier(Clock(), nonces=nonces)
    assert strict.verify(made(nonce=nonces.current()), "POST", URL)
    for wrong in (made(), made(nonce="x"), made(nonce=1)):
        with pytest.raises(DenialError, match="use_dpop_nonce"):
            strict.verify(wrong, "POST", URL)
    with pytest.raises(DenialError, match="invalid_dpop_proof"):
        strict.verify(made(htm="GET"), "POST", URL)


def _unsigned(changes: dict[str, Any]) -> str:
    header = {"typ": "dpop+jwt", "alg": "ES256", "jwk": KEY.as_dict(private=False), **changes}
    return f"{_encoded(header)}.{_encoded({'jti': 'a'})}.c2ln"


def _encoded(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
