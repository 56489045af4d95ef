"""Rules that select the tenant of a request, whose token it gets."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from grantway._exceptions import ConfigurationError
from grantway._types.quantity import check_count
from grantway_plugins.gateway._connections.user import user_id

from ._registered_rule import RegisteredRule
from ._rejection import RequestRejectedError
from ._request_context import RequestContext, normal_host

#: Tenant of a route with one token for all requests. No tenant's name may contain it.
EVERYBODY = "*"
_TENANT = re.compile(r"[A-Za-z0-9._~:@|+=-]{1,128}")
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class TenantRule(Protocol):
    """A function that returns the tenant of a request."""

    def __call__(self, request: RequestContext, /) -> str:
        """Return the tenant; empty if the request has none."""
        ...


def tenant_of(rule: TenantRule, request: RequestContext) -> str:
    """Return the tenant of a request.

    Raises:
        RequestRejectedError: The request has no tenant (403), or its name is invalid (400).
    """
    tenant = rule(request)
    if not tenant:
        raise RequestRejectedError("The request names no tenant", status=403)
    if not isinstance(tenant, str) or not _TENANT.fullmatch(tenant):
        if tenant == EVERYBODY and isinstance(rule, _Single):
            return tenant
        raise RequestRejectedError(
            "The tenant's name must have 1 to 128 characters of A-Z a-z 0-9 . _ ~ : @ | + = -"
        )
    return tenant


def from_header(name: str) -> TenantRule:
    """Return a rule that reads the tenant from a header, like ``X-Tenant``.

    A sender who can set the header can choose the tenant. Let the proxy in front of the gateway
    set it, and remove the header from requests that arrive there.

    Raises:
        ConfigurationError: The name is not valid for a header.
    """
    if not isinstance(name, str) or not _HEADER.fullmatch(name):
        raise _invalid(f"from_header: must be a header's name, like X-Tenant, not {name!r}.")
    return _FromHeader(name.lower())


def tenant_header(rule: TenantRule) -> str:
    """Return the header that names the tenant, in lower case; empty if none does."""
    return rule.name if isinstance(rule, _FromHeader) else ""


def tenant_segment(rule: TenantRule) -> int:
    """Return the number of the path segment that names the tenant; 0 if none does."""
    return rule.segment if isinstance(rule, _FromPath) else 0


def reads_only_target(rule: TenantRule) -> bool:
    """Return whether a rule reads only the host, the path and ``tenant_header``."""
    return isinstance(rule, (_FromHeader, _FromHost, _FromPath, _Single))


def tenant_domain(rule: TenantRule) -> str:
    """Return the domain under which each tenant has a host; empty if there is none."""
    return rule.end if isinstance(rule, _FromHost) else ""


def names_one_tenant(rule: TenantRule, paths: Iterable[str]) -> bool:
    """Return whether a rule finds the same tenant in each of some paths."""
    if isinstance(rule, RegisteredRule):  # it may read the path
        return len(set(paths)) == 1
    return not isinstance(rule, _FromPath) or len({rule.of(path) for path in paths}) == 1


def from_host(domain: str) -> TenantRule:
    """Return a rule that reads the tenant from the host: ``acme`` from ``acme.example.com``.

    Args:
        domain: The domain after the tenant, like ``example.com``. Requests for other hosts, and
            for subdomains of a tenant's host, have no tenant.

    Raises:
        ConfigurationError: The domain is not a valid host.
    """
    try:
        found = normal_host(domain.lower())
    except (AttributeError, RequestRejectedError):
        found = ""
    if not found or found != domain.lower():
        raise _invalid(f"from_host: must be a domain, like example.com, not {domain!r}.")
    return _FromHost(f".{found}")


def from_path(segment: int) -> TenantRule:
    """Return a rule that reads the tenant from a path segment; 2 in ``/t/acme/orders`` is ``acme``.

    Args:
        segment: Number of the segment, counted from 1.

    Raises:
        ConfigurationError: The number is not a whole number from 1 to 32.
    """
    check_count("from_path: segment", segment, most=32)
    return _FromPath(segment)


def from_principal(find: Callable[[Any], str | None]) -> TenantRule:
    """Return a rule that gets the tenant from an authenticated principal.

    Args:
        find: Called with the request's context: the ASGI scope, the WSGI environ, or the
            ``context`` of the requests or httpx adapter. Returns the tenant or None.

    Raises:
        ConfigurationError: ``find`` is not callable.
    """
    if not callable(find):
        raise _invalid(f"from_principal: must be a function of the context, not {find!r}.")
    return _FromPrincipal(find)


def from_claim(name: str) -> TenantRule:
    """Return a rule that reads the tenant from a claim of the caller's verified token.

    It needs the ``inbound`` of ``UpstreamAuth``. If the token lacks the claim, the request has no
    tenant.

    Args:
        name: Name of the claim, like ``org_id``. Its value is a text or a whole number.

    Raises:
        ConfigurationError: The name is empty, or has characters that cannot be printed.
    """
    if not isinstance(name, str) or not name or not name.isprintable():
        raise _invalid(f"from_claim: must be the name of a claim, like org_id, not {name!r}.")
    return _FromClaim(name)


def from_user() -> TenantRule:
    """Return a rule that makes each user a tenant.

    It needs the ``inbound`` of ``UpstreamAuth``. The tenant is a hash of the issuer and the subject
    of the caller's verified token, because two issuers may use one subject. A caller without a
    subject has no tenant.
    """
    return _FromUser()


def needs_caller(rule: TenantRule) -> bool:
    """Return whether a rule needs a verified caller."""
    return isinstance(rule, (_FromClaim, _FromUser))


def is_user(rule: TenantRule) -> bool:
    """Return whether each user is a tenant."""
    return isinstance(rule, _FromUser)


def single() -> TenantRule:
    """Return a rule that gives all requests of a route the same token; never the default."""
    return _Single()


@dataclass(frozen=True, slots=True)
class _FromHeader:
    name: str

    def __call__(self, request: RequestContext) -> str:
        return request.header(self.name)


@dataclass(frozen=True, slots=True)
class _FromHost:
    end: str

    def __call__(self, request: RequestContext) -> str:
        host = request.host
        tenant = host[: -len(self.end)] if host.endswith(self.end) else ""
        return "" if "." in tenant else tenant


@dataclass(frozen=True, slots=True)
class _FromPath:
    segment: int

    def __call__(self, request: RequestContext) -> str:
        return self.of(request.path)

    def of(self, path: str) -> str:
        segments = path.split("/", self.segment + 1)
        return segments[self.segment] if len(segments) > self.segment else ""


@dataclass(frozen=True, slots=True)
class _FromPrincipal:
    find: Callable[[Any], str | None]

    def __call__(self, request: RequestContext) -> str:
        return self.find(request.context) or ""


@dataclass(frozen=True, slots=True)
class _FromClaim:
    name: str

    def __call__(self, request: RequestContext) -> str:
        value = None if request.caller is None else request.caller.claims.get(self.name)
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        return value if isinstance(value, str) else ""


@dataclass(frozen=True, slots=True)
class _FromUser:
    def __call__(self, request: RequestContext) -> str:
        caller = request.caller
        if caller is None or not caller.subject:
            return ""
        return user_id(caller.issuer, caller.subject)


@dataclass(frozen=True, slots=True)
class _Single:
    def __call__(self, request: RequestContext) -> str:
        return EVERYBODY


def _invalid(message: str) -> ConfigurationError:
    return ConfigurationError(message, errors={"tenant": [message]})
