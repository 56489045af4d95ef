"""Audit events. No field contains a secret, token or code."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

AuditName = Literal[
    "approval",
    "client_removal",
    "denial",
    "login",
    "login_failure",
    "outcome_unknown",
    "registration",
    "replay",
    "revocation",
    "secret_rotation",
    "user_login",
    "user_logout",
    "wrong_user_code",
]


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """An event for the audit log, which is logged after the commit of the transaction.

    Attributes:
        name: The event's name.
        client_id: The client id of a registered client.
        client_name: Display name of the client.
        subject: The user who logged in or made the decision.
        grant_type: The requested grant type.
        scope: The granted scopes, separated by spaces.
        family_id: The token family, which identifies the login in all its events.
        token_type: The revoked token: ``refresh_token`` (the whole login) or ``access_token``.
        error: The error code of the response.
        reason: The error description of the response.
        detail: A more specific reason, which the response does not contain.
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
    detail: str | None = None

    def members(self) -> dict[str, str]:
        """Return the fields that have a value, by name; the name of the event is ``event``."""
        values = {each: getattr(self, each) for each in _FIELDS}
        return {"event": self.name, **{name: value for name, value in values.items() if value}}


_FIELDS = tuple(each.name for each in fields(AuditEvent) if each.name != "name")
