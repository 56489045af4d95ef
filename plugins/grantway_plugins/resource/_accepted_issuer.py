"""An issuer whose access tokens a protected resource accepts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from grantway._exceptions import ConfigurationError
from grantway._processes.copies import Value
from grantway._requests.client import Client
from grantway._types.quantity import check_seconds
from grantway_plugins._jose.url_rule import url_problem
from grantway_plugins.server._proofs.algorithms import ALGORITHMS

_MAX_LEEWAY = 600.0


@dataclass(frozen=True)
class AcceptedIssuer(Value):
    """An issuer whose access tokens a protected resource accepts, and the rules for its tokens.

    Its tokens are JWTs (RFC 9068), unless ``introspection`` is set. The keys come from
    ``jwks_uri`` or ``jwks_file``, or are found through the issuer's metadata (RFC 8414, OpenID
    Connect Discovery).

    Attributes:
        issuer: The ``iss`` claim of its tokens, an https URL (http on this machine).
        audiences: Accepted values of ``aud``; by default the resource. A token for several
            audiences is accepted if one of them is in this list.
        require_audience: Whether tokens without ``aud`` are rejected.
        types: Accepted values of the header ``typ`` of JWTs, in lower case. Some issuers use
            ``jwt`` instead of RFC 9068's ``at+jwt``; ID tokens have that type as well.
        algorithms: Accepted signature algorithms, all asymmetric.
        jwks_uri: URL of the issuer's keys.
        jwks_file: Path of a file with the issuer's keys, which is read again when it changes.
        ca_bundle: Path of a PEM file with the certificates to trust when the keys are read.
        leeway: Tolerated difference of the clocks, in seconds.
        introspection: The client that asks the issuer about its tokens (RFC 7662), or a function
            that creates it when it is first needed. The function runs in a thread, and again if it
            raised ``GrantwayError``.

    Raises:
        ConfigurationError: A field is invalid; the error names it.
    """

    issuer: str
    audiences: tuple[str, ...] = ()
    require_audience: bool = True
    types: tuple[str, ...] = ("at+jwt",)
    algorithms: tuple[str, ...] = ALGORITHMS
    jwks_uri: str | None = None
    jwks_file: str | None = None
    ca_bundle: str | None = None
    leeway: float = 30.0
    introspection: Client | Callable[[], Client] | None = field(
        default=None, repr=False, compare=False, hash=False
    )

    def __post_init__(self) -> None:
        """Validate the fields."""
        for name in ("issuer", "jwks_uri"):
            value: object = getattr(self, name)
            if value is not None or name == "issuer":
                _check_url(name, value)
        if "?" in self.issuer:
            raise _invalid("issuer", "must have no query")
        for name in ("audiences", "types", "algorithms"):
            values: object = getattr(self, name)
            if not isinstance(values, tuple) or not all(
                isinstance(each, str) and each for each in values
            ):
                raise _invalid(name, "must be a tuple of texts that are not empty")
        if not self.types or any(each != each.lower() for each in self.types):
            raise _invalid("types", 'must contain types in lower case, such as "at+jwt"')
        if not self.algorithms or set(self.algorithms) - set(ALGORITHMS):
            raise _invalid("algorithms", f"must contain some of {', '.join(ALGORITHMS)}")
        if not isinstance(self.require_audience, bool):
            raise _invalid("require_audience", "must be true or false")
        if self.jwks_uri is not None and self.jwks_file is not None:
            raise _invalid("jwks_file", "cannot be combined with jwks_uri; remove one of them")
        check_seconds("leeway", self.leeway, least=0, most=_MAX_LEEWAY)

    @property
    def token_file(self) -> None:
        """No token is sent to ``jwks_uri``; see ``PublishedKeys``."""


def _check_url(name: str, url: object) -> None:
    problem = url_problem(name, url)
    if problem is not None:
        raise _invalid(name, problem)


def _invalid(name: str, rule: str) -> ConfigurationError:
    return ConfigurationError(f"AcceptedIssuer.{name}: {rule}.", errors={name: [rule]})
