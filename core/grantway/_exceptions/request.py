"""Errors of the caller: nothing was sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .base import Evidence, GrantwayError


class RequestInvalidError(GrantwayError, ValueError):
    """The request violates its grant's schema. Nothing was sent.

    Attributes:
        errors: Field name -> violated rules. Never contains the values.
    """

    code = "request_invalid"

    def __init__(
        self,
        message: str,
        *,
        errors: Mapping[str, Sequence[str]] | None = None,
        evidence: Evidence | None = None,
    ) -> None:
        super().__init__(message, evidence=evidence)
        self.errors: dict[str, list[str]] = {k: list(v) for k, v in (errors or {}).items()}


class UnknownGrantTypeError(RequestInvalidError):
    """No plugin registered this grant_type. The message lists the registered and the closest one.

    Attributes:
        registered: The registered grant types, sorted.
        nearest: The closest registered grant type, or None.
    """

    code = "unknown_grant_type"

    def __init__(
        self,
        message: str,
        *,
        registered: Sequence[str] = (),
        nearest: str | None = None,
        evidence: Evidence | None = None,
    ) -> None:
        super().__init__(message, errors={"grant_type": [message]}, evidence=evidence)
        self.registered = tuple(registered)
        self.nearest = nearest


class ConfigurationError(RequestInvalidError):
    """The configuration of a provider, dialect or client is invalid."""

    code = "configuration_invalid"


class InsecureEndpointError(ConfigurationError):
    """An endpoint is plain http on a host that is not this machine (RFC 6749 section 3.2)."""

    code = "insecure_endpoint"
