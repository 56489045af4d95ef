"""Database records. They contain digests, never a token, code or secret."""

from __future__ import annotations

import enum
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal
from urllib.parse import urlsplit

from grantway._processes.copies import Value

Kind = Literal["aws", "rfc"]


@dataclass(frozen=True, slots=True)
class RegisteredClient(Value):
    """A registered client.

    Attributes:
        client_id: The client id.
        name: Display name on the pages.
        kind: ``aws`` if registered through RegisterClient, ``rfc`` if through RFC 7591.
        authentication: Authentication method and secret digests.
        grant_types: Grant types that the client may use.
        scope: Scopes that the client may request.
        redirect_uris: Registered redirect URIs.
        issued_at: Time of the registration, in seconds since the epoch.
        expires_at: Expiry in seconds since the epoch; infinite for clients of the operator.
        anonymous: Whether the client was registered without authorization.
        introspects: Whether the client may introspect the tokens of other clients.
        metadata: Other members of the client's metadata (RFC 7591 section 2), such as ``jwks``,
            and those for the authentication method of a plugin.
        registration_token_digest: Digest of the registration access token (RFC 7592), or None.
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
    metadata: Mapping[str, Any] = field(default_factory=dict, repr=False, hash=False)
    registration_token_digest: bytes | None = field(default=None, repr=False)

    @property
    def confidential(self) -> bool:
        """Whether the client is confidential (RFC 6749 section 2.1); AWS's clients are public."""
        return self.kind == "rfc" and self.authentication.method != "none"

    @property
    def host(self) -> str | None:
        """Host of the client's metadata document; None for a registered client."""
        is_url = self.client_id.startswith(("https://", "http://"))
        return urlsplit(self.client_id).hostname if is_url else None

    @property
    def must_use_pkce(self) -> bool:
        """Whether the client must use PKCE, as public clients must (RFC 8252 section 6)."""
        return self.kind == "aws" or self.authentication.method == "none"


@dataclass(frozen=True, slots=True)
class Authentication:
    """A client's authentication method and secret digests.

    Attributes:
        method: The registered authentication method.
        secret_digest: Digest of the secret, or None for a client without one.
        previous_digest: Digest of the secret before the last rotation, or None.
        previous_until: Expiry of the previous secret, in seconds since the epoch.
    """

    method: str
    secret_digest: bytes | None = field(default=None, repr=False)
    previous_digest: bytes | None = field(default=None, repr=False)
    previous_until: float = 0.0

    def accepts(self, method: str, secret_digest: bytes | None, now: float) -> bool:
        """Return whether a method and the digest of a secret authenticate the client at a time."""
        if method != self.method:
            return False
        if self.secret_digest is None or secret_digest is None:
            return self.secret_digest is secret_digest
        if hmac.compare_digest(secret_digest, self.secret_digest):
            return True
        if self.previous_digest is None or now >= self.previous_until:
            return False
        return hmac.compare_digest(secret_digest, self.previous_digest)


@dataclass(frozen=True, slots=True)
class LoginDetails(Value):
    """Optional properties of a login, which pass from its code to the token family.

    Attributes:
        resources: Approved resources (RFC 8707); empty if the client requested none.
        confirmation: Key to which the refresh tokens are bound, as the members of the ``cnf`` claim
            (RFC 7800 section 3.1): ``jkt`` (RFC 9449) or ``x5t#S256`` (RFC 8705). Empty for bearer
            tokens.
        auth_time: Time of the user's authentication, in seconds since the epoch, or None.
        session_id: The user's session, as in the ``sid`` claim, or None.
        nonce: The ``nonce`` of an OpenID Connect authentication request, or None.
    """

    resources: tuple[str, ...] = ()
    confirmation: Mapping[str, str] = field(default_factory=dict, hash=False)
    auth_time: float | None = None
    session_id: str | None = None
    nonce: str | None = None

    def to_json(self) -> str | None:
        """Return the properties that are set as a JSON object, or None if there are none."""
        members = {name: value for name in _DETAILS if (value := getattr(self, name))}
        return json.dumps(members, separators=(",", ":")) if members else None

    @classmethod
    def from_json(cls, text: str | None) -> LoginDetails:
        """Return the properties that ``to_json`` wrote."""
        if text is None:
            return NO_DETAILS
        members = json.loads(text)
        return cls(**{**members, "resources": tuple(members.get("resources", ()))})


_DETAILS = tuple(each.name for each in fields(LoginDetails))
#: A login without optional properties.
NO_DETAILS = LoginDetails()


@dataclass(frozen=True, slots=True)
class TokenFamily:
    """A token family: all tokens that were issued for one approval.

    Attributes:
        family_id: Identifier of the family.
        client_id: The client that received the tokens.
        subject: The user that the tokens represent.
        scope: The approved scopes.
        expires_at: Expiry of the refresh tokens, in seconds since the epoch.
        revoked: Whether the tokens have been revoked.
        origin: For a family created by token exchange, the ``family_id`` of the original login.
        details: Optional properties of the login.
    """

    family_id: str
    client_id: str
    subject: str
    scope: tuple[str, ...]
    expires_at: float
    revoked: bool = False
    origin: str | None = None
    details: LoginDetails = NO_DETAILS


@dataclass(frozen=True, slots=True)
class RefreshTokenRecord:
    """A refresh token and its family; ``used_at`` is the time of its replacement, or None."""

    digest: bytes = field(repr=False)
    used_at: float | None
    family: TokenFamily


@dataclass(frozen=True, slots=True)
class AccessTokenRecord:
    """An access token and its family.

    An empty ``audience`` means any audience, and an empty ``confirmation`` a bearer token.
    """

    scope: tuple[str, ...]
    issued_at: float
    expires_at: float
    family: TokenFamily
    audience: tuple[str, ...] = ()
    confirmation: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Redirect:
    """The redirect URI of a code; ``given`` tells whether the request contained it."""

    uri: str
    given: bool


@dataclass(frozen=True, slots=True)
class AuthorizationCodeRecord:
    """An authorization code; ``family_id`` is None until the code is redeemed."""

    digest: bytes = field(repr=False)
    client_id: str
    redirect: Redirect
    scope: tuple[str, ...]
    subject: str
    challenge: str | None = field(repr=False)
    expires_at: float
    family_id: str | None = None
    details: LoginDetails = NO_DETAILS


class DeviceStatus(enum.Enum):
    """Status of a device code. Denied and redeemed are final."""

    PENDING = "pending"
    APPROVED = "approved"
    DENIED = "denied"
    REDEEMED = "redeemed"


@dataclass(frozen=True, slots=True)
class Polling:
    """Polling interval of a device, the number of its polls and the time of the last one."""

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
    details: LoginDetails = NO_DETAILS
