"""The authorization request (RFC 6749 section 4.1.1, RFC 7636, RFC 9207), apart from its page."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from grantway_grants.authorization_code import GRANT_TYPE

from .issuer import Issuer
from .randomness import digest, new_secret
from .records import AuthorizationCode, Client, Redirect
from .redirect_uri import is_registered, with_query
from .transaction import Transaction

#: base64url of a SHA-256, without padding.
_CHALLENGE = re.compile(r"[A-Za-z0-9\-_]{43}")
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+( [\x21\x23-\x5b\x5d-\x7e]+)*")


@dataclass(frozen=True, slots=True)
class Refused:
    """The client or its redirect URI cannot be trusted: an error page, never a redirect."""

    why: str


@dataclass(frozen=True, slots=True)
class SentBack:
    """The browser goes back to the client, with an error or a code."""

    url: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that a person may approve."""

    client: Client
    redirect: Redirect
    scope: tuple[str, ...]
    state: str | None
    challenge: str | None = field(repr=False)


def judge(  # noqa: PLR0911 - a ladder of rules, each with its own answer
    issuer: Issuer, params: Mapping[str, str], transaction: Transaction
) -> Refused | SentBack | Asked:
    """Check an authorization request.

    Args:
        issuer: Who is asked.
        params: The query; a name that stood twice is in it as an empty string.
        transaction: Where the client is looked up.
    """
    client = transaction.client(params.get("client_id", ""))
    if client is None or issuer.clock() >= client.expires_at:
        return Refused("The client that sent you here is not registered, or no longer.")
    redirect = _redirect(client, params.get("redirect_uri"))
    if redirect is None:
        return Refused("The address to return to is not one that the client registered.")
    state = params.get("state")

    def back(error: str, description: str) -> SentBack:
        return _back(issuer, redirect, state, {"error": error, "error_description": description})

    repeated = sorted(name for name, value in params.items() if not value and name in _KNOWN)
    if repeated:
        return back("invalid_request", f"{repeated[0]} is empty or stands twice")
    if GRANT_TYPE not in client.grant_types:
        return back("unauthorized_client", "The client is not registered for authorization_code")
    if params.get("response_type") is None:
        return back("invalid_request", "response_type is required")
    if params["response_type"] != "code":
        return back("unsupported_response_type", "response_type must be code")
    wrong = _wrong_challenge(client, params)
    if wrong:
        return back("invalid_request", wrong)
    scope = _scope(client, params)
    if scope is None:
        return back("invalid_scope", "scope asks for more than the client registered")
    return Asked(client, redirect, scope, state, params.get("code_challenge"))


def approve(issuer: Issuer, asked: Asked, transaction: Transaction) -> SentBack:
    """Send the browser back with a code."""
    code = new_secret("gwc")
    transaction.add_authorization_code(
        AuthorizationCode(
            digest=digest(code),
            client_id=asked.client.client_id,
            redirect=asked.redirect,
            scope=asked.scope,
            subject=issuer.settings.subject,
            challenge=asked.challenge,
            expires_at=issuer.clock() + issuer.settings.lifetimes.authorization_code,
        )
    )
    return _back(issuer, asked.redirect, asked.state, {"code": code})


def deny(issuer: Issuer, asked: Asked) -> SentBack:
    """Send the browser back with the person's no."""
    error = {"error": "access_denied", "error_description": "The person said no"}
    return _back(issuer, asked.redirect, asked.state, error)


_KNOWN = (
    "response_type",
    "scope",
    "scopes",
    "state",
    "code_challenge",
    "code_challenge_method",
)


def _back(
    issuer: Issuer, redirect: Redirect, state: str | None, params: dict[str, str]
) -> SentBack:
    if state:
        params["state"] = state
    params["iss"] = issuer.settings.url
    return SentBack(with_query(redirect.uri, params))


def _redirect(client: Client, named: str | None) -> Redirect | None:
    if named is None:
        only = client.redirect_uris[0] if len(client.redirect_uris) == 1 else None
        return None if only is None else Redirect(only, given=False)
    return Redirect(named, given=True) if is_registered(named, client.redirect_uris) else None


def _wrong_challenge(client: Client, params: Mapping[str, str]) -> str | None:
    challenge, method = params.get("code_challenge"), params.get("code_challenge_method")
    if challenge is None:
        if client.must_use_pkce:
            return "code_challenge is required, with code_challenge_method=S256"
        return None if method is None else "code_challenge is missing"
    if method != "S256":
        return "code_challenge_method must be S256"
    if not _CHALLENGE.fullmatch(challenge):
        return "code_challenge must be the base64url of a SHA-256: 43 characters"
    return None


def _scope(client: Client, params: Mapping[str, str]) -> tuple[str, ...] | None:
    asked = params.get("scope") or params.get("scopes")  # AWS's clients say scopes
    if asked is None:
        return client.scope
    if not _SCOPE.fullmatch(asked):
        return None
    names = tuple(dict.fromkeys(asked.split(" ")))
    return names if set(names) <= set(client.scope) else None
