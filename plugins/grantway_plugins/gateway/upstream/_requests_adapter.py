"""Adapter for gateways that forward with requests."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from requests import PreparedRequest
from requests.auth import AuthBase

from grantway._processes.copies import OneProcess
from grantway._types.quantity import check_wait
from grantway_plugins.auth._exchange import Exchange
from grantway_plugins.auth._requests_flow import RequestsFlow

from ._rejection import RequestRejectedError
from ._request_context import RequestContext
from ._upstream_auth import UpstreamAuth


class RequestsUpstreamAuth(OneProcess, AuthBase):
    """Adds the tenant's token to each request that has a route; the ``auth`` of requests.

    Like ``grantway_plugins.auth.TokenAuth``, it replaces a rejected token once if the body can
    be sent again, and sends the token to no other origin.

    Args:
        upstream: The routes and their tokens. They are selected by host, path and headers of the
            request that is sent.
        context: Passed to the function of ``from_principal``, such as the authenticated user.
        timeout: Longest wait for a token in seconds; by default the route's.

    Raises:
        RequestRejectedError: By a request; see ``UpstreamAuth.open``.
        GrantwayError: By a request: there is no token and the route is closed, or a rejected
            token could not be replaced.
    """

    def __init__(
        self, upstream: UpstreamAuth, *, context: Any = None, timeout: float | None = None
    ) -> None:
        self._upstream, self._context = upstream, context
        self._timeout = check_wait(timeout)

    def __call__(self, r: PreparedRequest) -> PreparedRequest:
        """Add the token to a prepared request; called by requests."""
        url = r.url or ""
        parts = urlsplit(url)

        def values(name: str) -> list[str]:
            value = r.headers.get(name)
            if value is None:
                return []
            # Typed as str, but requests accepts bytes as well.
            raw: Any = value
            return [raw.decode("latin-1") if isinstance(raw, bytes) else raw]

        context = RequestContext(
            host_in(url), parts.path or "/", values, self._context, method=r.method or ""
        )
        upstream_token = self._upstream.open(context)
        if upstream_token is None or upstream_token.kept:
            return r
        for name in upstream_token.removed:
            r.headers.pop(name, None)
        route = upstream_token.route
        try:
            exchange = Exchange(
                r.method or "",
                url,
                source=upstream_token,
                bearer=route.bearer,
                step_up=False,
                timeout=self._timeout,
            )
            RequestsFlow(exchange, r)
        except RequestRejectedError:
            raise
        except Exception:
            if route.on_failure == "closed":
                raise
        return r

    def __repr__(self) -> str:
        return f"RequestsUpstreamAuth({self._upstream!r})"


def host_in(url: str) -> str:
    """Return the host of a URL, in brackets if it is an IPv6 address."""
    host = urlsplit(url).hostname or ""
    return f"[{host}]" if ":" in host else host
