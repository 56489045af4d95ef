"""Select the token of each forwarded request by its route and tenant."""

from __future__ import annotations

from collections.abc import Iterable

from grantway._processes.copies import OneProcess

from ._observer import Observer
from ._paths import ambiguous_path, readings, stays_under
from ._rejection import RequestRejectedError
from ._request_context import RequestContext
from ._route import Route
from ._router import Router
from ._tenant import names_one_tenant, tenant_of
from ._upstream_token import UpstreamToken


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
        metrics: An observer of each request's outcome.

    Raises:
        ConfigurationError: Two routes have the same name, or the same host and path.
    """

    def __init__(self, routes: Iterable[Route], *, metrics: Observer | None = None) -> None:
        self._router = Router(routes)
        self._metrics = metrics
        self._forwards = any(route.encoded_paths == "forward" for route in self.routes)

    @property
    def routes(self) -> tuple[Route, ...]:
        """All routes."""
        return self._router.routes

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
        """Find the route and the tenant of a request, without requesting a token.

        Args:
            request: The request.

        Returns:
            The token to inject, or None if no route matches.

        Raises:
            RequestRejectedError: The request must not be forwarded.
        """
        route = self._match(request)
        if route is None:
            return None
        metrics = self._metrics
        path = request.path if route.encoded_paths == "reject" else request.raw
        try:
            request.check_forwarding(route.header)
            authorization = request.header("authorization")
            if route.forward_preflight and request.is_preflight:
                preflight = UpstreamToken(route, path, "", None, metrics, bare=True)
                preflight.report("kept")
                return preflight
            if route.incoming == "keep" and request.header(route.header.lower()):
                kept = UpstreamToken(route, path, "", None, metrics)
                kept.report("kept")
                return kept
            tenant = tenant_of(route.tenant, request)
            credential = route.source(tenant, authorization)
        except RequestRejectedError:
            UpstreamToken(route, path, "", None, metrics).report("refused")
            raise
        return UpstreamToken(route, path, tenant, credential, metrics)

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
            RequestRejectedError: The request is invalid and must not be forwarded.
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
        upstream_token = self.open(request)
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
