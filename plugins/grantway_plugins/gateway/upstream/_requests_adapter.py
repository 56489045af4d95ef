"""Tokens for the requests of a gateway that forwards by requests."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from requests import PreparedRequest
from requests.auth import AuthBase

from grantway._processes.copies import OneProcess
from grantway._types.quantity import check_wait
from grantway_plugins.auth._requests_auth import RequestsAuth

from ._refusal import RequestRefusedError
from ._request_context import RequestContext
from ._upstream_auth import UpstreamAuth


class RequestsUpstreamAuth(OneProcess, AuthBase):
    """Puts a tenant's token into each request that has a route; the ``auth`` of requests.

    Otherwise as ``grantway_plugins.auth.RequestsAuth``: a refused token is replaced once, if the
    body can be sent again, and goes to no other origin.

    Args:
        upstream: The rules. Host, path and headers are those of the request that is sent.
        context: What ``from_principal`` is given: who the request is made for.
        timeout: Seconds to wait for a token at most; by default the route's.

    Raises:
        RequestRefusedError: from a request; see ``UpstreamAuth.open``.
        GrantwayError: from a request: there is no token and the route is closed, or a refused
            token could not be replaced.
    """

    def __init__(
        self, upstream: UpstreamAuth, *, context: Any = None, timeout: float | None = None
    ) -> None:
        self._upstream, self._context = upstream, context
        self._timeout = check_wait(timeout)

    def __call__(self, r: PreparedRequest) -> PreparedRequest:
        """Called by requests, once a request is complete."""
        url = r.url or ""
        parts = urlsplit(url)

        def values(name: str) -> list[str]:
            value = r.headers.get(name)
            if value is None:
                return []
            # Its type says text, and requests sends bytes as well.
            raw: Any = value
            return [raw.decode("latin-1") if isinstance(raw, bytes) else raw]

        facts = RequestContext(host_in(url), parts.path or "/", values, self._context)
        upstream_token = self._upstream.open(facts)
        if upstream_token is None or upstream_token.kept:
            return r
        for name in upstream_token.removed:
            r.headers.pop(name, None)
        route = upstream_token.route
        auth = RequestsAuth(
            upstream_token, header=route.header, scheme=route.scheme, timeout=self._timeout
        )
        try:
            return auth(r)
        except RequestRefusedError:
            raise
        except Exception:
            if route.on_failure == "closed":
                raise
            return r

    def __repr__(self) -> str:
        return f"RequestsUpstreamAuth({self._upstream!r})"


def host_in(url: str) -> str:
    """The host of an address, in brackets where it is an IPv6 address."""
    host = urlsplit(url).hostname or ""
    return f"[{host}]" if ":" in host else host
