"""Tokens for the requests that a gateway forwards: the rules, which send nothing themselves."""

from __future__ import annotations

from collections.abc import Iterable

from grantway._processes.copies import OneProcess

from ._observer import Observer
from ._paths import ambiguous, has_one_reading, readings, stays_under
from ._refusal import RequestRefusedError
from ._request_context import RequestContext
from ._route import Route
from ._router import Router
from ._tenant import names_one_tenant, tenant_of
from ._upstream_token import Missing, RouteCredential, UpstreamToken


class UpstreamAuth(OneProcess):
    """Finds the token of each request: by its route, and by its tenant.

    For requests, httpx, ASGI and WSGI there are adapters. Any other proxy does this::

        upstream_token = upstream.prepare(RequestContext.of(host, path, headers))
        if upstream_token is not None:
            # drop upstream_token.removed, set upstream_token.header, send, and:
            if upstream_token.after(response.status, challenge) and can_be_sent_again:
                upstream_token.fetch()
                # set upstream_token.header, and send once more

    Args:
        routes: Which requests get which tokens.
        metrics: Is told what became of each request.

    Raises:
        ConfigurationError: two routes have one name, or are for one host and path.
    """

    def __init__(self, routes: Iterable[Route], *, metrics: Observer | None = None) -> None:
        self._router = Router(routes)
        self._metrics = metrics
        self._forwards = any(route.encoded_paths == "forward" for route in self.routes)

    @property
    def routes(self) -> tuple[Route, ...]:
        """All of them."""
        return self._router.routes

    def route_for(self, host: str, path: str) -> Route | None:
        """The route that a request takes, or None.

        Args:
            host: Of the request, with or without a port; may be empty.
            path: Percent-encoded, without the query.

        Raises:
            RequestRefusedError: host or path can be read in two ways.
        """
        return self._match(RequestContext(host, path, lambda _name: ()))

    def open(self, facts: RequestContext) -> UpstreamToken | None:
        """Find the route and the tenant of a request, without requesting a token.

        Args:
            facts: The request.

        Returns:
            The token to inject, or None if no route matches.

        Raises:
            RequestRefusedError: The request must not be forwarded.
        """
        route = self._match(facts)
        if route is None:
            return None
        metrics = self._metrics
        path = facts.path if route.encoded_paths == "reject" else facts.raw
        try:
            _check_method(facts)
            _check_connection(route, facts)
            authorization = facts.header("authorization")
            if route.forward_preflight and facts.is_preflight:
                preflight = UpstreamToken(route, path, "", None, metrics, bare=True)
                preflight.tell("kept")
                return preflight
            if route.incoming == "keep" and facts.header(route.header.lower()):
                kept = UpstreamToken(route, path, "", None, metrics)
                kept.tell("kept")
                return kept
            tenant = tenant_of(route.tenant, facts)
            credential = _credential(route, tenant, authorization)
        except RequestRefusedError:
            UpstreamToken(route, path, "", None, metrics).tell("refused")
            raise
        return UpstreamToken(route, path, tenant, credential, metrics)

    def prepare(self, facts: RequestContext, timeout: float | None = None) -> UpstreamToken | None:
        """Make ready to send a request: at the last moment, for tokens end.

        Args:
            facts: The request.
            timeout: Seconds to wait for a token at most, as when the request has a deadline; by
                default the route's.

        Returns:
            What to remove and to set; None where the request has no route.

        Raises:
            RequestRefusedError: it is not to be forwarded, by its sender's fault.
            Exception: there is no token, and the route is closed then. ``response_for`` makes an
                answer of either.
        """
        upstream_token = self.open(facts)
        if upstream_token is not None and not (upstream_token.kept or upstream_token.bare):
            upstream_token.fetch(timeout)
        return upstream_token

    async def prepare_async(
        self,
        facts: RequestContext,
        timeout: float | None = None,  # noqa: ASYNC109 - as prepare()
    ) -> UpstreamToken | None:
        """As ``prepare``, for event loops: a fresh token comes without leaving the loop."""
        upstream_token = self.open(facts)
        if upstream_token is not None and not (upstream_token.kept or upstream_token.bare):
            await upstream_token.fetch_async(timeout)
        return upstream_token

    def _match(self, facts: RequestContext) -> Route | None:
        """Find the route of a request.

        A path with more than one reading is taken only if each of them leads to the same route and
        tenant, and none climbs above the route's path. So whatever the upstream makes of the path,
        the token is the right one.
        """
        path = facts.raw
        if facts.ambiguity is None:
            route = self._router.find(facts.host, facts.path)
            if route is None:
                return None
            if route.encoded_paths == "reject":
                path = facts.path
            if path == facts.path and has_one_reading(path):
                return route
        elif not self._forwards:
            raise facts.ambiguity
        paths = readings(path)
        found = {self._router.find(facts.host, each) for each in paths}
        route = found.pop()
        if (
            found
            or route is None
            or (facts.ambiguity is not None and route.encoded_paths == "reject")
            or not all(stays_under(each, route.path.rstrip("/")) for each in paths)
            or not names_one_tenant(route.tenant, paths)
        ):
            raise ambiguous()
        return route

    def __repr__(self) -> str:
        return f"UpstreamAuth({len(self.routes)} routes)"


def _credential(route: Route, tenant: str, authorization: str) -> RouteCredential:
    try:
        return route.source(tenant, authorization)
    except RequestRefusedError:
        raise
    except Exception as error:  # noqa: BLE001 - the route's function may raise anything
        return Missing(error)


def _check_method(facts: RequestContext) -> None:
    """Refuse TRACE: its response would show the token to the sender (RFC 9110 section 9.3.8)."""
    if facts.method.upper() == "TRACE":
        raise RequestRefusedError("TRACE is not forwarded", status=501)


def _check_connection(route: Route, facts: RequestContext) -> None:
    """Refuse a request that has the token dropped on the way."""
    if facts.ends_here(route.header.lower()):
        raise RequestRefusedError(
            f"The Connection header must not name {route.header}, which the gateway sets"
        )
