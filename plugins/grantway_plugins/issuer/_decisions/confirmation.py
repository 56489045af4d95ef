"""Tokens that are bound to a key (RFC 7800, RFC 8705, RFC 9449)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from grantway_plugins.issuer._clients.certificate_metadata import BOUND, METHODS
from grantway_plugins.issuer._security import proof_algorithms
from grantway_plugins.issuer._storage.records import LoginDetails, RegisteredClient, TokenFamily
from grantway_plugins.server._http.audit_event import AuditEvent
from grantway_plugins.server._http.denial import Denial, DenialError
from grantway_plugins.server._http.wire import WireRequest

if TYPE_CHECKING:
    from grantway_plugins.issuer._decisions.issuer import Issuer
    from grantway_plugins.issuer._storage.transaction import Transaction

#: Parameter of authorization requests.
DPOP_JKT = "dpop_jkt"
_THUMBPRINT = re.compile(r"[A-Za-z0-9_-]{43}")
#: Client metadata (RFC 9449 section 5.2).
DPOP_BOUND = "dpop_bound_access_tokens"


def requested_confirmation(values: Mapping[str, str]) -> Mapping[str, str]:
    """Return the key to which an authorization request binds its code (RFC 9449 section 10).

    Args:
        values: Parameters of the request.

    Raises:
        DenialError: ``dpop_jkt`` is invalid.
    """
    thumbprint = values.get(DPOP_JKT)
    if thumbprint is None or not proof_algorithms():
        return {}
    if not _THUMBPRINT.fullmatch(thumbprint):
        raise DenialError(
            "invalid_request", f"{DPOP_JKT} must be a SHA-256 thumbprint: 43 base64url characters"
        )
    return {"jkt": thumbprint}


def is_confirmed(required: Mapping[str, str], proved: Mapping[str, str]) -> bool:
    """Return whether a request proves possession of the key of a code or token.

    Args:
        required: The key, as the members of ``cnf``; empty for a bearer token.
        proved: The keys that the request proves, as in ``WireRequest.confirmation``.
    """
    return all(name in proved and proved[name] == value for name, value in required.items())


def issued_confirmation(client: RegisteredClient, proved: Mapping[str, str]) -> Mapping[str, str]:
    """Return the keys to which the client's access tokens are bound.

    A certificate binds the tokens of clients that authenticate with one or ask for it (RFC 8705
    section 3). Others may send one because the proxy requires it.
    """
    if client.authentication.method in METHODS or client.metadata.get(BOUND):
        return proved
    return {name: value for name, value in proved.items() if name == "jkt"}


def with_bound_refresh_tokens(
    family: TokenFamily, client: RegisteredClient, confirmation: Mapping[str, str]
) -> TokenFamily:
    """Return a new family whose refresh tokens are bound to the key, if its client is public.

    Those of a confidential client are bound to its authentication (RFC 9449 section 5).
    """
    bound = {} if client.confidential else confirmation
    if family.details.confirmation == bound:
        return family
    details: LoginDetails = replace(family.details, confirmation=bound)
    return replace(family, details=details)


def require_confirmation(issuer: Issuer, client: RegisteredClient, request: WireRequest) -> None:
    """Reject a token request without a proof that the client or the issuer requires.

    Raises:
        DenialError: the request proves no key.
    """
    if client.metadata.get(DPOP_BOUND) and "jkt" not in request.confirmation:
        raise DenialError(
            "invalid_request", f"A DPoP proof is required: the client registered {DPOP_BOUND}"
        )
    if client.metadata.get(BOUND) and "x5t#S256" not in request.confirmation:
        raise DenialError(
            "invalid_request", f"A client certificate is required: the client registered {BOUND}"
        )
    if issuer.settings.require_bound_tokens and not issued_confirmation(
        client, request.confirmation
    ):
        raise DenialError(
            "invalid_request",
            "This issuer binds all access tokens to a key; send a proof in the header DPoP",
        )


def use_proof(request: WireRequest, transaction: Transaction) -> None:
    """Record the use of the request's DPoP proof, if it has one.

    Raises:
        DenialError: the proof was used before, at this issuer or at another one on the database.
    """
    proof = request.proof
    if proof is None or transaction.records("grantway").add(proof.use, {}, until=proof.kept_until):
        return
    problem = "The DPoP proof was used before; create one for each request"
    raise DenialError.of(
        Denial("invalid_dpop_proof", problem, event=AuditEvent("replay", detail=problem))
    )
