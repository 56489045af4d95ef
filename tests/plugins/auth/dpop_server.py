"""A server that issues DPoP tokens, and a resource that verifies their proofs (RFC 9449)."""

from __future__ import annotations

import base64
import hashlib
import secrets
import threading
import time
from typing import Any

from joserfc.jwk import ECKey, JWKRegistry

import grantway
from grantway._credentials.credential import Credential
from grantway_plugins.client_auth import DPoP
from tests.plugins.auth.resource import Resource, Responses, Seen
from tests.plugins.client_auth.scripted import header_of, verified

INVALID_PROOF = 'DPoP error="invalid_dpop_proof"'
INVALID_TOKEN = 'Bearer, DPoP algs="ES256", error="invalid_token"'
NONCE_REQUIRED = 'DPoP error="use_dpop_nonce", error_description="Resource server requires nonce"'


class DPoPServer(Resource):
    """A token endpoint at ``/token``, and a resource everywhere else.

    Args:
        responses: Fixed responses of the resource by path.

    Attributes:
        nonce: The nonce that the resource requires, or None.
        rotates: Whether every accepted request changes the nonce.
        keys: Thumbprint of the key of each token.
        claims: Claims of the proofs that were sent to the resource.
    """

    def __init__(self, responses: Responses | None = None) -> None:
        super().__init__(lambda token: False, responses)
        self.nonce: str | None = None
        self.rotates = False
        self.keys: dict[str, str] = {}
        self.claims: list[dict[str, Any]] = []
        self._spent: set[str] = set()
        self._guard = threading.Lock()

    def credential(self, dpop: DPoP | None = None) -> Credential:
        """Return a credential whose tokens are bound to the key."""
        inner = grantway.ClientSecretPost("app", "app-secret")
        client = grantway.Client(
            grantway.Provider(f"{self.url}/token"),
            client_id="app",
            auth=dpop or DPoP(inner, ECKey.generate_key("P-256")),
        )
        return client.credential(grant_type="client_credentials")

    @property
    def paths(self) -> list[str]:
        """Paths of the requests to the resource, in order, with a star if they had a token."""
        return [
            seen.path + ("*" if "authorization" in seen.headers else "")
            for seen in self.seen
            if seen.path != "/token"
        ]

    def respond_to(self, seen: Seen) -> tuple[int, dict[str, str]]:
        if seen.path in self._responses:
            return self._responses[seen.path]
        if problem := self._problem(seen):
            headers = {"WWW-Authenticate": problem}
            if problem == NONCE_REQUIRED and self.nonce:
                headers["DPoP-Nonce"] = self.nonce
            return 401, headers
        if not self.rotates or seen.path == "/token":
            return 200, {}
        self.nonce = secrets.token_urlsafe(8)
        return 200, {"DPoP-Nonce": self.nonce}

    def content(self, seen: Seen) -> dict[str, Any]:
        if seen.path != "/token":
            return super().content(seen)
        token = secrets.token_urlsafe(32)
        self.keys[token] = self._key(seen)
        return {"access_token": token, "token_type": "DPoP", "expires_in": 3600}

    def _key(self, seen: Seen) -> str:
        return str(JWKRegistry.import_key(header_of(seen.headers["dpop"])["jwk"]).thumbprint())

    def _problem(self, seen: Seen) -> str:
        """Return the challenge for a request, or an empty string if it is valid."""
        scheme, _, token = seen.headers.get("authorization", "").partition(" ")
        proof, nonce = seen.headers.get("dpop", ""), self.nonce
        if proof.count(".") != 2:
            return INVALID_TOKEN
        header = header_of(proof)
        claims = verified(proof, header["jwk"]).claims
        url = f"{self.url}{seen.path.partition('?')[0]}"
        with self._guard:
            replayed = claims["jti"] in self._spent
            self._spent.add(claims["jti"])
            if seen.path != "/token":
                self.claims.append(dict(claims))
        if (
            replayed
            or header["typ"] != "dpop+jwt"
            or "d" in header["jwk"]
            or (claims["htm"], claims["htu"]) != (seen.method, url)
            or abs(claims["iat"] - time.time()) > 60
        ):
            return INVALID_PROOF
        if seen.path == "/token":
            return ""
        if scheme != "DPoP" or self.keys.get(token) != self._key(seen):
            return INVALID_TOKEN
        digest = hashlib.sha256(token.encode()).digest()
        if claims["ath"] != base64.urlsafe_b64encode(digest).rstrip(b"=").decode():
            return INVALID_PROOF
        return NONCE_REQUIRED if nonce is not None and claims.get("nonce") != nonce else ""
