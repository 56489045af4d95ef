"""Responses of the authorization endpoint that a proxy may cache (RFC 9111)."""

from __future__ import annotations

import time

from grantway_plugins.gateway._config.cache_seconds import REVALIDATION, ROUNDING
from grantway_plugins.gateway.upstream._rejection import RequestRejectedError
from grantway_plugins.gateway.upstream._route import Route
from grantway_plugins.gateway.upstream._tenant import (
    TenantRule,
    needs_caller,
    reads_only_target,
    tenant_header,
)
from grantway_plugins.gateway.upstream._upstream_auth import UpstreamAuth
from grantway_plugins.gateway.upstream._upstream_token import UpstreamToken
from grantway_plugins.server._http.asgi import Scope

#: The end of a path whose responses may be cached, after ``nginx_path`` or ``forward_auth_path``.
CACHED = "/cached"
#: The header in which a proxy names the route by which it forwards the request.
ROUTE = b"x-grantway-route"
#: Follows the name of the route, after a space, if the proxy forwards a WebSocket handshake.
WEBSOCKET = "websocket"
NO_STORE = (b"cache-control", b"no-store")
_DESCRIPTION = frozenset(
    {
        b"access-control-request-method",
        b"origin",
        b"x-forwarded-host",
        b"x-forwarded-method",
        b"x-forwarded-uri",
        b"x-original-method",
        b"x-original-uri",
        ROUTE,
    }
)


class CachedResponses:
    """States for how long a response may be cached, and by which headers it varies.

    Such a response depends only on the headers in its ``Vary``: all others are removed
    before the request is handled. A cache whose key contains these headers can therefore not give
    one tenant's token to another.

    Args:
        upstream: Routes that add tokens to requests.
        seconds: Longest use of a response after the gateway sent it; 0 forbids caching.
    """

    def __init__(self, upstream: UpstreamAuth, seconds: int) -> None:
        self._seconds = seconds
        tenants = {tenant_header(route.tenant).encode() for route in upstream.routes} - {b""}
        # Without its proof, a token that is bound to a key is rejected, and a denial is not cached.
        callers = {b"authorization"} if upstream.verifies else set()
        self._names = _DESCRIPTION | tenants | callers
        self._vary = (b"vary", b", ".join(sorted(self._names)))

    def scope(self, scope: Scope) -> Scope:
        """Return an ASGI scope without the headers that a cache does not compare."""
        return {**scope, "headers": [each for each in scope["headers"] if each[0] in self._names]}

    def headers(self, token: UpstreamToken) -> tuple[tuple[bytes, bytes], ...]:
        """Return ``Cache-Control`` and ``Vary`` of the response with a token.

        The response is not used after the gateway itself would refresh the token, or after the
        token of a verified caller has expired.
        """
        if token.header is None:
            return (NO_STORE,)
        left = min(self._seconds, token.refresh_in, token.caller_until - time.time())
        seconds = int(left) - REVALIDATION - ROUNDING
        if seconds < 1:
            return (NO_STORE,)
        value = b"max-age=%d, stale-while-revalidate=%d" % (seconds, REVALIDATION)
        return ((b"cache-control", value), self._vary)


def is_cacheable(incoming: str, tenant: TenantRule) -> bool:
    """Return whether a route's token depends only on headers that a cache compares.

    Args:
        incoming: Handling of the caller's credentials; others than ``replace`` depend on them.
        tenant: The tenant rule; that of a plugin may read anything. One that reads the verified
            token depends on ``Authorization``, which a cache of such responses compares.
    """
    return incoming == "replace" and (reads_only_target(tenant) or needs_caller(tenant))


def check_cacheable(route: Route) -> None:
    """Reject a request for a response that depends on more than a cache compares.

    Raises:
        RequestRejectedError: The route passes on or exchanges the caller's credentials, or a plugin
            chooses its tenant.
    """
    if not is_cacheable(route.incoming, route.tenant):
        raise RequestRejectedError(
            f"The token of {route.name} depends on more than a cache compares; "
            f"the proxy must use the path without {CACHED}",
            status=403,
        )
