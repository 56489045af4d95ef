"""Routes: the requests that get a token, and the token they get."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field
from typing import Literal, get_args

from grantway._credentials.credential import Credential
from grantway._credentials.pool import CredentialPool
from grantway._exceptions import ConfigurationError
from grantway._processes.copies import OneProcess
from grantway._types.quantity import check_seconds
from grantway_plugins.auth._bearer import Bearer
from grantway_plugins.auth._origin import Origin
from grantway_plugins.gateway._connections.tokens import ConnectionTokens
from grantway_plugins.resource import Requirement

from ._paths import normal_path
from ._proxy_headers import hyphenated, is_reserved
from ._rejection import RequestRejectedError
from ._request_context import normal_host
from ._route_credential import FailedCredential, RouteCredential
from ._tenant import TenantRule, needs_caller, tenant_header
from ._token_exchange import TokenExchange

OnFailure = Literal["closed", "open"]
EncodedPaths = Literal["reject", "forward"]
Incoming = Literal["replace", "keep", "exchange"]
Source = Callable[[str], Credential] | CredentialPool | TokenExchange | ConnectionTokens

_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True, slots=True, eq=False)
class Route(OneProcess):
    """The requests that get a token, and how they get it.

    Attributes:
        name: Name in errors and metrics: 1 to 64 letters, digits and ``. _ -``.
        host: Host of its requests, without a port; empty for all other hosts.
        path: Path prefix: ``/orders`` covers ``/orders`` and ``/orders/1``, but not
            ``/orders2``.
        provider: Name of the provider in metrics.
        credential: Returns the credential of a tenant, or is a credential pool. Results of a
            function are kept in a pool, so it is called once per tenant; it may raise
            ``RequestRejectedError`` for an unknown tenant. With ``incoming="exchange"``, a
            ``TokenExchange``.
        tenant: The rule that selects the tenant of a request.
        on_failure: Handling of requests without a token: ``closed`` rejects them, ``open``
            forwards them without one.
        incoming: Handling of the caller's credentials. ``replace`` removes ``Authorization`` and
            ``header``. ``keep`` forwards a request that has ``header`` unchanged and adds no
            token. ``exchange`` requires a bearer token and exchanges it (RFC 8693).
        header: The header that carries the token.
        scheme: Authentication scheme before the token; empty for none. By default ``Bearer``, and
            tokens of another type are not used.
        timeout: Longest wait for a token in seconds; by default the client's timeout.
        forward_preflight: Whether to forward CORS preflights without tenant and token. They carry
            no credentials, so web pages could not use the route otherwise.
        encoded_paths: Paths that servers read differently, with encoded slashes (``%2F``), empty
            segments or dot segments. ``reject`` responds with status 400. ``forward`` forwards the
            path unchanged if each reading leads to this route and tenant and stays below ``path``.
        scopes: Scopes that the caller's token must have. Needs the ``inbound`` of ``UpstreamAuth``.
        acr_values: Accepted classes of the user's login, as ``Requirement.acr_values``.
        max_age: Maximum age of the user's login in seconds, as ``Requirement.max_age``.
        anonymous: Whether callers are not verified.
        remove: More headers of the caller to remove, such as one with a client certificate.

    Raises:
        ConfigurationError: An attribute is invalid; the error names it and the route.
    """

    stays = "it holds tokens of this process; create one in the process that uses it"

    name: str
    _: KW_ONLY
    host: str = ""
    path: str = "/"
    provider: str
    credential: Source
    tenant: TenantRule
    on_failure: OnFailure
    incoming: Incoming = "replace"
    header: str = "Authorization"
    scheme: str | None = None
    timeout: float | None = None
    forward_preflight: bool = False
    encoded_paths: EncodedPaths = "reject"
    scopes: tuple[str, ...] = ()
    acr_values: tuple[str, ...] = ()
    max_age: int | None = None
    anonymous: bool = False
    remove: tuple[str, ...] = ()
    # Computed once, for all requests.
    bearer: Bearer = field(init=False, repr=False)
    origin: Origin = field(init=False, repr=False)
    removed: frozenset[str] = field(init=False, repr=False)
    never_forwarded: frozenset[str] = field(init=False, repr=False)
    guarded: frozenset[bytes] = field(init=False, repr=False)
    tenant_header: str = field(init=False, repr=False)
    requirement: Requirement = field(init=False, repr=False)
    _pool: CredentialPool | TokenExchange | ConnectionTokens = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise _invalid("?", "name", f"must be 1 to 64 of A-Z a-z 0-9 . _ -, not {self.name!r}.")
        set_field = object.__setattr__
        set_field(self, "host", self._read("host", self.host))
        set_field(self, "path", self._read("path", self.path))
        self._check()
        try:
            bearer = Bearer(header=self.header, scheme=self.scheme)
        except ConfigurationError as error:
            raise ConfigurationError(
                f"route {self.name!r}: {error.message}", errors=error.errors
            ) from None
        name = self.header.lower()
        if is_reserved(name.encode()):
            raise self._invalid("header", f"{reserved(self.header)}.")
        set_field(self, "bearer", bearer)
        # Nothing else is known about the upstream that rejects a token.
        set_field(self, "origin", Origin("route", self.name, id(self)))
        tenant = tenant_header(self.tenant)
        set_field(self, "never_forwarded", frozenset(each.lower() for each in self.remove))
        own = {name, "authorization", "dpop", *self.never_forwarded}
        # Upstream servers may treat different spellings as the same header (see ``hyphenated``).
        spelled = {each.replace("-", "_") for each in (name, tenant)}
        set_field(self, "removed", frozenset((own | spelled) - {""} - ({tenant} - own)))
        guarded = frozenset(hyphenated(each.encode()) for each in own | {tenant} if each)
        set_field(self, "guarded", guarded)
        set_field(self, "tenant_header", "" if tenant in own else tenant)
        pool = self.credential
        if not isinstance(pool, (CredentialPool, TokenExchange, ConnectionTokens)):
            pool = CredentialPool(pool)
        set_field(self, "_pool", pool)
        set_field(self, "requirement", self._requirement())

    def source(self, tenant: str, authorization: str = "") -> RouteCredential:
        """Return the source of a tenant's tokens.

        Args:
            tenant: The tenant.
            authorization: The caller's ``Authorization`` header, for a token exchange.

        Raises:
            RequestRejectedError: The request has no bearer token to exchange.
        """
        pool = self._pool
        try:
            if isinstance(pool, TokenExchange):
                return pool.credential(tenant, authorization)
            return pool.credential(tenant)
        except RequestRejectedError:
            raise
        except Exception as error:  # noqa: BLE001 - an application's function may raise anything
            return FailedCredential(error)

    def _read(self, name: str, value: str) -> str:
        if name == "host" and value == "":
            return ""
        try:
            read = normal_path(value) if name == "path" else normal_host(value)
        except (AttributeError, TypeError, RequestRejectedError):
            read = None
        if read is None or (name == "host" and read != value.lower()):
            example = "a path like /orders" if name == "path" else "a host like api.example.com"
            raise self._invalid(name, f"must be {example} without ambiguity, not {value!r}.")
        return read if name == "host" or read == "/" else read.rstrip("/")

    def _check(self) -> None:
        for name, allowed in (
            ("on_failure", OnFailure),
            ("incoming", Incoming),
            ("encoded_paths", EncodedPaths),
        ):
            if getattr(self, name) not in get_args(allowed):
                words = " or ".join(get_args(allowed))
                raise self._invalid(name, f"must be {words}, not {getattr(self, name)!r}.")
        if not isinstance(self.provider, str) or not self.provider:
            raise self._invalid("provider", f"must be the provider's name, not {self.provider!r}.")
        if not callable(self.tenant):
            raise self._invalid(
                "tenant", f"must be a rule like from_header(...) or single(), not {self.tenant!r}."
            )
        exchanges = isinstance(self.credential, TokenExchange)
        if exchanges != (self.incoming == "exchange"):
            raise self._invalid(
                "credential",
                'must be a TokenExchange if incoming is "exchange", and must not be one otherwise.',
            )
        if (
            not exchanges
            and not callable(self.credential)
            and not isinstance(self.credential, (CredentialPool, ConnectionTokens))
        ):
            raise self._invalid(
                "credential",
                f"must be a pool or a function of the tenant, not {self.credential!r}.",
            )
        if self.timeout is not None:
            check_seconds(f"route {self.name!r}: timeout", self.timeout)

    def _requirement(self) -> Requirement:
        try:
            requirement = Requirement(self.scopes, self.acr_values, self.max_age)
        except ConfigurationError as error:
            raise ConfigurationError(
                f"route {self.name!r}: {error.message}", errors=error.errors
            ) from None
        if self.anonymous and (not requirement.empty or needs_caller(self.tenant)):
            raise self._invalid(
                "anonymous",
                "cannot be combined with scopes, acr_values, max_age and a tenant from the caller.",
            )
        return requirement

    def _invalid(self, name: str, message: str) -> ConfigurationError:
        return _invalid(self.name, name, message)


def reserved(header: str) -> str:
    """Return why a header cannot carry a token."""
    return (
        f"must not be {header}, which proxies set or remove; use Authorization or a "
        "header that the upstream defines, like X-Api-Key"
    )


def _invalid(route: str, name: str, message: str) -> ConfigurationError:
    return ConfigurationError(f"route {route!r}: {name}: {message}", errors={name: [message]})
