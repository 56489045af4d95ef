"""Lifetimes of what the issuer creates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from grantway._types.quantity import check_seconds

from ._keys.settings import DAY


@dataclass(frozen=True)
class Lifetimes:
    """Lifetimes, in seconds.

    Attributes:
        access_token: Lifetime of an access token.
        authorization_code: Lifetime of an authorization code, at most 600 (RFC 6749 section
            4.1.2).
        pushed_request: Time within which the browser must open a pushed authorization request, at
            most 600 (RFC 9126 section 2.2).
        device_code: Lifetime of a device code and its user code.
        device_interval: Initial polling interval of a device. Responses contain at least one
            second; 0 accepts polls at any rate.
        registration: Lifetime of a client's registration.
        unused_registration: Lifetime of an anonymous registration that never received a token.
        refresh_family: Lifetime of all refresh tokens of one approval. Refreshing does not extend
            it.
        refresh_reuse_window: Time for which a refresh token is still accepted after its
            replacement, for lost responses and for programs that refresh at the same time. 0
            disables the window.

    Raises:
        ConfigurationError: a field is out of range; the error names it.
    """

    access_token: float = 3600.0
    authorization_code: float = 600.0
    pushed_request: float = 60.0
    device_code: float = 600.0
    device_interval: float = 5.0
    registration: float = 90 * DAY
    unused_registration: float = 7 * DAY
    refresh_family: float = 90 * DAY
    refresh_reuse_window: float = 30.0

    def __post_init__(self) -> None:
        """Validate the fields."""
        limits: Mapping[str, float] = {
            "authorization_code": 600.0,
            "pushed_request": 600.0,
            "refresh_reuse_window": 3600.0,
        }
        for each in fields(self):
            least = 0.0 if each.name in {"refresh_reuse_window", "device_interval"} else 1.0
            most = limits.get(each.name, 3650 * DAY)
            check_seconds(each.name, getattr(self, each.name), least=least, most=most)
