"""The objects that all pages need."""

from __future__ import annotations

from dataclasses import dataclass

from grantway._processes.copies import OneProcess
from grantway_plugins.issuer._audit_log import AuditLog
from grantway_plugins.issuer._decisions.issuer import Issuer
from grantway_plugins.issuer._storage.store import IssuerStore
from grantway_plugins.server._pages.session import Sessions

from .rendering import Renderer


@dataclass(frozen=True, slots=True)
class PageContext(OneProcess):
    """The objects that all pages need.

    Attributes:
        issuer: The issuer.
        store: The database.
        sessions: The browser sessions.
        renderer: Renders the pages.
        audit: Logs decisions, logins and invalid requests.
        body_seconds: Time limit for a submitted form, in seconds.
    """

    issuer: Issuer
    store: IssuerStore
    sessions: Sessions
    renderer: Renderer
    audit: AuditLog
    body_seconds: float
