"""DPoP proofs that tests vary."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey, Key

from grantway_plugins.client_auth._dpop import token_hash
from grantway_plugins.client_auth._keys import REGISTRY

KEY = ECKey.generate_key("P-256")
OTHER_KEY = ECKey.generate_key("P-256")


def proof(
    url: str,
    *,
    key: Key = KEY,
    alg: str = "ES256",
    now: float | None = None,
    token: str | None = None,
    header: Mapping[str, Any] | None = None,
    **claims: Any,
) -> str:
    """Return a proof for a POST; a claim or header member of None is left out."""
    shown = key.as_dict(private=False)
    shown.pop("kid", None)
    payload = {
        "jti": secrets.token_urlsafe(16),
        "htm": "POST",
        "htu": url,
        "iat": int(time.time() if now is None else now),
        "ath": None if token is None else token_hash(token),
        **claims,
    }
    head = {"typ": "dpop+jwt", "alg": alg, "jwk": shown, **(header or {})}
    return jwt.encode(_given(head), _given(payload), key, registry=REGISTRY)


def _given(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}
