"""Cross-origin resource sharing (CORS) for web pages that use the issuer.

Cookies are never allowed, so a page can do no more than a program without a browser session.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import replace
from typing import Any

from grantway_plugins.server._http.asgi import Send
from grantway_plugins.server._http.denial import Denial
from grantway_plugins.server._http.wire import Header, WireFormat, WireResponse, denial_response
from grantway_plugins.server._listening.direct import Respond

#: Seconds for which a browser may cache a preflight response.
_MAX_AGE = b"600"
_HEADER_NAMES = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~, -]{1,1000}")
_VARY: Header = (b"vary", b"Origin")
#: Response headers that pages may read in addition to the CORS-safelisted ones.
_EXPOSED: Header = (
    b"access-control-expose-headers",
    b"www-authenticate, retry-after, dpop-nonce, x-amzn-errortype, x-amzn-requestid",
)


class Cors:
    """Adds the headers that let pages of the given origins read a response.

    Args:
        origins: Origins as browsers send them, or ``*`` for every origin.
    """

    def __init__(self, origins: Iterable[str]) -> None:
        self._origins = frozenset(origins)

    def preflight(
        self, method: str, headers: Mapping[bytes, str], allowed_methods: str
    ) -> WireResponse | None:
        """Return the response to a preflight request, or None for any other request.

        Args:
            method: The request's method.
            headers: The request's headers, with lower-case names.
            allowed_methods: Methods of the endpoint, such as ``GET, HEAD``.
        """
        if method != "OPTIONS" or b"access-control-request-method" not in headers:
            return None
        if not self._allows(headers.get(b"origin", "")):
            denial = Denial(
                "invalid_request",
                "Pages of this origin may not use the issuer; allow it with --cors-origin",
            )
            return denial_response(denial, WireFormat.RFC, status=403)
        response_headers = [
            (b"access-control-allow-methods", allowed_methods.encode()),
            (b"access-control-max-age", _MAX_AGE),
            (b"vary", b"Access-Control-Request-Headers"),
        ]
        # Without cookies, a page can do no more with a header than any other program.
        requested = headers.get(b"access-control-request-headers", "")
        if _HEADER_NAMES.fullmatch(requested):
            response_headers.append((b"access-control-allow-headers", requested.encode()))
        return WireResponse(204, tuple(response_headers), b"")

    def adding_headers(self, headers: Mapping[bytes, str], send: Send) -> Send:
        """Return a ``send`` that adds the headers to the response."""
        added = self._headers(headers)

        async def adding(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        return adding

    def adding_to_response(self, headers: Mapping[bytes, str], respond: Respond) -> Respond:
        """Return a ``respond`` that adds the headers to the response."""
        added = self._headers(headers)
        return lambda response: respond(replace(response, headers=(*response.headers, *added)))

    def _headers(self, headers: Mapping[bytes, str]) -> tuple[Header, ...]:
        """Return the headers of the response to a request."""
        origin = headers.get(b"origin", "")
        if not self._allows(origin):
            return (_VARY,)  # even without an Origin header, because caches may store the response
        shown = "*" if "*" in self._origins else origin
        return (_VARY, (b"access-control-allow-origin", shown.encode()), _EXPOSED)

    def _allows(self, origin: str) -> bool:
        return bool(origin) and ("*" in self._origins or origin in self._origins)
