"""Audit log event of one request. No field holds a secret, token or code."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

AuditName = Literal[
    "approval",
    "client_removal",
    "denial",
    "login",
    "outcome_unknown",
    "registration",
    "replay",
    "revocation",
    "secret_rotation",
    "wrong_user_code",
]


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One event. A decision returns it; the issuer logs it once the decision is committed.

    Attributes:
        name: The event's name.
        client_id: A registered client, or None.
        client_name: The name that a client registered.
        subject: The user whose login it is, or who made the decision.
        grant_type: The requested grant.
        scope: The scopes that were granted, separated by spaces.
        family_id: The login that the tokens belong to; the same in all its events.
        token_type: What was revoked: ``refresh_token`` (the whole login) or ``access_token``.
        error: The error code in the response.
        reason: The error description in the response.
    """

    name: AuditName
    client_id: str | None = None
    client_name: str | None = None
    subject: str | None = None
    grant_type: str | None = None
    scope: str | None = None
    family_id: str | None = None
    token_type: str | None = None
    error: str | None = None
    reason: str | None = None

    def members(self) -> dict[str, str]:
        """Return the fields that have a value, by name; the event's name is ``event``."""
        values = {each: getattr(self, each) for each in _FIELDS}
        return {"event": self.name, **{name: value for name, value in values.items() if value}}


_FIELDS = tuple(each.name for each in fields(AuditEvent) if each.name != "name")
