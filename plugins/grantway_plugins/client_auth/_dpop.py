"""Tokens bound to a key (DPoP, RFC 9449)."""

from __future__ import annotations

import base64
import hashlib
import secrets
import time
from collections.abc import Mapping
from dataclasses import InitVar, dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from grantway._requests.client_auth import ClientAuth
from grantway._secrets.hidden_arguments import hides_construction
from grantway._types.token import Token
from grantway._wire.challenges import parse_challenges

from ._keys import KeySource, SigningKey, signing_key

if TYPE_CHECKING:
    from grantway._requests.outgoing_request import OutgoingRequest
    from grantway._wire.provider_response import ProviderResponse

USE_NONCE = "use_dpop_nonce"
#: The endpoints that bind a token or code to the key (RFC 9449 sections 5 and 10.1).
_STEPS = frozenset({"token", "pushed_authorization_request"})
_DEFAULT_PORTS = {"http": 80, "https": 443}
#: A WebSocket is opened by an HTTP request (RFC 6455 section 4.1).
_SCHEMES = {"ws": "http", "wss": "https"}
#: Maximum number of servers whose nonces are kept. Forgetting a nonce costs a round trip.
_MOST_SERVERS = 1000
_UNAUTHORIZED = 401


@hides_construction
@dataclass(frozen=True, slots=True, eq=False)
class DPoP:
    """Adds DPoP proofs to another client authentication method.

    ::

        dpop = DPoP(NoAuth("my-client"), key)
        client = grantway.Client(provider, client_id="my-client", auth=dpop)
        response = requests.get(url, auth=TokenAuth(client.credential(...)))

    ``grantway_plugins.auth.TokenAuth`` adds a proof to each request to a resource. For other HTTP
    libraries, use ``headers`` and ``record_nonce``.

    If the server requires a nonce, the token request is sent once more with the nonce, and later
    proofs contain the newest nonce of the server. Keep the key as long as the tokens: the refresh
    token of a public client is bound to it.

    Attributes:
        auth: The client authentication method to use in addition to the proof.
        key: The private key. Every proof contains its public key.
        require_bound: Whether to reject a token whose ``token_type`` is not ``DPoP`` with
            ``ResponseInvalidError``. Such a token can be used without the key (RFC 9449 section 5).

    Raises:
        ConfigurationError: The key cannot sign.
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
        """The client ID."""
        return self.auth.client_id

    @property
    def secret_sources(self) -> Any:
        """The secret sources of the wrapped method."""
        return getattr(self.auth, "secret_sources", ())

    @property
    def thumbprint(self) -> str:
        """The key's thumbprint (RFC 7638), for ``dpop_jkt`` in an authorization request."""
        return self._key.thumbprint

    def authenticate(self, request: OutgoingRequest) -> None:
        """Add the proof to requests whose result is bound to the key."""
        self.auth.authenticate(request)
        if request.step not in _STEPS:
            return
        url, nonce, inner = request.url, self._nonces.get(_origin(request.url)), request.learn
        proof = self._prove("POST", url, nonce)
        request.headers["DPoP"] = proof
        request.secrets = (*request.secrets, proof)

        def learn(response: ProviderResponse) -> bool:
            again = inner(response) if inner is not None else False
            fresh = self._remember(url, response.headers.get("dpop-nonce"))
            if response.error is not None:
                # If the server rejects the nonce that it gave, another retry does not help.
                return again or (response.error.code == USE_NONCE and fresh not in (None, nonce))
            self._check_bound(response)
            return again

        request.learn = learn

    def secrets(self) -> tuple[str, ...]:
        """Return the secrets of the wrapped method, for redaction."""
        return self.auth.secrets()

    # --- requests to resources ---------------------------------------------------------------

    def headers(self, method: str, url: str, token: Token | str) -> dict[str, str]:
        """Return the headers of one request to a resource (RFC 9449 section 7.1).

        Args:
            method: HTTP method, such as ``GET``.
            url: The full URL of the request.
            token: The access token.

        Returns:
            ``Authorization`` and ``DPoP``, valid for one request.
        """
        access_token = token.access_token if isinstance(token, Token) else token
        return {
            "Authorization": f"DPoP {access_token}",
            "DPoP": self.proof(method, url, access_token=access_token),
        }

    def proof(self, method: str, url: str, *, access_token: str | None = None) -> str:
        """Return a new proof (RFC 9449 section 4.2).

        Args:
            method: HTTP method, such as ``GET``.
            url: The full URL of the request.
            access_token: The token of the request, for the claim ``ath``.
        """
        return self._prove(method, url, self._nonces.get(_origin(url)), access_token)

    def record_nonce(self, url: str, status: int, headers: Mapping[str, str]) -> bool:
        """Record the nonce in a resource's response (RFC 9449 sections 8 and 9).

        Args:
            url: URL of the request.
            status: Status code of the response.
            headers: Headers of the response; names may be in any case.

        Returns:
            Whether the resource rejected the request because the proof lacked the nonce. If so,
            send the request once more with new headers.
        """
        lower = {name.lower(): value for name, value in headers.items()}
        fresh = self._remember(url, lower.get("dpop-nonce"))
        return (
            status == _UNAUTHORIZED
            and fresh is not None
            and any(
                each.scheme == "dpop" and each.parameters.get("error") == USE_NONCE
                for each in parse_challenges(lower.get("www-authenticate", ""))
            )
        )

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
        """Store the newest nonce of a server, and return it."""
        if nonce:
            if len(self._nonces) >= _MOST_SERVERS:
                self._nonces.clear()
            self._nonces[_origin(url)] = nonce
        return nonce or None

    def _check_bound(self, response: ProviderResponse) -> None:
        token = response.token
        if token is None or not self.require_bound:
            return
        # N_A is no access token (RFC 8693 section 2.2.1).
        if token.token_type.lower() not in {"dpop", "n_a"}:
            response.token = None
            response.problem = (
                "the token is not bound to the DPoP key: its token_type is not DPoP (RFC 9449 "
                "section 5); DPoP(require_bound=False) accepts it"
            )


def token_hash(access_token: str) -> str:
    """Return the value of ``ath`` for an access token (RFC 9449 section 4.2)."""
    digest = hashlib.sha256(access_token.encode("ascii")).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


def target(url: str) -> str:
    """Return ``htu``: the normalized URL without query and fragment (RFC 9449 section 4.3)."""
    return f"{_origin(url)}{urlsplit(url).path or '/'}"


def _origin(url: str) -> str:
    parts = urlsplit(url)
    scheme, host = parts.scheme.lower(), parts.hostname or ""
    scheme = _SCHEMES.get(scheme, scheme)
    host = f"[{host}]" if ":" in host else host
    port = parts.port
    shown = "" if port is None or port == _DEFAULT_PORTS.get(scheme) else f":{port}"
    return f"{scheme}://{host}{shown}"
