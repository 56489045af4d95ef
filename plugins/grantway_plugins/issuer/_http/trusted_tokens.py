"""Create the verification of other issuers' tokens, and the response if their keys are missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grantway_plugins._jose.errors import KeysUnavailableError
from grantway_plugins.issuer._decisions.issuer import Issuer
from grantway_plugins.server._http.audit_event import AuditEvent
from grantway_plugins.server._http.wire import WireFormat, WireResponse, busy_response

if TYPE_CHECKING:
    from grantway_plugins.issuer._trust.verification import TrustedTokens


def trusted_tokens(issuer: Issuer) -> TrustedTokens | None:
    """Return the verification, or None if the issuer trusts no other."""
    trusted = issuer.settings.trusted_issuers
    if not trusted:
        return None
    from grantway_plugins.issuer._trust.verification import (  # noqa: PLC0415 - needs the extra jose
        TrustedTokens,
    )

    return TrustedTokens(trusted, issuer.settings.url, issuer.clock)


def keys_unavailable(error: KeysUnavailableError, dialect: WireFormat) -> WireResponse:
    """Return the response to a request whose token cannot be verified at the moment."""
    detail = f"The keys of {error.issuer} cannot be read: {error}"
    return busy_response(
        dialect,
        "The keys of the token's issuer cannot be read at the moment; try again",
        AuditEvent("denial", error="server_error", detail=detail),
    )
