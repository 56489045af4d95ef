"""Units of work of the endpoints, and the responses to failed ones."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from grantway._exceptions import PluginError
from grantway_plugins.server._http.audit_event import AuditEvent
from grantway_plugins.server._http.denial import Denial, DenialError
from grantway_plugins.server._http.wire import WireFormat, WireResponse, busy_response

from .errors import DatabaseBusyError, DatabaseError, DatabaseOutcomeUnknownError

if TYPE_CHECKING:
    from .transaction import Transaction

UnitOfWork = Callable[["Transaction"], WireResponse | Denial]

_UNKNOWN = (
    "The connection to the database failed, and the request may have been carried out; retry a "
    "refresh at once, and log in again if a code is rejected"
)

_log = logging.getLogger("grantway.issuer")


def guarded(
    work: UnitOfWork, *, client_id: object = None, grant_type: str | None = None
) -> UnitOfWork:
    """Return work that returns denials instead of raising them, which would roll back.

    If a client id is given, the audit events of denials contain the client and the grant. The
    client id is added only if it is registered; otherwise it could be a misplaced secret.

    Args:
        work: A unit of work that may raise ``DenialError``.
        client_id: The client id in the request, or None.
        grant_type: The grant type in the request, or None if the issuer does not offer it.
    """

    def run(transaction: Transaction) -> WireResponse | Denial:
        try:
            outcome = work(transaction)
        except DenialError as error:
            outcome = error.denial
        if isinstance(outcome, WireResponse):
            return outcome
        if not isinstance(client_id, str) or not client_id.isprintable():
            return outcome
        event = replace(outcome.event or AuditEvent("denial"), grant_type=grant_type)
        if transaction.clients.find(client_id) is not None:
            event = replace(event, client_id=client_id)
        return replace(outcome, event=event)

    return run


def failure_response(error: Exception, dialect: WireFormat) -> WireResponse | Denial:
    """Log failed work and return the response, which does not contain the error's text.

    Args:
        error: The exception.
        dialect: The request's dialect.
    """
    if isinstance(error, DatabaseOutcomeUnknownError):
        _log.error("A request may have been carried out: %s", error)
        return busy_response(dialect, _UNKNOWN, AuditEvent("outcome_unknown"))
    if isinstance(error, DatabaseError):
        if not isinstance(error, DatabaseBusyError):
            _log.error("The database failed for a request: %s", error)
            return busy_response(dialect, f"{error.public}; nothing was done")
        return busy_response(dialect)
    # PluginError's message never contains values of the request.
    what = error.message if isinstance(error, PluginError) else type(error).__name__
    _log.error("A request failed: %s", what)
    return Denial("server_error", "The issuer failed; nothing was done")
