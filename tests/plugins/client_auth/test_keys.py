"""Tests of signing keys."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey, thumbprint

from grantway._exceptions import ConfigurationError
from grantway_plugins.client_auth import SigningKey

RSA = rsa.generate_private_key(65537, 2048)


def pem(key: Any, encryption: KeySerializationEncryption | None = None) -> str:
    encryption = encryption or NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption).decode()


@pytest.mark.parametrize(
    ("make", "alg", "others"),
    [
        (lambda: RSA, "RS256", ["PS256", "RS512"]),
        (lambda: ec.generate_private_key(ec.SECP256R1()), "ES256", []),
        (lambda: ec.generate_private_key(ec.SECP384R1()), "ES384", []),
        (lambda: ec.generate_private_key(ec.SECP521R1()), "ES512", []),
        (ed25519.Ed25519PrivateKey.generate, "EdDSA", ["Ed25519"]),
    ],
)
def test_the_key_determines_the_algorithm(
    make: Callable[[], Any], alg: str, others: list[str]
) -> None:
    text = pem(make())
    assert SigningKey(text).alg == alg
    for other in others:
        assert SigningKey(text, alg=other).alg == other
    with pytest.raises(ConfigurationError, match="cannot sign with HS256"):
        SigningKey(text, alg="HS256")


def test_reads_keys_in_every_supported_form() -> None:
    key = ECKey.generate_key("P-256", {"kid": "k1"})
    jwk = dict(key.as_dict(private=True))
    forms = [jwk, json.dumps(jwk), json.dumps(jwk).encode(), key, key.as_pem(private=True)]
    for source in forms:
        made = SigningKey(source)
        assert made.thumbprint == key.thumbprint()
        signed = made.sign({}, {"a": 1})
        assert jwt.decode(signed, key, algorithms=["ES256"]).claims == {"a": 1}
    assert [SigningKey(source).kid for source in forms] == ["k1"] * 4 + [None]
    assert SigningKey(jwk, kid="k2").kid == "k2"


def test_uses_the_algorithm_of_a_jwk() -> None:
    key = RSAKey.import_key(RSA)
    assert SigningKey({**key.as_dict(private=True), "alg": "PS256"}).alg == "PS256"


def test_an_encrypted_pem_requires_its_password() -> None:
    text = pem(ec.generate_private_key(ec.SECP256R1()), BestAvailableEncryption(b"horse"))
    assert SigningKey(text, password="horse").alg == "ES256"
    for password in (None, "donkey"):
        with pytest.raises(ConfigurationError, match="password is missing or wrong"):
            SigningKey(text, password=password)


def test_an_rsa_key_fits_into_the_header_of_a_proof() -> None:
    """By default joserfc rejects headers over 512 bytes, and an RSA key alone is longer."""
    key = SigningKey(pem(rsa.generate_private_key(65537, 4096)))
    assert len(key.sign({"jwk": key.public_jwk()}, {})) > 512


PUBLIC = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("", "is damaged"),
        ("very-secret-nonsense", "something else or is damaged"),
        ("-----BEGIN PRIVATE KEY-----\nvery-secret\n-----END PRIVATE KEY-----", "damaged"),
        (PUBLIC, "is a public key"),
        (pem(x25519.X25519PrivateKey.generate()), "does not sign"),
        (pem(rsa.generate_private_key(65537, 1024)), "at least 2048 bits"),
        (dict(RSAKey.import_key(RSA).as_dict(private=False)), "public key"),
        (RSAKey.import_key(PUBLIC), "not a public key"),
        (OctKey.generate_key(256), "not a symmetric key"),
        ({"kty": "oct", "k": "very-secret-very-secret-very-secret-very-sec"}, "symmetric key"),
        ({"kty": "EC", "crv": "P-256", "d": "very-secret"}, "cannot be read"),
        ({"kty": "RSA", "n": "AQAB", "e": "AQAB", "d": "very-secret"}, "at least 2048 bits"),
        ({"kty": "XX", "d": "very-secret"}, "cannot be read"),
        ('{"kty": very-secret', "is not valid JSON"),
        (dict(OKPKey.generate_key("X25519").as_dict(private=True)), "X25519 key cannot sign"),
        ({**ECKey.generate_key("P-256").as_dict(private=True), "use": "enc"}, "cannot sign"),
        (17, "not a int"),
    ],
)
def test_rejects_keys_that_cannot_sign_without_quoting_them(source: Any, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says) as caught:
        SigningKey(source)
    error: BaseException | None = caught.value
    while error is not None:
        assert "very-secret" not in str(error)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def test_the_repr_hides_a_key_and_pickling_fails() -> None:
    jwk = dict(ECKey.generate_key("P-256", {"kid": "k1"}).as_dict(private=True))
    key = SigningKey(jwk)
    assert repr(key) == str(key) == "SigningKey(alg='ES256', kid='k1')"
    with pytest.raises(TypeError, match="cannot be pickled: it holds a private key"):
        pickle.dumps(key)
    assert set(key.public_jwk()) == {"kty", "crv", "x", "y"}


def test_the_thumbprint_matches_rfc_7638_section_3_1() -> None:
    """The RFC's example is a public key, so the test uses the function that SigningKey uses."""
    n = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECP"
        "ebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY"
        "368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0f"
        "M4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
    )
    public = {"kty": "RSA", "n": n, "e": "AQAB"}
    assert thumbprint(public) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
    key = SigningKey(pem(RSA))
    assert key.thumbprint == thumbprint(key.public_jwk())


@pytest.mark.parametrize(("alg", "least"), [("HS256", 32), ("HS384", 48), ("HS512", 64)])
def test_a_shared_secret_must_be_as_long_as_the_hash(alg: str, least: int) -> None:
    """RFC 7518 section 3.2."""
    assert SigningKey.shared("s" * least, alg).alg == alg
    with pytest.raises(ConfigurationError, match=f"at least {least} bytes"):
        SigningKey.shared("s" * (least - 1), alg)
    with pytest.raises(ConfigurationError, match="not 'none'"):
        SigningKey.shared("s" * 64, "none")
