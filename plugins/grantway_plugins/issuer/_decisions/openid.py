"""OpenID Connect: its scopes, its claims and its part of the metadata."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from grantway_plugins.server._http.denial import DenialError

if TYPE_CHECKING:
    from .issuer import Issuer

#: The scope of an OpenID Connect authentication request.
OPENID = "openid"
#: Client metadata with the algorithm of ID tokens (OpenID Connect Dynamic Client Registration).
ID_TOKEN_ALG = "id_token_signed_response_alg"
#: Maximum length of a nonce.
MAX_NONCE = 1024
#: Claims about the user by scope (OpenID Connect Core section 5.4).
USER_CLAIMS: Mapping[str, tuple[str, ...]] = {
    "profile": (
        "name",
        "family_name",
        "given_name",
        "middle_name",
        "nickname",
        "preferred_username",
        "profile",
        "picture",
        "website",
        "gender",
        "birthdate",
        "zoneinfo",
        "locale",
        "updated_at",
    ),
    "email": ("email", "email_verified"),
    "address": ("address",),
    "phone": ("phone_number", "phone_number_verified"),
}
#: Descriptions of the scopes on the approval pages.
DESCRIPTIONS: Mapping[str, str] = {
    OPENID: "Know who you are",
    "profile": "See your name and profile",
    "email": "See your email address",
    "address": "See your postal address",
    "phone": "See your phone number",
}
#: The default algorithm of ID tokens (OpenID Connect Dynamic Client Registration section 2).
_DEFAULT_ALG = "RS256"
#: Claims of every ID token, or of those for which they are known.
_ID_TOKEN_CLAIMS = ("iss", "sub", "aud", "iat", "exp", "auth_time", "nonce", "sid", "at_hash")


def user_claims(claims: Mapping[str, Any], scope: Iterable[str]) -> dict[str, Any]:
    """Return the claims about a user that scopes permit."""
    names = {name for each in scope for name in USER_CLAIMS.get(each, ())}
    return {name: value for name, value in claims.items() if name in names and value is not None}


def check_nonce(nonce: str | None) -> None:
    """Reject a nonce that is too long to be stored.

    Raises:
        DenialError: it is longer than ``MAX_NONCE`` characters.
    """
    if nonce is not None and len(nonce) > MAX_NONCE:
        raise DenialError("invalid_request", f"nonce must have at most {MAX_NONCE} characters")


def id_token_metadata(issuer: Issuer, alg: str | None, scope: Iterable[str]) -> Mapping[str, str]:
    """Return the member about ID tokens in a client's metadata; empty if it gets none.

    Args:
        issuer: The issuer. Without keys, an operator adds the client to the database of an issuer,
            which uses its default if it has no key for the algorithm.
        alg: The algorithm that the client registers, or None for the default.
        scope: The scopes that the client may request.

    Raises:
        DenialError: the issuer has no key for the algorithm.
    """
    if OPENID not in scope:
        return {}
    if issuer.keys is None:
        return {} if alg is None else {ID_TOKEN_ALG: alg}
    known = issuer.keys.algorithms
    if alg is not None and alg not in known:
        raise DenialError(
            "invalid_client_metadata", f"{ID_TOKEN_ALG} must be one of {', '.join(known)}"
        )
    return {ID_TOKEN_ALG: alg or id_token_alg(None, known)}


def id_token_alg(registered: str | None, known: Sequence[str]) -> str:
    """Return the algorithm of a client's ID tokens.

    Args:
        registered: The algorithm that the client registered, or None.
        known: Algorithms of the issuer's keys, which may have changed since the registration.
    """
    if registered is not None and registered in known:
        return registered
    return _DEFAULT_ALG if _DEFAULT_ALG in known else known[0]


def provider_metadata(issuer: Issuer) -> dict[str, Any]:
    """Return the members of OpenID Connect Discovery section 3; empty without signing keys."""
    if issuer.keys is None:
        return {}
    return {
        "userinfo_endpoint": f"{issuer.settings.url}/userinfo",
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": list(issuer.keys.algorithms),
        "claims_parameter_supported": False,
    }


def discovery_metadata(issuer: Issuer) -> dict[str, Any]:
    """Return the members that only ``/.well-known/openid-configuration`` has.

    Some OAuth clients request every scope that the other document lists.
    """
    if issuer.keys is None:
        return {}
    about_users = {} if issuer.login is None else USER_CLAIMS
    scopes = dict.fromkeys((OPENID, *about_users, *issuer.settings.default_scopes))
    claims = [*_ID_TOKEN_CLAIMS, *(name for each in about_users.values() for name in each)]
    return {"scopes_supported": list(scopes), "claims_supported": claims}
