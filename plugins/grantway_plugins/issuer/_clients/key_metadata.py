"""The public keys in a client's metadata (RFC 7591 section 2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from grantway._exceptions import ConfigurationError
from grantway._transport.http import is_loopback
from grantway_plugins.server._http.denial import DenialError
from grantway_plugins.server._proofs.algorithms import ALGORITHMS

from .document_settings import ClientDocuments
from .document_url import url_problem

#: The authentication method with a signed assertion (OpenID Connect Core section 9).
PRIVATE_KEY_JWT = "private_key_jwt"
#: Metadata with keys, and with the algorithm of assertions.
JWKS, JWKS_URI, ALGORITHM = "jwks", "jwks_uri", "token_endpoint_auth_signing_alg"
_ERROR = "invalid_client_metadata"


def key_members(
    members: Mapping[str, Any], method: str, private_hosts: tuple[str, ...] | None
) -> dict[str, Any]:
    """Return the members about keys, as they are stored.

    Args:
        members: The client's metadata.
        method: The client's authentication method.
        private_hosts: Hosts on private networks from which keys may be read, also over http. None
            permits all private hosts, and http on this machine.

    Raises:
        DenialError: a member is invalid, or the method has no keys.
    """
    jwks, uri, algorithm = (members.get(name) for name in (JWKS, JWKS_URI, ALGORITHM))
    if jwks is not None and uri is not None:
        raise DenialError(_ERROR, "jwks and jwks_uri exclude each other; use one of them")
    found: dict[str, Any] = {}
    if jwks is not None:
        found[JWKS] = {"keys": _checked_keys(jwks)}
    if uri is not None:
        problem = _uri_problem(uri, private_hosts)
        if problem is not None:
            raise DenialError(_ERROR, f"jwks_uri {problem}")
        found[JWKS_URI] = uri
    if algorithm is not None:
        if algorithm not in ALGORITHMS:
            raise DenialError(_ERROR, f"{ALGORITHM} must be one of {', '.join(ALGORITHMS)}")
        found[ALGORITHM] = algorithm
    if method == PRIVATE_KEY_JWT and jwks is None and uri is None:
        raise DenialError(_ERROR, f"{PRIVATE_KEY_JWT} requires jwks or jwks_uri")
    return found


def _uri_problem(uri: object, private_hosts: tuple[str, ...] | None) -> str | None:
    if not isinstance(uri, str):
        return "must be a URL"
    if private_hosts is None:
        private_hosts = _loopback(uri)
    return url_problem(uri, ClientDocuments(private_hosts=private_hosts))


def _loopback(uri: str) -> tuple[str, ...]:
    try:
        host = urlsplit(uri).hostname or ""
    except ValueError:
        return ()
    return (host,) if is_loopback(host) else ()


def _checked_keys(jwks: object) -> list[dict[str, Any]]:
    """Return the keys of a JWK Set, all of which must be usable."""
    from grantway_plugins._jose.key_set import (  # noqa: PLC0415 - needs the extra jose
        MOST_KEYS,
        given_keys,
    )

    listed = jwks.get("keys") if isinstance(jwks, Mapping) else None
    if not isinstance(listed, list) or len(listed) > MOST_KEYS:
        raise DenialError(
            _ERROR, f"jwks must be an object with the member keys, a list of at most {MOST_KEYS}"
        )
    try:
        given_keys({"keys": listed})
    except ConfigurationError as error:
        problem = error.errors["jwks"][0]
    else:
        return listed
    raise DenialError(_ERROR, f"jwks: {problem}")
