"""Tokens that only the holder of a key can use (DPoP, RFC 9449)."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import InitVar, dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from grantway._requests.client_auth import ClientAuth
from grantway._secrets.hidden_arguments import hides_construction
from grantway._types.token import Token

from ._keys import KeySource, SigningKey, signing_key

if TYPE_CHECKING:
    from grantway._requests.exchange import OutgoingRequest
    from grantway._wire.dialect import ProviderResponse

USE_NONCE = "use_dpop_nonce"
#: The endpoints that bind something to the key (RFC 9449 sections 5 and 10.1).
_STEPS = frozenset({"token", "pushed_authorization_request"})
_CHALLENGE = re.compile(rf'\bDPoP\b.*\berror="?{USE_NONCE}\b', re.IGNORECASE)
_DEFAULT_PORTS = {"http": 80, "https": 443}
#: Servers whose nonces are kept. To forget one costs a round trip.
_MOST_SERVERS = 1000
_UNAUTHORIZED = 401


@hides_construction
@dataclass(frozen=True, slots=True, eq=False)
class DPoP:
    """Wraps another way of client authentication and adds the proof of a key.

    ::

        dpop = DPoP(NoAuth("my-client"), key)
        client = grantway.Client(provider, client_id="my-client", auth=dpop)
        token = client.create_token(...)
        answer = session.get(url, headers=dpop.headers("GET", url, token))

    A server that wants a nonce in the proof gets it: a token request is sent once more, as the
    server did nothing, and later proofs carry the newest nonce from the start. Keep the key as
    long as the tokens: a public client's refresh token is bound to it.

    Attributes:
        auth: How the client proves who it is besides.
        key: The private key; its public half is in every proof.
        require_bound: Refuse a token whose ``token_type`` is not ``DPoP``: it would work without
            the key (RFC 9449 section 5). ``ResponseInvalidError`` then.

    Raises:
        ConfigurationError: the key cannot sign.
    """

    auth: ClientAuth
    key: InitVar[SigningKey | KeySource]
    require_bound: bool = True
    _key: SigningKey = field(init=False, repr=False)
    _jwk: Mapping[str, Any] = field(init=False, repr=False)
    _nonces: dict[str, str] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self, key: SigningKey | KeySource) -> None:
        object.__setattr__(self, "_key", signing_key(key))
        object.__setattr__(self, "_jwk", self._key.public_jwk())

    @property
    def client_id(self) -> str:
        """The client's public name."""
        return self.auth.client_id

    @property
    def thumbprint(self) -> str:
        """The key's thumbprint (RFC 7638), for ``dpop_jkt`` in an authorization request."""
        return self._key.thumbprint

    def authenticate(self, draft: OutgoingRequest) -> None:
        """Add the proof to a request whose answer will be bound to the key."""
        self.auth.authenticate(draft)
        if draft.step not in _STEPS:
            return
        url, nonce, inner = draft.url, self._nonces.get(_origin(draft.url)), draft.learn
        proof = self._prove("POST", url, nonce)
        draft.headers["DPoP"] = proof
        draft.secrets = (*draft.secrets, proof)

        def learn(answer: ProviderResponse) -> bool:
            again = inner(answer) if inner is not None else False
            fresh = self._remember(url, answer.headers.get("dpop-nonce"))
            if answer.error is not None:
                # The same nonce refused twice is not cured by a third try.
                return again or (answer.error.code == USE_NONCE and fresh not in (None, nonce))
            self._check_bound(answer)
            return again

        draft.learn = learn

    def secrets(self) -> tuple[str, ...]:
        """Those of the wrapped authentication."""
        return self.auth.secrets()

    # --- requests to resources ---------------------------------------------------------------

    def headers(self, method: str, url: str, token: Token | str) -> dict[str, str]:
        """Make the headers of a request to a resource (RFC 9449 section 7.1), for any library.

        Args:
            method: ``GET``, ``POST``, ...
            url: The whole address that is asked.
            token: The access token.

        Returns:
            ``Authorization`` and ``DPoP``; good for one request.
        """
        access_token = token.access_token if isinstance(token, Token) else token
        return {
            "Authorization": f"DPoP {access_token}",
            "DPoP": self.proof(method, url, access_token=access_token),
        }

    def proof(self, method: str, url: str, *, access_token: str | None = None) -> str:
        """Make one proof (RFC 9449 section 4.2).

        Args:
            method: ``GET``, ``POST``, ...
            url: The whole address that is asked.
            access_token: The token that the request carries, for ``ath``.
        """
        return self._prove(method, url, self._nonces.get(_origin(url)), access_token)

    def heard(self, url: str, status: int, headers: Mapping[str, str]) -> bool:
        """Take the nonce from a resource's answer (RFC 9449 sections 8 and 9).

        Args:
            url: The address that was asked.
            status: Of the answer.
            headers: Of the answer, in any case.

        Returns:
            Whether the resource did nothing for want of the nonce: send the request again, once,
            with new headers.
        """
        lower = {name.lower(): value for name, value in headers.items()}
        fresh = self._remember(url, lower.get("dpop-nonce"))
        challenged = bool(_CHALLENGE.search(lower.get("www-authenticate", "")))
        return status == _UNAUTHORIZED and challenged and fresh is not None

    def _prove(
        self, method: str, url: str, nonce: str | None, access_token: str | None = None
    ) -> str:
        claims: dict[str, Any] = {
            "jti": secrets.token_urlsafe(16),
            "htm": method.upper(),
            "htu": target(url),
            "iat": int(time.time()),
        }
        if access_token is not None:
            claims["ath"] = token_hash(access_token)
        if nonce is not None:
            claims["nonce"] = nonce
        return self._key.sign({"typ": "dpop+jwt", "jwk": self._jwk}, claims)

    def _remember(self, url: str, nonce: str | None) -> str | None:
        """Keep the newest nonce of a server; gives it back."""
        if nonce:
            if len(self._nonces) >= _MOST_SERVERS:
                self._nonces.clear()
            self._nonces[_origin(url)] = nonce
        return nonce or None

    def _check_bound(self, answer: ProviderResponse) -> None:
        token = answer.token
        if token is not None and self.require_bound and token.token_type.lower() != "dpop":
            answer.token = None
            answer.problem = (
                "the token is not bound to the DPoP key: its token_type is not DPoP (RFC 9449 "
                "section 5); DPoP(require_bound=False) takes it all the same"
            )


def token_hash(access_token: str) -> str:
    """The ``ath`` of an access token (RFC 9449 section 4.2)."""
    digest = hashlib.sha256(access_token.encode("ascii")).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


def target(url: str) -> str:
    """The ``htu`` of an address: normalized, without query and fragment (RFC 9449 section 4.3)."""
    return f"{_origin(url)}{urlsplit(url).path or '/'}"


def _origin(url: str) -> str:
    parts = urlsplit(url)
    scheme, host = parts.scheme.lower(), parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    port = parts.port
    shown = "" if port is None or port == _DEFAULT_PORTS.get(scheme) else f":{port}"
    return f"{scheme}://{host}{shown}"
