"""A decoded response of a provider."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from grantway._processes.copies import Value
from grantway._transport.http import retry_after
from grantway._types.token import Token


@dataclass(slots=True)
class WireError:
    """An error response.

    Attributes:
        code: The RFC error code, or the provider's own.
        description: The provider's description, or None.
        uri: ``error_uri``, or None.
        reason: An additional reason code, such as AWS's ``reason``, or None.
    """

    code: str
    description: str | None = None
    uri: str | None = None
    reason: str | None = None


@dataclass(slots=True)
class ProviderResponse(Value):
    """A decoded response: a payload, an error, or a problem.

    Attributes:
        status: HTTP status.
        headers: Lower-case names.
        payload: The members of a success, RFC names.
        error: The error that the provider returned, or None.
        problem: Why the body could not be used, or None.
        body: The raw body, if there is a problem.
        members: The decoded object of a failed response, with RFC names at the top level.
        token: The token, if a token request succeeded.
        attempts: Number of sends.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    payload: dict[str, Any] = field(default_factory=dict, repr=False)
    error: WireError | None = field(default=None, repr=False)
    problem: str | None = None
    body: bytes = field(default=b"", repr=False)
    members: dict[str, Any] = field(default_factory=dict, repr=False)
    token: Token | None = None
    attempts: int = 1

    @property
    def retry_after(self) -> float | None:
        """Seconds of the Retry-After header, or None."""
        return retry_after(self.headers)

    def excerpt(self, secrets: list[str]) -> str:
        """Return the start of an unusable body without secrets."""
        from grantway._secrets.excerpts import excerpt  # noqa: PLC0415 - only failures need it

        return excerpt(self.body, secrets)
