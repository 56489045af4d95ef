"""Records of the store. None contains a token, code or secret."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["aws", "rfc"]


@dataclass(frozen=True, slots=True)
class RegisteredClient:
    """A registration.

    Attributes:
        client_id: Its public name.
        name: The name that the pages show.
        kind: ``aws`` where RegisterClient made it, ``rfc`` where RFC 7591 did.
        authentication: Its authentication method and secret digests.
        grant_types: The grants that it may use.
        scope: The scopes it may have.
        redirect_uris: Where a browser may be sent.
        issued_at: Seconds since the epoch.
        expires_at: Seconds since the epoch; infinite for one that the operator added.
        anonymous: Whether anybody could have registered it.
        introspects: Whether it may introspect the tokens of other clients.
    """

    client_id: str
    name: str
    kind: Kind
    authentication: Authentication
    grant_types: frozenset[str]
    scope: tuple[str, ...]
    redirect_uris: tuple[str, ...]
    issued_at: float
    expires_at: float
    anonymous: bool = False
    introspects: bool = False

    @property
    def confidential(self) -> bool:
        """Whether it can keep a secret (RFC 6749 section 2.1); AWS's clients say they cannot."""
        return self.kind == "rfc" and self.authentication.method != "none"

    @property
    def must_use_pkce(self) -> bool:
        """Public clients must (RFC 8252 section 6), and all of AWS's are public."""
        return self.kind == "aws" or self.authentication.method == "none"


@dataclass(frozen=True, slots=True)
class Authentication:
    """A client's authentication method and secret digests.

    Attributes:
        method: The one registered method.
        secret_digest: The digest of its secret, or None for a client without one.
        previous_digest: The digest of the secret before the last rotation, or None.
        previous_until: When the previous secret stops working, in seconds since the epoch.
    """

    method: str
    secret_digest: bytes | None = field(default=None, repr=False)
    previous_digest: bytes | None = field(default=None, repr=False)
    previous_until: float = 0.0

    def secret_digests(self, now: float) -> tuple[bytes, ...]:
        """Return the digests of the secrets that work at a time; empty without a secret."""
        current = () if self.secret_digest is None else (self.secret_digest,)
        if self.previous_digest is None or now >= self.previous_until:
            return current
        return (*current, self.previous_digest)


@dataclass(frozen=True, slots=True)
class TokenFamily:
    """A token family: one approval, with its subject, client, scopes and expiry.

    Attributes:
        origin: The ``family_id`` of the login whose token was exchanged for this one, or None for
            a login.
    """

    family_id: str
    client_id: str
    subject: str
    scope: tuple[str, ...]
    expires_at: float
    revoked: bool = False
    origin: str | None = None


@dataclass(frozen=True, slots=True)
class RefreshTokenRecord:
    """A refresh token and its family; ``used_at`` is when it was replaced, or None."""

    digest: bytes = field(repr=False)
    used_at: float | None
    family: TokenFamily


@dataclass(frozen=True, slots=True)
class AccessTokenRecord:
    """An access token and its family; ``audience`` is whom it is for, or empty for anyone."""

    scope: tuple[str, ...]
    issued_at: float
    expires_at: float
    family: TokenFamily
    audience: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Redirect:
    """Where a code was sent, and whether the client named the place itself."""

    uri: str
    given: bool


@dataclass(frozen=True, slots=True)
class AuthorizationCodeRecord:
    """A code; ``family_id`` names what it was redeemed for, or is None while it can be."""

    digest: bytes = field(repr=False)
    client_id: str
    redirect: Redirect
    scope: tuple[str, ...]
    subject: str
    challenge: str | None = field(repr=False)
    expires_at: float
    family_id: str | None = None


class DeviceStatus(enum.Enum):
    """State of a device code. Denied and redeemed are final."""

    PENDING = "pending"
    APPROVED = "approved"
    DENIED = "denied"
    REDEEMED = "redeemed"


@dataclass(frozen=True, slots=True)
class Polling:
    """Polling state of a device: its interval, number of polls, and time of the last one."""

    interval: float
    count: int = 0
    last: float | None = None


@dataclass(frozen=True, slots=True)
class DeviceCodeRecord:
    """A device code and the user's decision about it."""

    digest: bytes = field(repr=False)
    client_id: str
    scope: tuple[str, ...]
    subject: str | None
    status: DeviceStatus
    expires_at: float
    polling: Polling
