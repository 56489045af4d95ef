"""Settings of the issuer, validated on construction."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import NoneType
from typing import Literal, get_args

from marshmallow import ValidationError

from grantway._exceptions import ConfigurationError
from grantway._processes.copies import Value
from grantway._types.fields import Scope
from grantway._types.quantity import check_count, check_seconds
from grantway_grants import authorization_code, device_code, refresh_token

from ._accounts import check_accounts
from ._aws_portal.accounts import AwsAccount
from ._clients.certificate_settings import ClientCertificates
from ._clients.document_settings import ClientDocuments
from ._http.origin import check_origin
from ._identity_assertion_policy import IdentityAssertionPolicy, check_policies
from ._issuer_url import check_issuer
from ._keys.settings import DAY, KeySettings
from ._lifetimes import Lifetimes
from ._login.settings import OpenIDLogin, PluginLogin, SessionSettings
from ._resource import AccessTokenFormat, Resource, check_resources
from ._security import check_security, implied_by_fapi2
from ._trust.trusted_issuer import TrustedIssuer

Approve = Literal["page", "auto"]
RegistrationMode = Literal["open", "token", "off", "unrestricted"]
#: The grants that need the user's approval, and the refresh token grant.
INTERACTIVE = (authorization_code.GRANT_TYPE, device_code.GRANT_TYPE, refresh_token.GRANT_TYPE)
#: A bearer token (RFC 6750 section 2.1) of at least 128 bits.
_BEARER = re.compile(r"[A-Za-z0-9\-._~+/]{22,}=*")


def _invalid(name: str, rule: str) -> ConfigurationError:
    return ConfigurationError(f"{name} {rule}", errors={name: [rule]})


@dataclass(frozen=True)
class IssuerSettings(Value):
    """Identity and policies of the issuer.

    Attributes:
        issuer: URL of the issuer (RFC 8414 section 2), without query or fragment. Its path, if any,
            is a prefix of every endpoint's path. None means the address that it listens on.
        approve: ``page`` asks the user; ``auto`` approves every request, for demos and tests on
            this machine only.
        subject: The user who approves requests; the ``sub`` of every token, unless users log in.
        default_scopes: Scopes of a client that registers without scopes.
        name: Name of the issuer on its pages.
        scope_descriptions: Descriptions of scopes for the approval pages, by scope. Scopes without
            a description are shown by name.
        lifetimes: Lifetimes of tokens, codes and registrations.
        cors_origins: Origins, like ``https://app.example.com``, whose web pages may read the
            metadata, register, and get and revoke tokens. ``*`` allows every origin. Cookies are
            never allowed.
        aws_accounts: Accounts of the test double of AWS's access portal, which is disabled if there
            are none.
        registration: Policy for client registration. ``open``: anyone, within the limits below.
            ``token``: holders of ``registration_token``, for all grants and scopes. ``off``: only
            the operator adds clients. ``unrestricted``: anyone, for all grants and scopes, for
            tests on this machine only. None means ``open`` if only this machine can reach the
            issuer; otherwise a policy is required.
        registration_token: The initial access token (RFC 7591 section 3).
        registration_grant_types: Grant types that ``open`` permits; by default those that need the
            user's approval, and ``refresh_token``.
        registration_scopes: Scopes that ``open`` permits. None means any scope if only this machine
            can reach the issuer, and ``default_scopes`` otherwise.
        registration_rate: Maximum number of ``open`` registrations per minute from one peer; the
            maximum for all peers together is ten times as high.
        registration_limit: Maximum number of stored ``open`` registrations. At the maximum, a new
            registration replaces the oldest one that never received a token.
        login: How users log in: at an OpenID provider, or by a plugin. None means that there is a
            single user, ``subject``, who does not log in.
        sessions: Limits of the sessions of logged-in users.
        remember_consent: Seconds for which a user who allowed a client's request is not asked again
            for the same scopes and resources; 0 asks each time. It applies to clients that were not
            registered anonymously, with a secret or an https redirect URI: any program could
            pretend to be another client. Devices are always asked about.
        trusted_issuers: Other issuers, such as Kubernetes or GitHub Actions, whose tokens are
            accepted instead of secrets and user logins.
        identity_assertions: Which clients may exchange users' ID tokens for identity assertions
            (ID-JAG) to other authorization servers; by default none.
        keys: Signing keys in the database.
        signing_keys: Paths of PEM files with private keys, which replace those in the database. The
            first key of each algorithm signs, and the first one of all is the default. To replace
            it, publish the new key as the second one for at least an hour, then make it the first;
            remove the old key when its last JWT has expired.
        access_token_format: ``opaque`` tokens are checked by introspection; ``jwt`` issues JWTs
            (RFC 9068), which resource servers verify with the keys at ``/jwks``.
        resources: Protected resources for which clients may request access tokens (RFC 8707). If
            empty, clients may request tokens for any resource.
        dpop_require_nonce: Whether DPoP proofs must contain a nonce of the issuer (RFC 9449 section
            8), so that an attacker cannot create them in advance. Clients get the nonce with the
            first rejected proof, and a new one with each response.
        dpop_proof_seconds: Maximum age of a DPoP proof, between 10 and 600. A proof may also be as
            far in the future, but at most 60 seconds, because clocks differ.
        require_bound_tokens: Whether access tokens are issued only to clients that prove possession
            of a key, by DPoP or by a certificate.
        client_certificates: How the issuer learns the certificates of clients (RFC 8705); None if
            it does not. Requires ``trusted_proxies``.
        client_documents: Which Client ID Metadata Documents are accepted; None for none.
        require_pushed_authorization_requests: Whether clients must push authorization requests (RFC
            9126), so that the browser cannot change them.
        fapi2: Whether to enforce the FAPI 2.0 Security Profile. Implies the two requirements above
            and codes that live 60 seconds at most. Clients must authenticate with
            ``private_key_jwt`` or mutual TLS, and keep their refresh token when they use it.

    Raises:
        ConfigurationError: a field is invalid; the error names it.
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
    login: OpenIDLogin | PluginLogin | None = None
    sessions: SessionSettings = field(default_factory=SessionSettings)
    remember_consent: float = 0.0
    trusted_issuers: tuple[TrustedIssuer, ...] = ()
    identity_assertions: tuple[IdentityAssertionPolicy, ...] = ()
    keys: KeySettings = field(default_factory=KeySettings)
    signing_keys: tuple[str, ...] = ()
    access_token_format: AccessTokenFormat = "opaque"
    resources: tuple[Resource, ...] = ()
    dpop_require_nonce: bool = False
    dpop_proof_seconds: float = 60.0
    require_bound_tokens: bool = False
    client_certificates: ClientCertificates | None = None
    client_documents: ClientDocuments | None = None
    require_pushed_authorization_requests: bool = False
    fapi2: bool = False

    def __post_init__(self) -> None:
        """Validate the fields."""
        if self.issuer is not None:
            check_issuer(self.issuer)
        if self.approve not in get_args(Approve):
            raise _invalid("approve", 'must be "page" or "auto"')
        if not _is_displayable(self.subject):
            raise _invalid("subject", 'must be printable text, like "local-user"')
        if not _is_displayable(self.name):
            raise _invalid("name", 'must be printable text, like "Example Login"')
        _check_descriptions(self.scope_descriptions)
        _check_scopes("default_scopes", self.default_scopes)
        self._check_registration()
        self._check_cors_origins()
        accounts: object = self.aws_accounts
        if not isinstance(accounts, tuple) or not all(isinstance(a, AwsAccount) for a in accounts):
            raise _invalid(
                "aws_accounts", "must be a tuple of AwsAccount, as read_accounts returns"
            )
        self._check_login()
        _check_trusted(self.trusted_issuers)
        for each in self.trusted_issuers:
            logs_in = isinstance(self.login, OpenIDLogin) and self.login.issuer == each.issuer
            if each.subject_claim and logs_in:
                rule = f"must have no subject_claim for {each.issuer}: that of login applies"
                raise _invalid("trusted_issuers", rule)
        check_accounts(self.trusted_issuers, self.login)
        check_policies(self.identity_assertions, self.issuer)
        self._check_keys()

    def _check_keys(self) -> None:
        paths: object = self.signing_keys
        if not isinstance(paths, tuple) or not all(isinstance(p, str) and p for p in paths):
            raise _invalid("signing_keys", "must be a tuple of paths")
        if self.access_token_format not in get_args(AccessTokenFormat):
            raise _invalid("access_token_format", 'must be "opaque" or "jwt"')
        if not isinstance(self.keys, KeySettings):
            raise _invalid("keys", "must be KeySettings")
        if self.signing_keys and (self.keys.enabled is False or self.keys.encryption_keys):
            rule = "contradicts keys.enabled and keys.encryption_keys, which are for the database"
            raise _invalid("signing_keys", rule)
        check_resources(self.resources)
        check_security(self)
        for name, implied in implied_by_fapi2(self).items() if self.fapi2 else ():
            object.__setattr__(self, name, implied)
        if not isinstance(self.client_certificates, ClientCertificates | None):
            raise _invalid("client_certificates", "must be ClientCertificates")
        if not isinstance(self.client_documents, ClientDocuments | None):
            raise _invalid("client_documents", "must be ClientDocuments")
        if self.issues_jwts and self.keys.enabled is False:
            raise _invalid("access_token_format", "jwt requires keys; set keys.enabled to true")
        if self.identity_assertions and self.keys.enabled is False:
            raise _invalid("identity_assertions", "requires keys; set keys.enabled to true")

    def _check_registration(self) -> None:
        if self.registration not in {None, *get_args(RegistrationMode)}:
            raise _invalid("registration", 'must be "open", "token", "off" or "unrestricted"')
        if self.registration == "token":
            _check_token(self.registration_token)
        elif self.registration_token is not None:
            raise _invalid("registration_token", 'requires registration="token"')
        grants: object = self.registration_grant_types
        if not isinstance(grants, tuple) or not all(isinstance(each, str) for each in grants):
            raise _invalid("registration_grant_types", "must be a tuple of grant types")
        if self.registration_scopes is not None:
            _check_scopes("registration_scopes", self.registration_scopes)
        check_count("registration_rate", self.registration_rate, least=1)
        check_count("registration_limit", self.registration_limit, least=1)

    def _check_login(self) -> None:
        if not isinstance(self.login, (OpenIDLogin, PluginLogin, NoneType)):
            raise _invalid("login", "must be an OpenIDLogin, a PluginLogin or None")
        if not isinstance(self.sessions, SessionSettings):
            raise _invalid("sessions", "must be a SessionSettings")
        check_seconds("remember_consent", self.remember_consent, least=0.0, most=3650 * DAY)
        if self.remember_consent and self.login is None:
            raise _invalid("remember_consent", "requires login: consent belongs to a user")

    def _check_cors_origins(self) -> None:
        if not isinstance(self.cors_origins, tuple):
            raise _invalid("cors_origins", "must be a tuple of origins")
        for origin in self.cors_origins:
            check_origin("cors_origins", origin)
        if "*" in self.cors_origins and self.approve == "auto":
            raise _invalid(
                "cors_origins",
                "must list origins if approve is auto; with *, every web page could get a token",
            )

    @property
    def requires_keys(self) -> bool:
        """Whether a setting requires signing keys."""
        return self.exchanges_jwts or self.issues_jwts or bool(self.identity_assertions)

    @property
    def issues_jwts(self) -> bool:
        """Whether some or all access tokens are JWTs."""
        formats = {each.access_token_format for each in self.resources}
        return "jwt" in {self.access_token_format, *formats}

    @property
    def exchanges_jwts(self) -> bool:
        """Whether clients may exchange tokens for JWTs, which requires explicit keys."""
        return bool(self.signing_keys or self.keys.enabled)

    @property
    def longest_signed_lifetime(self) -> float:
        """Longest lifetime of a signed token, in seconds."""
        return self.lifetimes.access_token

    @property
    def url(self) -> str:
        """The issuer's URL.

        Raises:
            ConfigurationError: ``issuer`` is None.
        """
        if self.issuer is None:
            raise _invalid("issuer", "is required, like http://127.0.0.1:8400")
        return self.issuer


