"""Decide whether a request of a proxy may pass, and with which token."""

from __future__ import annotations

from functools import lru_cache

from grantway._transport.http import is_loopback
from grantway_plugins.gateway.upstream._asgi_middleware import log_failure
from grantway_plugins.gateway.upstream._proxy_headers import (
    UNDERSCORED,
    hyphenated,
    is_reserved,
)
from grantway_plugins.gateway.upstream._rejection import RequestRejectedError, response_for
from grantway_plugins.gateway.upstream._request_context import RequestContext
from grantway_plugins.gateway.upstream._upstream_auth import UpstreamAuth
from grantway_plugins.gateway.upstream._upstream_token import UpstreamToken
from grantway_plugins.server._http.asgi import Scope
from grantway_plugins.server._http.peer_networks import Networks, is_one_of
from grantway_plugins.server._http.wire import WireResponse

from .browser_rule import BrowserRule
from .cached_responses import NO_STORE, ROUTE, WEBSOCKET

#: A header that browsers send with each WebSocket handshake, and that Traefik and Caddy pass on.
_HANDSHAKE = b"sec-websocket-version"
#: The response to a request that belongs to no route.
NO_ROUTE = WireResponse(404, (NO_STORE,), b"")


class Decision:
    """The rules of ``[authorize]``, whatever protocol a proxy uses to send a request for checking.

    Each protocol describes the request as an ASGI scope.

    Args:
        upstream: Routes that add tokens to requests.
        allow: The proxies that may send requests; none for this machine only.
        browsers: Rejects WebSocket handshakes of web pages.
    """

    def __init__(self, upstream: UpstreamAuth, allow: Networks, browsers: BrowserRule) -> None:
        self._upstream, self._allow, self._browsers = upstream, allow, browsers
        #: Names of which other spellings are rejected, because Envoy, nginx and others copy them.
        self._guarded = frozenset().union(*(route.guarded for route in upstream.routes))
        self._spelled = frozenset(
            name.encode()
            for route in upstream.routes
            for name in (route.header.lower(), route.tenant_header)
        )

    def admits(self, peer: str) -> bool:
        """Return whether an address may send requests: the responses contain tokens."""
        return is_one_of(peer, self._allow) if self._allow else is_loopback(peer)

    async def token(self, context: RequestContext, host: str, scope: Scope) -> UpstreamToken | None:
        """Return the token of a request; None if no route matches.

        Args:
            context: The request.
            host: Its ``Host``, with the port.
            scope: The request as an ASGI scope, with its headers.

        Raises:
            RequestRejectedError: The request is invalid, or its caller was not accepted.
            Exception: There is no token, and the route is closed. ``denial`` returns the response
                to both.
        """
        self._check_spelling(scope)
        route, _, protocol = first(scope, ROUTE).partition(" ")
        if protocol == WEBSOCKET or any(name == _HANDSHAKE for name, _ in scope["headers"]):
            self._browsers.check_forwarded_handshake(host, scope["headers"])
        found = await self._upstream.prepare_async(context)
        if found is not None and route not in {"", found.route.name}:
            raise RequestRejectedError(
                f"The proxy forwards this request by the route {route}, but it belongs to "
                f"{found.route.name}; create the proxy's configuration again",
                status=403,
            )
        return found

    async def decide(self, scope: Scope) -> UpstreamToken | WireResponse:
        """Return the token of a request that a proxy sent unchanged, or the response to its caller.

        Args:
            scope: The request as an ASGI scope.
        """
        try:
            path, host = scope["raw_path"].decode("latin-1"), first(scope, b"host")
            context = request_context(scope, host, path, scope["method"])
            token = await self.token(context, host, scope)
        except Exception as error:  # noqa: BLE001 - the response reports it
            return denial(error)
        return NO_ROUTE if token is None else token

    def _check_spelling(self, scope: Scope) -> None:
        """Reject other spellings of the token header, the tenant header and proxy headers.

        The proxy forwards such headers, and upstream servers may read ``X_Tenant`` as ``X-Tenant``.

        Raises:
            RequestRejectedError: The request has such a header.
        """
        for name, _ in scope["headers"]:
            plain = hyphenated(name)
            if plain == name or name in self._spelled:
                continue
            if plain in self._guarded or is_reserved(plain):
                raise RequestRejectedError(
                    f"Send {plain.decode()} with hyphens, not as {name.decode('latin-1')}"
                )


def denial(error: Exception) -> WireResponse:
    """Log why a request gets no token, and return the response to its caller."""
    log_failure(error)
    return response_for(error)


def removed_by_envoy(token: UpstreamToken) -> tuple[bytes, ...]:
    """Return the headers that Envoy removes from the request, in lower case.

    Envoy sets the token's header first, so that one is not among them.
    """
    return _removed(token.removed, "" if token.header is None else token.route.header.lower())


@lru_cache
def _removed(names: frozenset[str], but: str) -> tuple[bytes, ...]:
    return tuple(sorted({each.encode() for each in names - {but}}.union(UNDERSCORED)))


def request_context(scope: Scope, host: str, path: str, method: str) -> RequestContext:
    """Return the context of a request whose headers are those of an ASGI scope."""
    headers = scope["headers"]

    def values(name: str) -> list[str]:
        wanted = name.encode("latin-1")
        return [value.decode("latin-1") for key, value in headers if key == wanted]

    return RequestContext(host, path, values, scope, method=method)


def first(scope: Scope, name: bytes) -> str:
    """Return the value of a header that must not be repeated; empty if it is missing.

    Raises:
        RequestRejectedError: It is repeated.
    """
    found = [value.decode("latin-1") for key, value in scope["headers"] if key == name]
    if len(found) > 1:
        raise RequestRejectedError(f"The {name.decode()} header is repeated; send it once")
    return found[0] if found else ""
