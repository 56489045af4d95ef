"""The response of a registration endpoint (RFC 7591 section 3.2)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from grantway._exceptions import (
    Evidence,
    ProviderUnavailableError,
    ResponseInvalidError,
    TokenError,
    TransportError,
)
from grantway._plugins.default_registry import default_registry
from grantway._requests.error_codes import error_class
from grantway._secrets.error_members import members_of
from grantway._secrets.excerpts import excerpt
from grantway._secrets.redaction import printable
from grantway._transport.http import REFUSED, can_travel, retry_after
from grantway._types.token import Token
from grantway._wire.response_body import parse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from grantway._transport.http import HttpResponse

#: The ``token_type`` of a registration, which distinguishes it from tokens in the same store.
TOKEN_TYPE = "client-registration"
#: A response without any of these members does not come from a registration endpoint.
_EXPECTED = frozenset({"client_id", "error"})
#: The methods of clients that have a ``client_id`` and perhaps a ``client_secret``.
_USABLE = ("none", "client_secret_post", "client_secret_basic", "client_secret_jwt")
#: Last year of ``client_secret_expires_at``, as Unix time; a later one is not a time.
_LATEST = 253_402_300_799


def registration_of(
    response: HttpResponse, host: str, metadata: Mapping[str, Any], secret_method: str
) -> Token:
    """Return the registration in a response.

    Args:
        response: The response.
        host: The provider's host.
        metadata: The metadata that was registered.
        secret_method: The authentication method of a client that got a secret although it requested
            none.

    Raises:
        TokenError: The provider rejected the registration.
        TransportError: The provider sent no usable response.
    """
    evidence = Evidence(provider=host, status=response.status, step="registration")
    found, _ = parse(response, lambda members: bool(_EXPECTED & members.keys()))
    made, problem = None, ""
    if response.succeeded:
        made, problem = _read_registration(found, metadata, secret_method)
    if made is not None:
        return made
    if problem:
        found = None  # error reports with locals would show the secret
        problem = f"{host} registered a client without {problem} (RFC 7591 section 3.2.1)."
        raise ResponseInvalidError(problem, evidence=evidence)
    if isinstance(found, dict):
        found = members_of(found, ())  # masks secrets in error reports with locals
        evidence = replace(evidence, members=found)
    raise _rejected(response, found, evidence)


def _read_registration(
    found: object, metadata: Mapping[str, Any], secret_method: str
) -> tuple[Token | None, str]:
    """Return the registration, or the name of the member that is missing or invalid."""
    if not isinstance(found, dict):
        return None, "a JSON object"
    client_id, secret = found.get("client_id"), found.get("client_secret")
    if not isinstance(client_id, str) or not client_id:
        return None, "client_id"
    if secret is not None and not isinstance(secret, str):
        return None, "a client_secret that is text"
    if not can_travel(f"{client_id}{secret}"):
        return None, "a client_id and client_secret that are valid text"
    method = found.get("token_endpoint_auth_method") or metadata["token_endpoint_auth_method"]
    if secret and method == "none":
        method = secret_method  # providers return a secret only if they require it
    if method not in _USABLE:
        return None, "a token_endpoint_auth_method that needs no key"
    expires_at = found.get("client_secret_expires_at")
    if not isinstance(expires_at, (int, float)) or isinstance(expires_at, bool):
        expires_at = 0
    ends = float(expires_at) if 0 <= expires_at <= _LATEST else 0.0
    extra: dict[str, Any] = {"auth": method, "redirect_uris": metadata["redirect_uris"]}
    if secret:
        extra["client_secret"] = secret
    return Token(client_id, TOKEN_TYPE, expires_at=ends or None, extra=extra), ""


def _rejected(
    response: HttpResponse, found: object, evidence: Evidence
) -> TokenError | TransportError:
    host, remedy = evidence.provider, "Register one manually, and use its client_id."
    if response.status in REFUSED:
        wait = retry_after(response.headers)
        when = f"in {wait:g} s" if wait is not None else "later"
        return ProviderUnavailableError(
            f"{host} rejected the registration of a client with status {response.status}, because "
            f"it is busy or limits registrations. Try again {when}. Otherwise: {remedy}",
            retry_after=wait,
            excerpt=excerpt(response.body),
            evidence=evidence,
        )
    code = found.get("error") if isinstance(found, dict) else None
    if isinstance(found, dict) and isinstance(code, str) and code:
        described = found.get("error_description")
        words = printable(described) if isinstance(described, str) else ""
        return error_class(code, default_registry().errors)(
            f"{host} rejected the registration of a client: {printable(code)}"
            + (f": {words.rstrip('.')}" if words else "")
            + f". {remedy}",
            error=code,
            error_description=words or None,
            evidence=evidence,
        )
    shown = excerpt(response.body)
    quoted = f" The response begins: {shown}" if shown else ""
    return ResponseInvalidError(
        f"{host} responded to the registration of a client with status {response.status}. {remedy}"
        f"{quoted}",
        excerpt=shown,
        evidence=evidence,
    )
