"""Cross-origin resource sharing: which web pages may read the issuer's responses.

Credentials of the browser (cookies) are never allowed, so a page can do no more than a program that
has no session.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any

from grantway_plugins.server._http.asgi import Send
from grantway_plugins.server._http.denial import Denial
from grantway_plugins.server._http.wire import Header, WireFormat, WireResponse, denial_response

#: Seconds for which a browser may remember the answer to a preflight.
_MAX_AGE = b"600"
_HEADER_NAMES = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~, -]{1,1000}")
_VARY: Header = (b"vary", b"Origin")
#: The headers of an answer that a page may read besides those that it always may.
_EXPOSED: Header = (
    b"access-control-expose-headers",
    b"www-authenticate, retry-after, x-amzn-errortype, x-amzn-requestid",
)


class Cors:
    """Adds the headers that let pages of some origins read a response.

    Args:
        origins: The origins as browsers send them, or ``*`` for every origin.
    """

    def __init__(self, origins: Iterable[str]) -> None:
        self._origins = frozenset(origins)

    def preflight(
        self, method: str, headers: Mapping[bytes, str], allowed_methods: str
    ) -> WireResponse | None:
        """Answer a preflight request, or return None for any other request.

        Args:
            method: The request's method.
            headers: The request's headers, with lower-case names.
            allowed_methods: What the endpoint allows, such as ``GET, HEAD``.
        """
        if method != "OPTIONS" or b"access-control-request-method" not in headers:
            return None
        if not self._allows(headers.get(b"origin", "")):
            denial = Denial(
                "invalid_request",
                "Pages of this origin may not use the issuer; allow it with --cors-origin",
            )
            return denial_response(denial, WireFormat.RFC, status=403)
        answered = [
            (b"access-control-allow-methods", allowed_methods.encode()),
            (b"access-control-max-age", _MAX_AGE),
            (b"vary", b"Access-Control-Request-Headers"),
        ]
        # Without cookies, no header can do more in a browser than it does in a program.
        asked = headers.get(b"access-control-request-headers", "")
        if _HEADER_NAMES.fullmatch(asked):
            answered.append((b"access-control-allow-headers", asked.encode()))
        return WireResponse(204, tuple(answered), b"")

    def sending(self, headers: Mapping[bytes, str], send: Send) -> Send:
        """Return a ``send`` that adds the headers to the answer of one request."""
        added = [_VARY]  # also without an origin, because a cache may keep the answer
        origin = headers.get(b"origin", "")
        if self._allows(origin):
            shown = "*" if "*" in self._origins else origin
            added += [(b"access-control-allow-origin", shown.encode()), _EXPOSED]

        async def adding(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        return adding

    def _allows(self, origin: str) -> bool:
        return bool(origin) and ("*" in self._origins or origin in self._origins)
