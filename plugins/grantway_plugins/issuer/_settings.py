"""Settings of the issuer, validated on construction."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Literal, get_args
from urllib.parse import urlsplit

from marshmallow import ValidationError

from grantway._exceptions import ConfigurationError
from grantway._processes.copies import Value
from grantway._types.fields import Scope
from grantway._types.quantity import check_count, check_seconds
from grantway_grants import authorization_code, device_code, refresh_token

from ._aws_portal.accounts import AwsAccount
from ._http.origin import check_origin

Approve = Literal["page", "auto"]
RegistrationMode = Literal["open", "token", "off", "unrestricted"]
DAY = 86_400.0
#: The grants in which a person approves, and the one that refreshes their tokens.
INTERACTIVE = (authorization_code.GRANT_TYPE, device_code.GRANT_TYPE, refresh_token.GRANT_TYPE)
#: A bearer token (RFC 6750 section 2.1) of at least 128 bits.
_BEARER = re.compile(r"[A-Za-z0-9\-._~+/]{22,}=*")
#: Segments that no proxy and no client normalises.
_ISSUER_PATH = re.compile(r"(/(?!\.{1,2}(/|$))[A-Za-z0-9._~-]+)*")

#: Scheme and host of an issuer's URL, as browsers and clients send them.
_ISSUER_ORIGIN = re.compile(
    r"https?://([A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*|\[[0-9A-Fa-f:.]+\])(:[0-9]+)?(/|\Z)"
)


def _refuse(name: str, rule: str) -> ConfigurationError:
    return ConfigurationError(f"{name} {rule}", errors={name: [rule]})


@dataclass(frozen=True)
class Lifetimes:
    """Lifetimes, in seconds.

    Attributes:
        access_token: An access token.
        authorization_code: An authorization code, at most 600 (RFC 6749 section 4.1.2).
        device_code: A device code and its user code.
        device_interval: The wait between polls that a device is told first, at least one second.
            Zero accepts polls at any speed.
        registration: A client's registration.
        unused_registration: An anonymous registration that has never received a token.
        refresh_family: All refresh tokens that descend from one approval; absolute, so that
            refreshing does not lengthen it.
        refresh_reuse_window: How long a refresh token still works after it was replaced, for lost
            responses and for several programs that refresh at once. 0 disables the window.

    Raises:
        ConfigurationError: names the field that breaks its rule.
    """

    access_token: float = 3600.0
    authorization_code: float = 600.0
    device_code: float = 600.0
    device_interval: float = 5.0
    registration: float = 90 * DAY
    unused_registration: float = 7 * DAY
    refresh_family: float = 90 * DAY
    refresh_reuse_window: float = 30.0

    def __post_init__(self) -> None:
        """Check every field."""
        limits: Mapping[str, float] = {"authorization_code": 600.0, "refresh_reuse_window": 3600.0}
        for each in fields(self):
            least = 0.0 if each.name in {"refresh_reuse_window", "device_interval"} else 1.0
            most = limits.get(each.name, 3650 * DAY)
            check_seconds(each.name, getattr(self, each.name), least=least, most=most)


@dataclass(frozen=True)
class IssuerSettings(Value):
    """Identity and policies of the issuer.

    Attributes:
        issuer: The URL that names the issuer (RFC 8414 section 2), without query or
            fragment. Its path, if any, is that of every endpoint. None means the address it
            listens on.
        approve: ``page`` asks a person; ``auto`` approves everything at once, for demos and tests
            on this machine alone.
        subject: The user who approves: the ``sub`` of every token.
        default_scopes: The scopes of a registration that names none.
        name: The issuer's name, as its pages show it.
        scope_descriptions: What scopes mean to a person, by scope, for the pages that ask for
            approval. Scopes without a description are shown as they are.
        lifetimes: How long things live.
        cors_origins: Origins, like ``https://app.example.com``, whose web pages may read metadata,
            register, get tokens and revoke them. ``*`` allows every origin. Cookies are never
            allowed.
        aws_accounts: What the test double of AWS's access portal gives out. Without any, there is
            no portal.
        registration: Policy for registering clients. ``open``: anyone, within the limits below.
            ``token``: holders of ``registration_token``, for everything that the issuer offers.
            ``off``: only the operator adds clients. ``unrestricted``: anyone, for everything,
            for tests on this machine alone. None means ``open`` on an issuer that only this machine
            reaches; any other issuer must choose.
        registration_token: The initial access token of RFC 7591 section 3.
        registration_grant_types: The grants of ``open``; by default those in which a person
            approves, and refreshing.
        registration_scopes: The scopes of ``open``. None means any scope on an issuer that only
            this machine reaches, and ``default_scopes`` elsewhere.
        registration_rate: Registrations per minute from one peer when ``open``; all peers together
            have ten times as many.
        registration_limit: Registrations that are kept when ``open``. A new one then replaces the
            oldest that never received a token.

    Raises:
        ConfigurationError: names the field that breaks its rule.
    """

    issuer: str | None = None
    approve: Approve = "page"
    subject: str = "local-user"
    default_scopes: tuple[str, ...] = ("sso:account:access",)
    name: str = "grantway issuer"
    scope_descriptions: Mapping[str, str] = field(default_factory=dict, hash=False)
    lifetimes: Lifetimes = field(default_factory=Lifetimes)
    cors_origins: tuple[str, ...] = ()
    aws_accounts: tuple[AwsAccount, ...] = ()
    registration: RegistrationMode | None = None
    registration_token: str | None = field(default=None, repr=False)
    registration_grant_types: tuple[str, ...] = INTERACTIVE
    registration_scopes: tuple[str, ...] | None = None
    registration_rate: int = 60
    registration_limit: int = 10_000

    def __post_init__(self) -> None:
        """Check every field."""
        if self.issuer is not None:
            _check_issuer(self.issuer)
        if self.approve not in get_args(Approve):
            raise _refuse("approve", 'must be "page" or "auto"')
        if not _is_shown(self.subject):
            raise _refuse("subject", 'must be printable text, like "local-user"')
        if not _is_shown(self.name):
            raise _refuse("name", 'must be printable text, like "Example Login"')
        _check_descriptions(self.scope_descriptions)
        _check_scopes("default_scopes", self.default_scopes)
        self._check_registration()
        self._check_cors_origins()
        accounts: object = self.aws_accounts
        if not isinstance(accounts, tuple) or not all(isinstance(a, AwsAccount) for a in accounts):
            raise _refuse(
                "aws_accounts", "must be a tuple of AwsAccount, as read_accounts gives it"
            )

    def _check_registration(self) -> None:
        if self.registration not in {None, *get_args(RegistrationMode)}:
            raise _refuse("registration", 'must be "open", "token", "off" or "unrestricted"')
        if self.registration == "token":
            _check_token(self.registration_token)
        elif self.registration_token is not None:
            raise _refuse("registration_token", 'is only for registration="token"')
        grants: object = self.registration_grant_types
        if not isinstance(grants, tuple) or not all(isinstance(each, str) for each in grants):
            raise _refuse("registration_grant_types", "must be a tuple of grant types")
        if self.registration_scopes is not None:
            _check_scopes("registration_scopes", self.registration_scopes)
        check_count("registration_rate", self.registration_rate, least=1)
        check_count("registration_limit", self.registration_limit, least=1)

    def _check_cors_origins(self) -> None:
        if not isinstance(self.cors_origins, tuple):
            raise _refuse("cors_origins", "must be a tuple of origins")
        for origin in self.cors_origins:
            check_origin("cors_origins", origin)
        if "*" in self.cors_origins and self.approve == "auto":
            raise _refuse(
                "cors_origins",
                "must name each origin where approve is auto, or every web page could get a token",
            )

    @property
    def url(self) -> str:
        """The issuer's URL, once it is known.

        Raises:
            ConfigurationError: it was not given, and no server has filled it in.
        """
        if self.issuer is None:
            raise _refuse("issuer", "is needed, like http://127.0.0.1:8400")
        return self.issuer


def _is_shown(text: object) -> bool:
    return isinstance(text, str) and text.isprintable() and bool(text.strip())


def _check_descriptions(descriptions: Mapping[str, str]) -> None:
    example = 'like {"read": "See your files"}'
    if not isinstance(descriptions, Mapping):
        raise _refuse("scope_descriptions", f"must map scopes to texts, {example}")
    for scope, text in descriptions.items():
        try:
            (_,) = Scope().deserialize([scope])
        except (ValidationError, ValueError):
            raise _refuse("scope_descriptions", f"must name one scope each, {example}") from None
        if not _is_shown(text):
            raise _refuse("scope_descriptions", f"must describe each scope in words, {example}")


def _check_scopes(name: str, scopes: object) -> None:
    try:
        Scope().deserialize(scopes)
    except ValidationError as invalid:
        raise _refuse(name, str(invalid.messages[0])) from None


def _check_token(token: object) -> None:
    """Refuse an initial access token that can be guessed or cannot be sent; never quote it."""
    if token is None:
        raise _refuse("registration_token", 'is needed for registration="token"')
    if not isinstance(token, str) or not _BEARER.fullmatch(token):
        raise _refuse(
            "registration_token",
            "must be at least 22 letters, digits or -._~+/, as from: openssl rand -hex 32",
        )


def _check_issuer(issuer: str) -> None:
    example = "like https://login.example.com"
    try:
        parts = urlsplit(issuer)
        port_known = parts.port is None or parts.port > 0
    except ValueError:
        raise _refuse("issuer", f"must be a URL, {example}") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or not port_known:
        raise _refuse("issuer", f"must be an http or https URL, {example}")
    if set("?#@") & set(issuer):
        raise _refuse("issuer", f"must have no query, fragment or user, {example}")
    if not _ISSUER_ORIGIN.match(issuer) or not issuer.isprintable():
        raise _refuse(
            "issuer",
            "must have a scheme in lower case and a host without spaces and in ASCII (write an "
            f"international name as xn--...), {example}",
        )
    if not _ISSUER_PATH.fullmatch(parts.path):
        raise _refuse(
            "issuer",
            "must have no path, or one without a final slash, empty or dot segments and escapes, "
            "like https://login.example.com/auth",
        )
