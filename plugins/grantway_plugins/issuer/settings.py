"""What an operator may choose, checked when it is chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Literal, get_args
from urllib.parse import urlsplit

from marshmallow import ValidationError

from grantway.exceptions import ConfigurationError
from grantway.grant import Scope
from grantway.quantity import check_seconds

from .aws_portal.accounts import AwsAccount
from .origin import check_origin

Approve = Literal["page", "auto"]
DAY = 86_400.0


def _refuse(name: str, rule: str) -> ConfigurationError:
    return ConfigurationError(f"{name} {rule}", errors={name: [rule]})


@dataclass(frozen=True)
class Lifetimes:
    """How long each thing lives, in seconds.

    Attributes:
        access_token: An access token.
        authorization_code: An authorization code, at most 600 (RFC 6749 section 4.1.2).
        device_code: A device code and its user code.
        device_interval: The wait between polls that a device is told first, at least one second.
            Zero accepts polls at any speed.
        registration: A client's registration.
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
class IssuerSettings:
    """Who the issuer is and how it decides.

    Attributes:
        issuer: The URL that names the issuer (RFC 8414 section 2), without query, fragment or
            path; None means the address it listens on.
        approve: ``page`` asks a person; ``auto`` approves everything at once, for demos and tests
            on this machine alone.
        subject: Who approves: the ``sub`` of every token.
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
        try:
            Scope().deserialize(self.default_scopes)
        except ValidationError as invalid:
            raise _refuse("default_scopes", str(invalid.messages[0])) from None
        self._check_cors_origins()
        accounts: object = self.aws_accounts
        if not isinstance(accounts, tuple) or not all(isinstance(a, AwsAccount) for a in accounts):
            raise _refuse(
                "aws_accounts", "must be a tuple of AwsAccount, as read_accounts gives it"
            )

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


def _check_issuer(issuer: str) -> None:
    example = "like https://login.example.com"
    try:
        parts = urlsplit(issuer)
        port_known = parts.port is None or parts.port > 0
    except ValueError:
        raise _refuse("issuer", f"must be a URL, {example}") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or not port_known:
        raise _refuse("issuer", f"must be an http or https URL, {example}")
    if parts.path or parts.query or parts.fragment or "@" in parts.netloc or issuer.endswith("?"):
        raise _refuse("issuer", f"must have no path, query, fragment or user, {example}")
