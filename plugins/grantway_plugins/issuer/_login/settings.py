"""Settings of logins and sessions, validated on construction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from grantway._exceptions import ConfigurationError
from grantway._processes.copies import Value
from grantway._secrets.params import Params
from grantway._transport.http import require_secure
from grantway._types.quantity import check_count, check_seconds
from grantway._types.secret_source import SecretSource, problem_of
from grantway_plugins.issuer._trust import patterns

_DAY = 86_400.0
_PROMPTS = ("login", "select_account")
_AUTH_METHODS = ("client_secret_basic", "client_secret_post", "none")
#: Parameters that the login itself sets.
_OWN_PARAMETERS = frozenset(
    {
        "client_id",
        "code_challenge",
        "code_challenge_method",
        "login_hint",
        "max_age",
        "nonce",
        "prompt",
        "redirect_uri",
        "response_mode",
        "response_type",
        "scope",
        "state",
    }
)


@dataclass(frozen=True)
class OpenIDLogin(Value):
    """Users log in at an OpenID provider, at which the issuer is a client.

    Register the issuer there with the redirect URI ``{issuer's URL}/login/callback``.

    Attributes:
        issuer: The provider's issuer identifier, an https URL (http on this machine).
        client_id: The issuer's client id at the provider.
        client_secret: Its secret, or a source of it; None for a public client.
        token_endpoint_auth_method: ``client_secret_basic``, ``client_secret_post`` or ``none``. By
            default the first one if there is a secret.
        scopes: Scopes to request; ``openid`` is required.
        subject_claim: Claim that becomes the ``sub`` of the issuer's tokens, after
            ``subject_prefix``. It must be unique and must never be given to another user. None
            derives the ``sub`` from the provider's ``iss`` and ``sub``, so that it is stable, and
            different from the ``sub`` of every other provider.
        subject_prefix: Text in front of ``subject_claim``.
        allow: Claim -> patterns of accepted values. A user must have a matching value in each of
            these claims; one of the values is enough if the claim is a list. ``*`` stands for any
            characters but ``:`` and ``/``, and ``**`` for any characters. ``email`` counts only if
            the provider says that it is verified. Empty allows every user of the provider.
        userinfo: Whether to request further claims from the provider's userinfo endpoint, if it has
            one. Many providers put ``email`` and ``groups`` only there.
        parameters: Further parameters of authorization requests, such as ``{"hd": "example.com"}``.
        prompts: ``login`` and ``select_account`` -> the value of ``prompt`` to send instead, if the
            provider does not support them; an empty value sends none. Google has no ``login``, and
            oidc-provider by default no ``select_account``.
        ca_bundle: Path of a PEM file with the certificates to trust; by default those of certifi.
        provider_logout: Whether logging out of the issuer continues at the provider's
            ``end_session_endpoint``. Register ``{issuer's URL}/session/ended`` there as post-logout
            redirect URI.

    Raises:
        ConfigurationError: a field is invalid; the error names it.
    """

    issuer: str
    client_id: str
    client_secret: str | SecretSource | None = field(default=None, repr=False, hash=False)
    token_endpoint_auth_method: str | None = None
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    subject_claim: str | None = None
    subject_prefix: str = ""
    allow: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    userinfo: bool = True
    parameters: Mapping[str, str] = field(default_factory=dict, hash=False)
    prompts: Mapping[str, str] = field(default_factory=dict, hash=False)
    ca_bundle: str | None = None
    provider_logout: bool = False

    def __post_init__(self) -> None:
        """Validate the fields."""
        self._check_provider()
        self._check_client()
        if self.subject_claim is not None and not _is_text(self.subject_claim):
            raise _invalid("subject_claim", "must be the name of a claim, like email")
        if not isinstance(self.subject_prefix, str) or not self.subject_prefix.isprintable():
            raise _invalid("subject_prefix", "must be printable text, like example:")
        if self.subject_prefix and self.subject_claim is None:
            raise _invalid("subject_prefix", "requires subject_claim")
        _check_allow(self.allow)
        _check_parameters(self.parameters)
        _check_prompts(self.prompts)

    @property
    def auth_method(self) -> str:
        """The method with which the issuer authenticates at the provider."""
        default = "none" if self.client_secret is None else "client_secret_basic"
        return self.token_endpoint_auth_method or default

    def _check_provider(self) -> None:
        if not isinstance(self.issuer, str) or "?" in self.issuer:
            raise _invalid("issuer", "must be a URL without query, like https://login.example.com")
        try:
            require_secure(self.issuer, "issuer")
        except ConfigurationError as error:
            problem = error.message.removeprefix("issuer: ").rstrip(".")
        else:
            problem = ""
        if problem:
            raise _invalid("issuer", problem)
        if self.ca_bundle is not None and not _is_text(self.ca_bundle):
            raise _invalid("ca_bundle", "must be the path of a file")
        for name in ("userinfo", "provider_logout"):
            if not isinstance(getattr(self, name), bool):
                raise _invalid(name, "must be true or false")

    def _check_client(self) -> None:
        if not _is_text(self.client_id):
            raise _invalid("client_id", "is required: register the issuer at the provider")
        secret = self.client_secret
        if secret == "" or (secret is not None and not isinstance(secret, str)):
            problem = problem_of(secret)
            if problem:
                raise _invalid("client_secret", "must be a non-empty string or a secret source")
        if self.token_endpoint_auth_method not in {None, *_AUTH_METHODS}:
            raise _invalid("token_endpoint_auth_method", f"must be {' or '.join(_AUTH_METHODS)}")
        if (self.auth_method == "none") is not (secret is None):
            rule = "must be omitted for" if secret is not None else "is required for"
            raise _invalid("client_secret", f"{rule} {self.auth_method}")
        scopes: object = self.scopes
        if not isinstance(scopes, tuple) or not all(map(_is_token, scopes)):
            raise _invalid("scopes", 'must be a tuple of scopes, like ("openid", "email")')
        if "openid" not in self.scopes:
            raise _invalid("scopes", "must contain openid")


@dataclass(frozen=True)
class PluginLogin(Value):
    """Users log in with a login that a plugin registered.

    Attributes:
        name: The registered name; see ``grantway_register_issuer_logins``.
        options: Its options.

    Raises:
        ConfigurationError: a field is invalid; the error names it.
    """

    name: str
    options: Mapping[str, Any] = field(
        default_factory=lambda: MappingProxyType({}), repr=False, hash=False
    )

    def __post_init__(self) -> None:
        """Validate the fields, and hide the options from tracebacks."""
        if not _is_text(self.name):
            raise _invalid("name", "must be the name of a registered login", of="PluginLogin")
        options: object = self.options
        if not isinstance(options, Mapping) or not all(isinstance(name, str) for name in options):
            raise _invalid("options", "must map names to values", of="PluginLogin")
        object.__setattr__(self, "options", Params(self.options))


@dataclass(frozen=True)
class SessionSettings(Value):
    """Limits of the sessions of logged-in users.

    Attributes:
        idle: Seconds without a request to a page after which a session ends.
        lifetime: Seconds after the login at which a session ends, however often it is used.
        per_user: Maximum number of sessions of one user. A further login ends the least recently
            used one.

    Raises:
        ConfigurationError: a field is out of range; the error names it.
    """

    idle: float = 3600.0
    lifetime: float = 43_200.0
    per_user: int = 20

    def __post_init__(self) -> None:
        """Validate the fields."""
        check_seconds("lifetime", self.lifetime, least=60.0, most=365 * _DAY)
        check_seconds("idle", self.idle, least=60.0, most=365 * _DAY)
        check_count("per_user", self.per_user, least=1, most=10_000)


def _check_allow(allow: object) -> None:
    rule = 'must map each claim to a list of patterns, such as email to ["**@example.com"]'
    if not isinstance(allow, Mapping):
        raise _invalid("allow", rule)
    for claim, accepted in allow.items():
        texts = isinstance(accepted, tuple) and all(isinstance(each, str) for each in accepted)
        if not _is_text(claim) or not texts or not accepted:
            raise _invalid("allow", rule)
        for problem in filter(None, map(patterns.problem_of, accepted)):
            raise _invalid("allow", f"has an invalid pattern for {claim}: it {problem}")


def _check_parameters(parameters: object) -> None:
    if not isinstance(parameters, Mapping) or not all(
        _is_text(name) and isinstance(value, str) for name, value in parameters.items()
    ):
        raise _invalid("parameters", 'must map names to text, like {"hd": "example.com"}')
    own = sorted(_OWN_PARAMETERS & set(parameters))
    if own:
        raise _invalid("parameters", f"must not contain {', '.join(own)}, which the login sets")


def _check_prompts(prompts: object) -> None:
    if not isinstance(prompts, Mapping) or not all(
        name in _PROMPTS and isinstance(value, str) and value in {"", *_PROMPTS, "consent"}
        for name, value in prompts.items()
    ):
        raise _invalid(
            "prompts", 'must map login or select_account to a prompt, like {"login": "consent"}'
        )


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value) and value.isprintable()


def _is_token(value: object) -> bool:
    return _is_text(value) and " " not in str(value)


def _invalid(name: str, rule: str, of: str = "OpenIDLogin") -> ConfigurationError:
    return ConfigurationError(f"{of}.{name}: {rule}.", errors={name: [rule]})
