"""Errors of an interactive login."""

from __future__ import annotations

from .base import GrantwayError


class FlowError(GrantwayError):
    """An interactive login failed."""

    code = "flow_failed"


class FlowCancelledError(FlowError):
    """The caller cancelled the login while it waited."""

    code = "flow_cancelled"


class FlowTimeoutError(FlowError):
    """The user did not finish the login in time."""

    code = "flow_timeout"


class BrowserUnavailableError(FlowError):
    """No browser could be opened on this machine, and the URL was not shown to the user."""

    code = "browser_unavailable"


class RedirectMismatchError(FlowError):
    """The redirect does not belong to this login (wrong ``state`` or ``iss``)."""

    code = "redirect_mismatch"
