"""Policy for client registration: permitted callers, grants and scopes."""

from __future__ import annotations

import hmac
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from grantway_plugins.issuer._settings import IssuerSettings
from grantway_plugins.issuer._storage.unit_of_work import UnitOfWork
from grantway_plugins.server._http.denial import Denial
from grantway_plugins.server._http.wire import (
    WireFormat,
    WireRequest,
    WireResponse,
    denial_response,
)

from .issuer import Issuer
from .rate_limit import PeerRateLimit


@dataclass(frozen=True, slots=True)
class Terms:
    """Permissions of a registration.

    Attributes:
        grant_types: Permitted grant types, or None for all that the issuer offers.
        scopes: Permitted scopes, or None for any.
        anonymous: Whether the registration was sent without authorization.
        introspects: Whether the client may introspect the tokens of other clients.
    """

    grant_types: frozenset[str] | None = None
    scopes: tuple[str, ...] | None = None
    anonymous: bool = False
    introspects: bool = False


#: Validates the metadata of a client and returns the work that stores it.
Register = Callable[[Issuer, Mapping[str, Any], Terms], UnitOfWork]


class RegistrationPolicy:
    """Checks and limits client registrations.

    Args:
        settings: Settings of the issuer.
    """

    def __init__(self, settings: IssuerSettings) -> None:
        self._settings = settings
        self._limit = PeerRateLimit(settings.registration_rate)

    def admit(self, request: WireRequest) -> Terms | WireResponse:
        """Return the terms of a registration, or an error response."""
        match self._settings.registration:
            case "unrestricted":
                return Terms(introspects=True)
            case "token":
                return Terms() if self._has_token(request) else _no_token(request.dialect)
            case "open":
                wait = self._limit.take(request.peer)
                if wait > 0:
                    return _too_many(request.dialect, wait)
                return Terms(
                    frozenset(self._settings.registration_grant_types),
                    self._settings.registration_scopes,
                    anonymous=True,
                )
        return denial_response(
            Denial(
                "access_denied",
                "Registration is disabled at this issuer; ask its operator for a client",
            ),
            request.dialect,
            status=403,
        )

    def admitting(
        self, register: Register
    ) -> Callable[[Issuer, WireRequest], UnitOfWork | WireResponse]:
        """Return a registration endpoint that applies the policy."""

        def admitted(issuer: Issuer, request: WireRequest) -> UnitOfWork | WireResponse:
            terms = self.admit(request)
            return (
                terms
                if isinstance(terms, WireResponse)
                else register(issuer, request.params, terms)
            )

        return admitted

    def _has_token(self, request: WireRequest) -> bool:
        wanted = self._settings.registration_token or ""
        given = request.bearer or ""
        return bool(wanted) and hmac.compare_digest(given.encode(), wanted.encode())


def _no_token(dialect: WireFormat) -> WireResponse:
    denial = Denial(
        "invalid_token",
        "Registration requires this issuer's initial access token (RFC 7591 section 3); send it as "
        "Authorization: Bearer",
    )
    challenge = (b"www-authenticate", b'Bearer realm="grantway", error="invalid_token"')
    return denial_response(denial, dialect, status=401, headers=(challenge,))


def _too_many(dialect: WireFormat, wait: float) -> WireResponse:
    seconds = math.ceil(wait)
    denial = Denial("slow_down", f"Too many registrations; try again in {seconds} seconds")
    header = (b"retry-after", str(seconds).encode())
    return denial_response(denial, dialect, status=429, headers=(header,))
