"""An issuer of tokens that this issuer accepts, and the rules for its tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from grantway._exceptions import ConfigurationError
from grantway._processes.copies import Value
from grantway._types.quantity import check_seconds
from grantway_plugins._jose.url_rule import url_problem

from . import patterns

#: The signature algorithms that are accepted by default.
ALGORITHMS = (
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
    "Ed25519",
)
#: Prefix of the name of a SPIFFE trust domain.
SPIFFE = "spiffe://"
_MAX_LIFETIME, _MAX_LEEWAY = 31 * 86_400.0, 600.0


@dataclass(frozen=True)
class TrustedIssuer(Value):
    """An issuer of tokens that this issuer accepts, and the rules for its tokens.

    A token is accepted only if it names a subject of ``subjects``, ``clients`` or ``users``. In
    these and in ``claims``, ``*`` stands for any characters but ``:`` and ``/``, and ``**`` for any
    characters. No pattern matches a value of more than 2,048 characters.

    The keys come from one of ``jwks``, ``jwks_file`` and ``jwks_uri``. Without these, they are
    found through the issuer's metadata (OpenID Connect Discovery, RFC 8414).

    Attributes:
        issuer: The ``iss`` claim of its tokens, an https URL (http on this machine), or a SPIFFE
            trust domain, like ``spiffe://example.org``, whose tokens need no ``iss``. With
            ``jwks`` or ``jwks_file``, any other name is possible as well.
        subjects: Patterns of the ``sub`` of tokens that are accepted as ``assertion`` of the JWT
            bearer grant (RFC 7523) and as ``subject_token`` of token exchange (RFC 8693). The
            subject of the issued token is the same.
        clients: Pattern of the ``sub`` of tokens that are accepted as ``client_assertion`` (RFC
            7523 section 2.2) -> client id of the registered client that they authenticate. Its
            ``token_endpoint_auth_method`` must be ``federated_jwt``.
        users: Patterns of the ``sub`` of users whose identity assertions (ID-JAG,
            draft-ietf-oauth-identity-assertion-authz-grant) are accepted as ``assertion`` of the
            JWT bearer grant. Each one is accepted once. The issuer decides which clients may act
            for its users.
        subject_claim: Claim of an identity assertion that becomes the ``sub`` of the issued token,
            after ``subject_prefix``. ``email`` counts only if ``email_verified`` is true. None
            derives the ``sub`` from ``iss`` and ``sub``. If users log in at the same issuer, the
            settings of that ``OpenIDLogin`` apply, so that a user has one account.
        subject_prefix: Text in front of ``subject_claim``. If users of other issuers have accounts
            too, this text or a pattern for the claim in ``claims`` must keep the accounts apart.
        audiences: Accepted values of ``aud``; by default this issuer's URL and that of its token
            endpoint.
        claims: Name of another claim -> pattern of its value. Every token must have these claims.
        jwks: The issuer's public keys, as a JWK Set or a single JWK.
        jwks_file: Path of a file with a JWK Set, which is read again when it changes, at most every
            ten seconds.
        jwks_uri: URL of the JWK Set.
        ca_bundle: Path of a PEM file with the certificates to trust for discovery and
            ``jwks_uri``; by default those of certifi.
        token_file: Path of a file with a bearer token for ``jwks_uri``, as the API server of
            Kubernetes requires by default. It is read for every request.
        algorithms: Accepted signature algorithms.
        single_use: Whether a token is accepted once, which requires a ``jti``. Tokens that a
            platform writes into a file are used many times.
        max_lifetime: Maximum remaining lifetime of a token, in seconds.
        leeway: Tolerated difference of the clocks, in seconds.

    Raises:
        ConfigurationError: a field is invalid; the error names it.
    """

    issuer: str
    subjects: tuple[str, ...] = ()
    clients: Mapping[str, str] = field(default_factory=dict, hash=False)
    users: tuple[str, ...] = ()
    subject_claim: str | None = None
    subject_prefix: str = ""
    audiences: tuple[str, ...] = ()
    claims: Mapping[str, str] = field(default_factory=dict, hash=False)
    jwks: Mapping[str, Any] | None = field(default=None, hash=False, repr=False)
    jwks_file: str | None = None
    jwks_uri: str | None = None
    ca_bundle: str | None = None
    token_file: str | None = None
    algorithms: tuple[str, ...] = ALGORITHMS
    single_use: bool = False
    max_lifetime: float = 3600.0
    leeway: float = 30.0

    def __post_init__(self) -> None:
        """Validate the fields."""
        self._check_rules()
        self._check_keys()
        if not isinstance(self.single_use, bool):
            raise invalid("single_use", "must be true or false")
        check_seconds("TrustedIssuer.max_lifetime", self.max_lifetime, most=_MAX_LIFETIME)
        check_seconds("TrustedIssuer.leeway", self.leeway, least=0, most=_MAX_LEEWAY)

    @property
    def is_trust_domain(self) -> bool:
        """Whether this is a SPIFFE trust domain, whose tokens are recognised by their ``sub``."""
        return self.issuer.startswith(SPIFFE)

    def _check_rules(self) -> None:
        for name in ("subjects", "users", "audiences", "algorithms"):
            value: object = getattr(self, name)
            if not isinstance(value, tuple) or not all(isinstance(each, str) for each in value):
                raise invalid(name, "must be a tuple of strings")
        for name in ("clients", "claims"):
            value = getattr(self, name)
            if not isinstance(value, Mapping) or not all(
                isinstance(each, str) and each for each in (*value, *value.values())
            ):
                raise invalid(name, "must map strings to strings")
        for name, found in (
            ("subjects", self.subjects),
            ("users", self.users),
            ("clients", tuple(self.clients)),
            ("claims", tuple(self.claims.values())),
        ):
            for problem in filter(None, map(patterns.problem_of, found)):
                raise invalid(name, f"has an invalid pattern: it {problem}")
        self._check_users()
        if not self.subjects and not self.clients and not self.users:
            raise invalid(
                "subjects",
                "is required, or clients or users: name the subjects whose tokens you accept, like "
                "system:serviceaccount:prod:orders",
            )
        if not all(self.audiences):
            raise invalid("audiences", "must not contain an empty string")
        unknown = set(self.algorithms) - set(ALGORITHMS)
        if unknown or not self.algorithms:
            raise invalid("algorithms", f"must contain some of {', '.join(ALGORITHMS)}")

    def _check_users(self) -> None:
        claim: object = self.subject_claim
        if claim is not None and (not isinstance(claim, str) or not claim):
            raise invalid("subject_claim", "must be the name of a claim, like email")
        if not isinstance(self.subject_prefix, str) or not self.subject_prefix.isprintable():
            raise invalid("subject_prefix", "must be printable text, like example:")
        if self.subject_prefix and claim is None:
            raise invalid("subject_prefix", "requires subject_claim")
        if claim is not None and not self.users:
            raise invalid("subject_claim", "requires users")
        if self.users and self.is_trust_domain:
            raise invalid("users", "does not apply to a SPIFFE trust domain")

    def _check_keys(self) -> None:
        issuer: object = self.issuer
        if not isinstance(issuer, str) or not issuer or not issuer.isprintable():
            raise invalid("issuer", "is required, like https://token.actions.githubusercontent.com")
        given = [name for name in ("jwks", "jwks_file", "jwks_uri") if getattr(self, name)]
        if len(given) > 1:
            raise invalid(given[1], f"cannot be combined with {given[0]}")
        for name in ("jwks_file", "ca_bundle", "token_file"):
            value: object = getattr(self, name)
            if value is not None and (not isinstance(value, str) or not value):
                raise invalid(name, "must be the path of a file")
        self._check_issuer(published=not given)
        if self.jwks_uri is not None:
            check_url("jwks_uri", self.jwks_uri)
        if self.token_file is not None and self.jwks_uri is None:
            raise invalid("token_file", "requires jwks_uri, the only URL that gets the token")
        if self.ca_bundle is not None and (self.jwks or self.jwks_file):
            raise invalid("ca_bundle", f"does not apply to {given[0]}")
        jwks: object = self.jwks
        if jwks is not None and not isinstance(jwks, Mapping):
            raise invalid("jwks", "must be a JWK Set or a JWK, as a mapping")
        if jwks is not None:
            from grantway_plugins._jose.key_set import given_keys  # noqa: PLC0415 - needs the extra jose

            given_keys(jwks)

    def _check_issuer(self, *, published: bool) -> None:
        if self.is_trust_domain:
            domain = self.issuer.removeprefix(SPIFFE)
            if not domain or set("/:@?#*") & set(domain):
                raise invalid("issuer", "must be a trust domain without path, like spiffe://a.org")
            if published:
                raise invalid("jwks_uri", "is required for a SPIFFE trust domain, or jwks_file")
        elif published:
            check_url("issuer", self.issuer)
            if "?" in self.issuer:
                raise invalid("issuer", "must have no query")


def check_url(name: str, url: object) -> None:
    """Require https, or http on this machine.

    Raises:
        ConfigurationError: the URL is something else; the error names the setting.
    """
    problem = url_problem(name, url)
    if problem is not None:
        raise invalid(name, problem)


def invalid(name: str, rule: str) -> ConfigurationError:
    """Return the error for an invalid setting of a trusted issuer."""
    return ConfigurationError(f"TrustedIssuer.{name}: {rule}.", errors={name: [rule]})
