"""The parameters of an authorization request, and its outcomes (RFC 6749 section 4.1)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Self

from grantway_plugins.issuer._storage.records import Redirect, RegisteredClient
from grantway_plugins.server._http.redirect_uri import with_query

from .confirmation import DPOP_JKT
from .interaction import Demands
from .resources import PARAMETER as RESOURCE

#: Response modes (OAuth 2.0 Multiple Response Types, Form Post).
ResponseMode = Literal["query", "form_post"]
RESPONSE_MODES: tuple[ResponseMode, ...] = ("query", "form_post")

#: Supported parameters. The page's form repeats them; others are ignored (RFC 6749 section 3.1).
_KNOWN = (
    "client_id",
    "redirect_uri",
    "response_type",
    "response_mode",
    "scope",
    "scopes",
    "state",
    "code_challenge",
    "code_challenge_method",
    "prompt",
    "nonce",
    DPOP_JKT,
    "max_age",
    "login_hint",
)
#: Parameters that cannot be ignored, because they change the meaning of the request, and the error
#: for each (OpenID Connect Core section 3.1.2.6).
UNSUPPORTED = {
    "request": "request_not_supported",
    "request_uri": "request_uri_not_supported",
    "registration": "registration_not_supported",
}


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """The parameters of an authorization request.

    Attributes:
        values: Values by name, without empty ones (RFC 6749 section 3.1).
        repeated: Names of duplicate parameters, which are not in ``values``.
        resources: Values of the ``resource`` parameters (RFC 8707), which may be repeated.
        pushed: Whether the client pushed the request (RFC 9126).
    """

    values: Mapping[str, str] = field(repr=False)
    repeated: frozenset[str] = frozenset()
    resources: tuple[str, ...] = ()
    pushed: bool = False

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, str]]) -> Self:
        """Collect the parameters of a query or form."""
        values: dict[str, str] = {}
        repeated: set[str] = set()
        resources: list[str] = []
        for name, value in pairs:
            if name == RESOURCE and value:
                resources.append(value)
            if not value or not (name in _KNOWN or name in UNSUPPORTED):
                continue
            if name in values:
                repeated.add(name)
            values[name] = value
        for name in repeated:
            del values[name]
        return cls(values, frozenset(repeated), tuple(resources))

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The parameters as names and values, for a form or a query."""
        return [*self.values.items(), *((RESOURCE, each) for each in self.resources)]


@dataclass(frozen=True, slots=True)
class ErrorPage:
    """Shows an error to the user, because there is no valid redirect URI to return it to."""

    reason: str


@dataclass(frozen=True, slots=True)
class AuthorizationResponse:
    """The authorization response (RFC 6749 section 4.1.2): a code or an error for the client.

    Attributes:
        client: The client that sent the request.
        redirect_uri: Redirect URI of the request.
        params: Parameters of the response.
        mode: Response mode.
        automatic: Whether to redirect the browser at once. If not, a page shows the destination and
            lets the user decide.
    """

    client: RegisteredClient
    redirect_uri: str
    params: Mapping[str, str] = field(repr=False)
    mode: ResponseMode = "query"
    automatic: bool = True

    @property
    def url(self) -> str:
        """The redirect URI with the response in its query."""
        return with_query(self.redirect_uri, self.params)


@dataclass(frozen=True, slots=True)
class ConsentRequest:
    """A valid authorization request, which needs the user's consent."""

    client: RegisteredClient
    redirect: Redirect
    scope: tuple[str, ...]
    state: str | None
    mode: ResponseMode
    challenge: str | None = field(repr=False)
    resources: tuple[str, ...] = ()
    confirmation: Mapping[str, str] = field(default_factory=dict)
    #: The ``request_uri`` of a pushed request; empty if it was not pushed.
    pushed_uri: str = field(default="", repr=False)
    demands: Demands = field(default_factory=Demands)
    nonce: str | None = field(default=None, repr=False)
