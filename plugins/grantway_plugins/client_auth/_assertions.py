"""A client that signs who it is (RFC 7523): ``private_key_jwt`` and ``client_secret_jwt``."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import InitVar, dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus

from grantway._secrets.hidden_arguments import hides_construction
from grantway._types.quantity import check_count

from ._keys import KeySource, SigningKey, signing_key

if TYPE_CHECKING:
    from grantway._requests.exchange import OutgoingRequest

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
#: Tells the assertion from every other JWT that the key may sign (draft-ietf-oauth-rfc7523bis).
TYP = "client-authentication+jwt"


@hides_construction
@dataclass(frozen=True, slots=True, eq=False)
class PrivateKeyJwt:
    """``private_key_jwt``: an assertion signed with the client's private key, anew for every send.

    Attributes:
        client_id: The client's public name.
        key: The private key; a ``SigningKey`` where ``alg``, ``kid`` or a password matter.
        audience: Whom it is for. By default the provider's issuer, which
            draft-ietf-oauth-rfc7523bis makes the only safe value, or the token endpoint where
            the issuer is not known.
        lifetime: Seconds for which it is good.
        header: More members of its header, such as Microsoft's ``x5t#S256``; ``{"typ": "JWT"}``
            for a provider that refuses the newer type.

    Raises:
        ConfigurationError: the key cannot sign, or the lifetime is not positive.
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

    def authenticate(self, draft: OutgoingRequest) -> None:
        """Put a fresh assertion into the body."""
        _assert(self, self._key, draft)

    def secrets(self) -> tuple[str, ...]:
        """There are none beside the assertion, which the draft keeps."""
        return ()


@hides_construction
@dataclass(frozen=True, slots=True, eq=False)
class ClientSecretJwt:
    """``client_secret_jwt``: an assertion signed with the client's secret, which stays here.

    Attributes:
        client_id: The client's public name.
        client_secret: The secret, as long as the hash of ``alg`` at least.
        alg: ``HS256``, ``HS384`` or ``HS512``.
        audience: Whom it is for; by default the issuer, else the token endpoint.
        lifetime: Seconds for which it is good.
        header: More members of its header.

    Raises:
        ConfigurationError: the secret is too short, or the lifetime is not positive.
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

    def authenticate(self, draft: OutgoingRequest) -> None:
        """Put a fresh assertion into the body."""
        _assert(self, self._key, draft)

    def secrets(self) -> tuple[str, ...]:
        """The secret, plain and form-encoded, though it never travels."""
        return (self.client_secret, quote_plus(self.client_secret))


def _assert(who: PrivateKeyJwt | ClientSecretJwt, key: SigningKey, draft: OutgoingRequest) -> None:
    """Write the assertion of RFC 7523 section 3; a second send needs a ``jti`` of its own."""
    now = int(time.time())
    header = {"typ": TYP, **({"kid": key.kid} if key.kid else {}), **who.header}
    claims = {
        "iss": who.client_id,
        "sub": who.client_id,
        "aud": who.audience or draft.provider.issuer or draft.provider.token_endpoint,
        "iat": now,
        "exp": now + who.lifetime,
        "jti": secrets.token_urlsafe(16),
    }
    assertion = key.sign(header, claims)
    draft.fields["client_id"] = who.client_id
    draft.fields["client_assertion_type"] = ASSERTION_TYPE
    draft.fields["client_assertion"] = assertion
    draft.secrets = (*draft.secrets, assertion)
