"""The result of verifying a token of another issuer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from grantway._processes.copies import Value
from grantway_plugins.issuer._decisions.randomness import digest
from grantway_plugins.server._http.audit_event import AuditEvent
from grantway_plugins.server._http.denial import Denial

if TYPE_CHECKING:
    from grantway_plugins.issuer._storage.transaction import Transaction


#: The method of clients that send a token of a trusted issuer as ``client_assertion``.
FEDERATED = "federated_jwt"


@dataclass(frozen=True, slots=True)
class TrustedToken(Value):
    """A verified token of a trusted issuer.

    Attributes:
        issuer: The trusted issuer.
        subject: The token's subject.
        expires_at: Expiry, in seconds since the epoch.
        claims: All claims.
        clients: Client ids that the token authenticates; empty if it is no client assertion.
        single_use_id: The token's ``jti``, if it must not be accepted again.
        kept_until: Time until which the issuer accepts the token, including its leeway.
        method: The client authentication method of a client assertion.
        identity_assertion: Whether it is an identity assertion (ID-JAG), which names its client.
    """

    issuer: str
    subject: str
    expires_at: float
    claims: Mapping[str, Any] = field(repr=False)
    clients: tuple[str, ...] = ()
    single_use_id: str | None = None
    kept_until: float = 0.0
    method: str = FEDERATED
    identity_assertion: bool = False


@dataclass(frozen=True, slots=True)
class RejectedToken(Value):
    """A token of another issuer that is not accepted.

    Attributes:
        reason: Why, for the audit log. It contains no part of the token but verified claims and the
            name of the issuer.
    """

    reason: str


def denial_of(token: RejectedToken | None, parameter: str, error: str) -> Denial:
    """Return the denial of a request, which gives the reason to the audit log only.

    Args:
        token: The rejected token; None if the parameter is not a JWT.
        parameter: The parameter with the token.
        error: The error code.
    """
    reason = "is not a JWT of a trusted issuer" if token is None else token.reason
    return Denial(
        error,
        f"The {parameter} is not accepted; the audit log of the issuer says why",
        event=AuditEvent("denial", detail=f"The {parameter} {reason}"),
    )


def spend(
    token: TrustedToken, transaction: Transaction, parameter: str, error: str = "invalid_grant"
) -> Denial | None:
    """Record the use of a token; return a denial if it must not be used again.

    Args:
        token: The token.
        transaction: Transaction of the request.
        parameter: The parameter with the token.
        error: The error code.
    """
    if token.single_use_id is None:
        return None
    # The issuer's name and the jti together are unique (RFC 7523 section 3).
    key = digest(json.dumps([token.issuer, token.single_use_id]))
    if transaction.spend(key, token.kept_until):
        return None
    event = AuditEvent("replay", subject=token.subject, detail=f"The {parameter} was used before")
    return Denial(error, denial_of(None, parameter, error).description, event=event)
