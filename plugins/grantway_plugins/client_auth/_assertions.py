"""Client authentication by signed JWT (RFC 7523): ``private_key_jwt``, ``client_secret_jwt``."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import InitVar, dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus

from grantway._requests.client_auth import JWT_BEARER
from grantway._secrets.hidden_arguments import hides_construction
from grantway._types.quantity import check_count

from ._keys import KeySource, SigningKey, signing_key

if TYPE_CHECKING:
    from grantway._requests.outgoing_request import OutgoingRequest

#: Distinguishes the assertion from other JWTs signed with the key (request-ietf-oauth-rfc7523bis).
TYP = "client-authentication+jwt"


@hides_construction
@dataclass(frozen=True, slots=True, eq=False)
class PrivateKeyJwt:
    """``private_key_jwt``: a new assertion for each request, signed with the client's private key.

    Attributes:
        client_id: The client ID.
        key: The private key. Use a ``SigningKey`` to set ``alg``, ``kid`` or a password.
        audience: Value of ``aud``. By default the provider's issuer identifier, which is the only
            safe value according to request-ietf-oauth-rfc7523bis, or the URL of the token endpoint
            if the issuer is unknown.
        lifetime: Lifetime of the assertion in seconds.
        header: Further members of the JWT header, such as Microsoft's ``x5t#S256``. Use
            ``{"typ": "JWT"}`` if the provider rejects the newer type.

    Raises:
        ConfigurationError: The key cannot sign, or the lifetime is not positive.
    """

    client_id: str
    key: InitVar[SigningKey | KeySource]
    audience: str | None = None
    lifetime: int = 60
    header: Mapping[str, Any] = field(default_factory=dict, repr=False)
    _key: SigningKey = field(init=False, repr=False)

    def __post_init__(self, key: SigningKey | KeySource) -> None:
        check_count("lifetime", self.lifetime)
        object.__setattr__(self, "_key", signing_key(key))

    def authenticate(self, request: OutgoingRequest) -> None:
        """Put a fresh assertion into the body."""
        _assert(self, self._key, request)

    def secrets(self) -> tuple[str, ...]:
        """Return an empty tuple: each request keeps its own assertion."""
        return ()


@hides_construction
@dataclass(frozen=True, slots=True, eq=False)
class ClientSecretJwt:
    """``client_secret_jwt``: an assertion signed with the client secret, which is never sent.

    Attributes:
        client_id: The client ID.
        client_secret: The secret, at least as long as the hash of ``alg``.
        alg: ``HS256``, ``HS384`` or ``HS512``.
        audience: Value of ``aud``; by default the issuer or, if it is unknown, the token endpoint.
        lifetime: Lifetime of the assertion in seconds.
        header: Further members of the JWT header.

    Raises:
        ConfigurationError: The secret is too short, or the lifetime is not positive.
    """

    client_id: str
    client_secret: str = field(repr=False)
    alg: str = "HS256"
    audience: str | None = None
    lifetime: int = 60
    header: Mapping[str, Any] = field(default_factory=dict, repr=False)
    _key: SigningKey = field(init=False, repr=False)

    def __post_init__(self) -> None:
        check_count("lifetime", self.lifetime)
        object.__setattr__(self, "_key", SigningKey.shared(self.client_secret, self.alg))

    def authenticate(self, request: OutgoingRequest) -> None:
        """Put a fresh assertion into the body."""
        _assert(self, self._key, request)

    def secrets(self) -> tuple[str, ...]:
        """Return the secret, plain and form-encoded, for redaction."""
        return (self.client_secret, quote_plus(self.client_secret))


def _assert(
    who: PrivateKeyJwt | ClientSecretJwt, key: SigningKey, request: OutgoingRequest
) -> None:
    """Add an assertion (RFC 7523 section 3) with a new ``jti``, which retries need as well."""
    now = int(time.time())
    header = {"typ": TYP, **({"kid": key.kid} if key.kid else {}), **who.header}
    claims = {
        "iss": who.client_id,
        "sub": who.client_id,
        "aud": who.audience or request.provider.issuer or request.provider.token_endpoint,
        "iat": now,
        "exp": now + who.lifetime,
        "jti": secrets.token_urlsafe(16),
    }
    assertion = key.sign(header, claims)
    request.fields["client_id"] = who.client_id
    request.fields["client_assertion_type"] = JWT_BEARER
    request.fields["client_assertion"] = assertion
    request.secrets = (*request.secrets, assertion)
