"""The result of verifying the credentials of a caller."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from grantway._processes.copies import Value


@dataclass(frozen=True, slots=True)
class VerifiedToken(Value):
    """A verified access token, or a client certificate that is accepted instead of one.

    Attributes:
        issuer: Issuer of the token; of a certificate, its distinguished name (RFC 4514).
        subject: The user, or the client if it acts for itself; None if not stated.
        client_id: The client to which the token was issued, or None if not stated.
        scope: The granted scope.
        audience: The resources for which the token was issued.
        expires_at: Expiry in seconds since the epoch; infinity if not stated.
        claims: All claims, or all members of the introspection response.
        confirmation: The key to which the token is bound: ``jkt`` (RFC 9449) or ``x5t#S256``
            (RFC 8705); empty for a bearer token.
    """

    issuer: str
    subject: str | None = None
    client_id: str | None = None
    scope: frozenset[str] = frozenset()
    audience: tuple[str, ...] = ()
    expires_at: float = math.inf
    claims: Mapping[str, Any] = field(default_factory=dict, repr=False, hash=False)
    confirmation: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)
