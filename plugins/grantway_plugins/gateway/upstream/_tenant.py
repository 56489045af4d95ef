"""Whose token a request gets: the rules that tell its tenant."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from grantway._exceptions import ConfigurationError
from grantway._types.quantity import check_count

from ._refusal import RequestRefusedError
from ._request_context import RequestContext, normal_host

#: No tenant's name can hold it, so that the one token of a route is no tenant's.
EVERYBODY = "*"
_TENANT = re.compile(r"[A-Za-z0-9._~:@|+=-]{1,128}")
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class TenantRule(Protocol):
    """Tells a request's tenant. Any function does."""

    def __call__(self, facts: RequestContext, /) -> str:
        """The tenant; empty where the request has none."""
        ...


def tenant_of(rule: TenantRule, facts: RequestContext) -> str:
    """A tenant that may stand for its token.

    Raises:
        RequestRefusedError: there is none (403), or what there is cannot be a name (400).
    """
    tenant = rule(facts)
    if not tenant:
        raise RequestRefusedError("The request names no tenant", status=403)
    if not isinstance(tenant, str) or not _TENANT.fullmatch(tenant):
        if tenant == EVERYBODY and isinstance(rule, _Single):
            return tenant
        raise RequestRefusedError(
            "The tenant's name must have 1 to 128 characters of A-Z a-z 0-9 . _ ~ : @ | + = -"
        )
    return tenant


def from_header(name: str) -> TenantRule:
    """The tenant that a header names, like ``X-Tenant``.

    Whoever can set the header chooses the tenant: let what stands in front of the gateway set it,
    and drop what comes from outside.

    Raises:
        ConfigurationError: no header can have that name.
    """
    if not isinstance(name, str) or not _HEADER.fullmatch(name):
        raise _invalid(f"from_header: a header's name, like X-Tenant, not {name!r}.")
    return _FromHeader(name.lower())


def tenant_header(rule: TenantRule) -> str:
    """Return the header that names the tenant, in lower case; empty if none does."""
    return rule.name if isinstance(rule, _FromHeader) else ""


def tenant_domain(rule: TenantRule) -> str:
    """Return the domain under which each tenant has a host; empty if there is none."""
    return rule.end if isinstance(rule, _FromHost) else ""


def names_one_tenant(rule: TenantRule, paths: Iterable[str]) -> bool:
    """Return whether a rule finds the same tenant in each of some paths."""
    return not isinstance(rule, _FromPath) or len({rule.of(path) for path in paths}) == 1


def from_host(domain: str) -> TenantRule:
    """The tenant in front of a domain: of ``acme.example.com`` with ``example.com``, ``acme``.

    Args:
        domain: What follows the tenant and a dot. A request for any other host has no tenant, and
            neither has one with a further dot.

    Raises:
        ConfigurationError: it is no host.
    """
    try:
        found = normal_host(domain.lower())
    except (AttributeError, RequestRefusedError):
        found = ""
    if not found or found != domain.lower():
        raise _invalid(f"from_host: a domain, like example.com, not {domain!r}.")
    return _FromHost(f".{found}")


def from_path(segment: int) -> TenantRule:
    """The tenant in a segment of the path: of ``/t/acme/orders`` the second.

    Args:
        segment: Counted from 1.

    Raises:
        ConfigurationError: it is no whole number from 1 to 32.
    """
    check_count("from_path: segment", segment, most=32)
    return _FromPath(segment)


def from_principal(find: Callable[[Any], str | None]) -> TenantRule:
    """Return a rule that gets the tenant from an authenticated principal.

    Args:
        find: Gets the request's context (the ASGI scope, the WSGI environ, or what the
            requests and httpx adapters were made with), and returns the tenant or None.

    Raises:
        ConfigurationError: it cannot be called.
    """
    if not callable(find):
        raise _invalid(f"from_principal: a function of the request's context, not {find!r}.")
    return _FromPrincipal(find)


def single() -> TenantRule:
    """One token for all who use the route. Never the default, for it must be meant."""
    return _Single()


@dataclass(frozen=True, slots=True)
class _FromHeader:
    name: str

    def __call__(self, facts: RequestContext) -> str:
        return facts.header(self.name)


@dataclass(frozen=True, slots=True)
class _FromHost:
    end: str

    def __call__(self, facts: RequestContext) -> str:
        host = facts.host
        tenant = host[: -len(self.end)] if host.endswith(self.end) else ""
        return "" if "." in tenant else tenant


@dataclass(frozen=True, slots=True)
class _FromPath:
    segment: int

    def __call__(self, facts: RequestContext) -> str:
        return self.of(facts.path)

    def of(self, path: str) -> str:
        segments = path.split("/", self.segment + 1)
        return segments[self.segment] if len(segments) > self.segment else ""


@dataclass(frozen=True, slots=True)
class _FromPrincipal:
    find: Callable[[Any], str | None]

    def __call__(self, facts: RequestContext) -> str:
        return self.find(facts.context) or ""


@dataclass(frozen=True, slots=True)
class _Single:
    def __call__(self, facts: RequestContext) -> str:
        return EVERYBODY


def _invalid(message: str) -> ConfigurationError:
    return ConfigurationError(message, errors={"tenant": [message]})
