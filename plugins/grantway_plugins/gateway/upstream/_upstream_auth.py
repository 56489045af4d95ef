"""Select the token of each forwarded request by its route and tenant."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from grantway._exceptions import ConfigurationError, GrantwayError
from grantway._processes.copies import OneProcess
from grantway_plugins.resource import AccessDeniedError, VerificationUnavailableError

from ._observer import Observer
from ._paths import ambiguous_path, readings, stays_under
from ._rejection import RequestRejectedError, rejection_of
from ._request_context import RequestContext
from ._route import Route
from ._router import Router
from ._tenant import names_one_tenant, needs_caller, tenant_of
from ._upstream_token import UpstreamToken

if TYPE_CHECKING:
    from grantway_plugins.resource import ProtectedResource

#: Errors of requests that are not forwarded.
_REFUSALS = (AccessDeniedError, RequestRejectedError, VerificationUnavailableError)


class UpstreamAuth(OneProcess):
    """Selects the token of each forwarded request by its route and tenant.

    There are adapters for requests, httpx, ASGI and WSGI. Other proxies call it like this::

        token = upstream.prepare(RequestContext.of(host, path, headers))
        if token is not None:
            # remove the headers in token.removed, set token.header, send the request, and:
            if token.rejected(response.status, www_authenticate) and body_can_be_sent_again:
                token.fetch()
                # set token.header, and send the request once more

    Args:
        routes: The routes.
        inbound: Verifies the callers of all routes that are not anonymous. By default callers are
            trusted, and everyone who can send requests gets tokens.
        metrics: An observer of each request's outcome.

    Raises:
        ConfigurationError: Two routes have the same name, or the same host and path; or a route
            needs a verified caller, and ``inbound`` is missing.
    """

    def __init__(
        self,
        routes: Iterable[Route],
        *,
        inbound: ProtectedResource | None = None,
        metrics: Observer | None = None,
    ) -> None:
        self._router = Router(routes)
        self._inbound = inbound
        for route in self.routes if inbound is None else ():
            if not route.requirement.empty or needs_caller(route.tenant):
                raise ConfigurationError(
                    f"inbound: is needed by the route {route.name!r}, which has scopes, "
                    "acr_values, max_age or a tenant from its caller.",
                    errors={"inbound": ["is needed"]},
                )
        self._metrics = metrics
        self._forwards = any(route.encoded_paths == "forward" for route in self.routes)

    @property
    def routes(self) -> tuple[Route, ...]:
        """All routes."""
        return self._router.routes

    @property
    def verifies(self) -> bool:
        """Whether callers are verified."""
        return self._inbound is not None

    def route_for(self, host: str, path: str) -> Route | None:
        """Return the route of a request, or None.

        Args:
            host: Host of the request, with or without a port; may be empty.
            path: Percent-encoded path, without the query.

        Raises:
            RequestRejectedError: The host is invalid, or the path is ambiguous.
        """
        return self._match(RequestContext(host, path, lambda _name: ()))

    def open(self, request: RequestContext) -> UpstreamToken | None:
        """Find the route and the tenant of a request and verify its caller; request no token.

        Verifying a caller may block while keys are read, or while an issuer is asked.

        Args:
            request: The request.

        Returns:
            The token to inject, or None if no route matches.

        Raises:
            RequestRejectedError: The request must not be forwarded.
            VerificationUnavailableError: The caller cannot be verified at the moment.
        """
        route = self._match(request)
        if route is None:
            return None
        try:
            if self._inbound is not None and self._needs_caller(route, request):
                request.caller = self._inbound.verify(request, route.requirement)
            return self._opened(route, request)
        except _REFUSALS as error:
            refusal = self._refused(route, error)
        raise refusal

    async def open_async(self, request: RequestContext) -> UpstreamToken | None:
        """Do the same as ``open`` without blocking the event loop."""
        route = self._match(request)
        if route is None:
            return None
        try:
            if self._inbound is not None and self._needs_caller(route, request):
                request.caller = await self._inbound.verify_async(request, route.requirement)
            return self._opened(route, request)
        except _REFUSALS as error:
            refusal = self._refused(route, error)
        raise refusal

    def _needs_caller(self, route: Route, request: RequestContext) -> bool:
        return not (route.anonymous or (route.forward_preflight and request.is_preflight))

    def _opened(self, route: Route, request: RequestContext) -> UpstreamToken:
        metrics = self._metrics
        path = request.path if route.encoded_paths == "reject" else request.raw
        request.check_forwarding(route.header)
        if route.forward_preflight and request.is_preflight:
            preflight = UpstreamToken(route, path, "", None, metrics, bare=True)
            preflight.report("kept")
            return preflight
        authorization = ""
        if request.caller is None or route.incoming == "exchange":
            authorization = request.header("authorization")
        if request.caller is not None:  # the proof of a DPoP token was verified
            authorization = f"Bearer {authorization.rpartition(' ')[2]}"
        if route.incoming == "keep" and request.header(route.header.lower()):
            kept = UpstreamToken(route, path, "", None, metrics)
            kept.report("kept")
            return kept
        tenant = tenant_of(route.tenant, request)
        found = UpstreamToken(route, path, tenant, route.source(tenant, authorization), metrics)
        if request.caller is not None:
            found.caller_until = request.caller.expires_at
        return found

    def _refused(self, route: Route, error: GrantwayError) -> GrantwayError:
        """Report a request that is not forwarded, and return the error to raise."""
        UpstreamToken(route, "", "", None, self._metrics).report("refused")
        if not isinstance(error, AccessDeniedError):
            return error
        return rejection_of(error)

    def prepare(
        self, request: RequestContext, timeout: float | None = None
    ) -> UpstreamToken | None:
        """Find the route and the tenant of a request, and get its token.

        Call it immediately before sending the request, because tokens expire.

        Args:
            request: The request.
            timeout: Longest wait for a token in seconds, such as the time left for the request; by
                default the route's.

        Returns:
            The headers to remove and to set; None if no route matches.

        Raises:
            RequestRejectedError: The request is invalid, or its caller was not accepted.
            Exception: There is no token, and the route is closed. ``response_for`` returns the
                response to either error.
        """
        upstream_token = self.open(request)
        if upstream_token is not None and not (upstream_token.kept or upstream_token.bare):
            upstream_token.fetch(timeout)
        return upstream_token

    async def prepare_async(
        self,
        request: RequestContext,
        timeout: float | None = None,  # noqa: ASYNC109 - as prepare()
    ) -> UpstreamToken | None:
        """Do the same as ``prepare`` without blocking the event loop."""
        upstream_token = await self.open_async(request)
        if upstream_token is not None and not (upstream_token.kept or upstream_token.bare):
            await upstream_token.fetch_async(timeout)
        return upstream_token

    def _match(self, request: RequestContext) -> Route | None:
        """Return the route of a request, or None.

        A path that servers read differently matches only if every reading leads to the same route
        and tenant, and stays below the route's path. The token is then right for every reading.
        """
        path = request.raw
        if request.ambiguity is None:
            route = self._router.find(request.host, request.path)
            if route is None:
                return None
            if route.encoded_paths == "reject":
                path = request.path
            if path == request.path and request.has_one_reading:
                return route
        elif not self._forwards:
            raise request.ambiguity
        paths = readings(path)
        found = {self._router.find(request.host, each) for each in paths}
        route = found.pop()
        if (
            found
            or route is None
            or (request.ambiguity is not None and route.encoded_paths == "reject")
            or not all(stays_under(each, route.path.rstrip("/")) for each in paths)
            or not names_one_tenant(route.tenant, paths)
        ):
            raise ambiguous_path()
        return route

    def __repr__(self) -> str:
        return f"UpstreamAuth({len(self.routes)} routes)"
