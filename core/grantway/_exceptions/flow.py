"""Errors of an interactive login."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .base import GrantwayError

if TYPE_CHECKING:
    pass


class FlowError(GrantwayError):
    """A login that needs a person did not end in something to redeem."""

    code = "flow_failed"


class FlowCancelledError(FlowError):
    """The caller cancelled the login while it waited."""

    code = "flow_cancelled"


class FlowTimeoutError(FlowError):
    """Nobody finished the login in time."""

    code = "flow_timeout"


class BrowserUnavailableError(FlowError):
    """No browser could be opened on this machine, and the address was not shown to a person."""

    code = "browser_unavailable"


class RedirectMismatchError(FlowError):
    """The redirect that came back is not the answer to this login (wrong ``state`` or ``iss``)."""

    code = "redirect_mismatch"
