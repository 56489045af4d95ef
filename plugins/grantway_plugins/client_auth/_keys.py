"""Signing keys (RFC 7515, RFC 7517, RFC 7638), parsed with joserfc."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from grantway._exceptions import ConfigurationError
from grantway._processes.copies import OneProcess
from grantway._secrets.hidden_arguments import hides_arguments

try:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from joserfc import jwt
    from joserfc.errors import JoseError
    from joserfc.jwa import JWSAlgModel
    from joserfc.jwk import ECKey, JWKRegistry, Key, OctKey, OKPKey, RSAKey
    from joserfc.jws import JWSRegistry
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError(
        f"Signed proofs require {missing.name}: pip install 'grantway[jose]'.", name=missing.name
    ) from None

#: Accepted forms of a private key: a PEM, a JWK, or a parsed key.
KeySource = str | bytes | Mapping[str, Any] | Key
#: Minimum bits of an RSA modulus (RFC 7518 section 3.3).
LEAST_RSA = 2048
#: Maximum bits of an RSA exponent of others; a larger one would cost much processor time.
MOST_EXPONENT = 33
#: Minimum bytes of a shared secret: the length of the hash (RFC 7518 section 3.2).
LEAST_SECRET = {"HS256": 32, "HS384": 48, "HS512": 64}
#: Algorithms by curve or ``RSA``, the default first. EdDSA comes before RFC 9864's Ed25519, which
#: few servers support yet.
ALGORITHMS = {
    "RSA": ("RS256", "PS256", "RS384", "PS384", "RS512", "PS512"),
    "P-256": ("ES256",),
    "P-384": ("ES384",),
    "P-521": ("ES512",),
    "secp256k1": ("ES256K",),
    "Ed25519": ("EdDSA", "Ed25519"),
    "Ed448": ("EdDSA", "Ed448"),
}
_EXPECTED = "a private key as the text of a PEM (-----BEGIN PRIVATE KEY-----) or as a JWK"


class _Registry(JWSRegistry):
    """joserfc's algorithms without its limits, because ``SigningKey`` has checked the algorithm.

    joserfc limits headers to 512 bytes, which is too short for an RSA key in a DPoP proof, and it
    warns about the name EdDSA, which servers use.
    """

    max_header_length = 16 * 1024

    def get_alg(self, name: str) -> JWSAlgModel:
        return self.algorithms[name]


#: For JWTs whose algorithm has been checked with ``algorithms_of``.
REGISTRY = _Registry()


def algorithms_of(key: Key) -> tuple[str, ...]:
    """Return the signature algorithms of a key, the default first; empty for a shared secret."""
    kind = key.curve_name if isinstance(key, (ECKey, OKPKey)) else key.key_type
    return ALGORITHMS.get(kind, ())


class SigningKey(OneProcess):
    """A signing key, parsed once. It never appears in a repr and cannot be pickled.

    Args:
        source: A private key: the text of a PEM, a JWK as a mapping or as JSON, or a joserfc key.
        alg: The algorithm. By default the ``alg`` of the JWK or, depending on the type of key,
            RS256, ES256 (ES384, ES512) or EdDSA.
        kid: The key ID at the provider; by default the ``kid`` of the JWK.
        password: Password of an encrypted PEM.

    Raises:
        ConfigurationError: The source is not a private key, is too short, or cannot sign with
            ``alg``.
    """

    stays = "it holds a private key; create one in the process that uses it"

    __slots__ = ("_key", "alg", "kid")

    @hides_arguments
    def __init__(
        self,
        source: KeySource,
        *,
        alg: str | None = None,
        kid: str | None = None,
        password: str | bytes | None = None,
    ) -> None:
        key = _parse(source, password)
        kind = key.curve_name if isinstance(key, (ECKey, OKPKey)) else key.key_type
        known = algorithms_of(key)
        self._key = key
        self.alg = alg or key.alg or (known[0] if known else "")
        self.kid = kid or key.kid
        if self.alg not in known:
            raise ConfigurationError(
                f"key: a {kind} key cannot sign with {self.alg or 'any algorithm'}; "
                f"use one of: {', '.join(known) or 'none'}."
            )
        self._try("key")

    @classmethod
    @hides_arguments
    def shared(cls, secret: str, alg: str) -> SigningKey:
        """Create a key from a shared secret.

        Args:
            secret: Secret whose UTF-8 bytes are the key (OpenID Connect Core section 9).
            alg: ``HS256``, ``HS384`` or ``HS512``.

        Raises:
            ConfigurationError: The algorithm is not one of these, or the secret is too short.
        """
        least = LEAST_SECRET.get(alg)
        if least is None:
            raise ConfigurationError(f"alg: must be one of {', '.join(LEAST_SECRET)}, not {alg!r}.")
        if len(secret.encode()) < least:
            raise ConfigurationError(
                f"client_secret: {alg} requires at least {least} bytes (RFC 7518 section 3.2), but "
                "the secret is shorter."
            )
        made = object.__new__(cls)
        made._key, made.alg, made.kid = OctKey.import_key(secret.encode()), alg, None
        return made

    @property
    def thumbprint(self) -> str:
        """The JWK thumbprint of the public key (RFC 7638)."""
        return self._key.thumbprint()

    def public_jwk(self) -> dict[str, Any]:
        """Return the required members of the public JWK, and no others, as DPoP sends them."""
        shown = self._key.as_dict(private=False)
        return {name: shown[name] for name in ("kty", "crv", "x", "y", "n", "e") if name in shown}

    def sign(self, header: Mapping[str, Any], claims: Mapping[str, Any]) -> str:
        """Return a signed JWT in compact form.

        Args:
            header: Header members other than ``alg``.
            claims: Claims of the payload.
        """
        # Copy both, because joserfc modifies them.
        return jwt.encode({**header, "alg": self.alg}, {**claims}, self._key, registry=REGISTRY)

    def _try(self, name: str) -> None:
        """Sign once, so that a damaged key or one for encryption is rejected immediately."""
        try:
            self.sign({}, {})
        except (JoseError, ValueError, TypeError) as error:
            problem = type(error).__name__
        else:
            return
        raise ConfigurationError(f"{name}: cannot sign with {self.alg} ({problem}).")

    def __repr__(self) -> str:
        # Also works for a key that could not be created, which a traceback with locals would show.
        alg, kid = getattr(self, "alg", None), getattr(self, "kid", None)
        return f"SigningKey(alg={alg!r}, kid={kid!r})"


@hides_arguments
def signing_key(given: SigningKey | KeySource) -> SigningKey:
    """Return the key, parsing it first if necessary."""
    return given if isinstance(given, SigningKey) else SigningKey(given)


def _parse(source: object, password: str | bytes | None) -> Key:
    if isinstance(source, Key):
        return _require_private(source)
    if isinstance(source, Mapping):
        return _parse_jwk(dict(source))
    if isinstance(source, str):
        source = source.encode()
    if not isinstance(source, bytes):
        raise ConfigurationError(f"key: must be {_EXPECTED}, not a {type(source).__name__}.")
    if source.lstrip()[:1] == b"{":
        try:
            return _parse_jwk(json.loads(source))
        except ValueError:
            pass
        raise ConfigurationError("key: starts with '{' like a JWK, but is not valid JSON.")
    return _parse_pem(source, password.encode() if isinstance(password, str) else password)


def _parse_jwk(jwk: dict[str, Any]) -> Key:
    # Report a public key here; joserfc would fail only when signing.
    if jwk.get("kty") in ("RSA", "EC", "OKP") and not jwk.get("d"):
        raise ConfigurationError(
            'key: this JWK is a public key (it has no "d"); give the private key.'
        )
    if jwk.get("kty") == "RSA":
        _require_long(len(str(jwk.get("n", "")).rstrip("=")) * 6 // 8 * 8)
    try:
        key = JWKRegistry.import_key(jwk)
    except (JoseError, ValueError, TypeError, KeyError) as error:
        problem = type(error).__name__
    else:
        return _require_private(key)
    # Raise outside the except block, because joserfc's error may quote the key.
    raise ConfigurationError(f"key: the JWK cannot be read ({problem}).")


def _parse_pem(pem: bytes, password: bytes | None) -> Key:
    try:
        native = load_pem_private_key(pem, password)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        if b"ENCRYPTED" in pem:
            problem = "its password is missing or wrong; use SigningKey(pem, password=...)"
        elif b"PUBLIC KEY" in pem or b"CERTIFICATE" in pem:
            problem = "this is a public key"
        else:
            problem = "the text is something else or is damaged"
    else:
        if isinstance(native, RSAPrivateKey):
            _require_long(native.key_size)
            return RSAKey.import_key(native)
        if isinstance(native, EllipticCurvePrivateKey):
            return ECKey.import_key(native)
        if isinstance(native, (Ed25519PrivateKey, Ed448PrivateKey)):
            return OKPKey.import_key(native)
        problem = f"an {type(native).__name__} does not sign tokens"
    raise ConfigurationError(f"key: must be {_EXPECTED}; {problem}.")


def _require_private(key: Key) -> Key:
    if not isinstance(key, OctKey) and key.is_private:
        return key
    half = "symmetric key" if isinstance(key, OctKey) else "public key"
    raise ConfigurationError(f"key: must be {_EXPECTED}, not a {half}.")


def _require_long(bits: int) -> None:
    if bits < LEAST_RSA:
        raise ConfigurationError(
            f"key: an RSA key must have at least {LEAST_RSA} bits (RFC 7518 section 3.3)."
        )