def _is_displayable(text: object) -> bool:
    return isinstance(text, str) and text.isprintable() and bool(text.strip())


def _check_descriptions(descriptions: Mapping[str, str]) -> None:
    example = 'like {"read": "See your files"}'
    if not isinstance(descriptions, Mapping):
        raise _invalid("scope_descriptions", f"must map scopes to descriptions, {example}")
    for scope, text in descriptions.items():
        try:
            (_,) = Scope().deserialize([scope])
        except (ValidationError, ValueError):
            raise _invalid(
                "scope_descriptions", f"must have valid scopes as keys, {example}"
            ) from None
        if not _is_displayable(text):
            raise _invalid("scope_descriptions", f"must have printable text as values, {example}")


def _check_trusted(trusted: object) -> None:
    if not isinstance(trusted, tuple) or not all(isinstance(t, TrustedIssuer) for t in trusted):
        raise _invalid(
            "trusted_issuers", "must be a tuple of TrustedIssuer, as read_trusted_issuers returns"
        )
    names = [each.issuer for each in trusted]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise _invalid("trusted_issuers", f"has {twice} twice; combine the entries")


def _check_scopes(name: str, scopes: object) -> None:
    try:
        Scope().deserialize(scopes)
    except ValidationError as invalid:
        raise _invalid(name, str(invalid.messages[0])) from None


def _check_token(token: object) -> None:
    """Reject an initial access token that is too short or not a bearer token."""
    if token is None:
        raise _invalid("registration_token", 'is required for registration="token"')
    if not isinstance(token, str) or not _BEARER.fullmatch(token):
        raise _invalid(
            "registration_token",
            "must be at least 22 letters, digits or -._~+/; create one with: openssl rand -hex 32",
        )
