"""The token in requests of the library requests."""

from __future__ import annotations

from functools import partial
from typing import Any

from requests import PreparedRequest, Response

from grantway._processes.copies import OneProcess

from ._body import Body
from ._exchange import Exchange
from ._presentation import Answer

#: Maximum size in bytes of a response that is read so that its connection can be reused.
SHORT = 65_536


class RequestsFlow(OneProcess):
    """One prepared request, its redirects and retries.

    Args:
        exchange: The exchange of this request.
        request: The request.
    """

    stays = "it belongs to one request"

    def __init__(self, exchange: Exchange, request: PreparedRequest) -> None:
        self._exchange = exchange
        self._body = Body(request.body)
        self._names = [*(headers := exchange.first(partial(self._rewind, request)))]
        request.headers.update(headers)
        request.register_hook("response", self.on_response)  # type: ignore[no-untyped-call]

    def on_response(self, response: Response, **options: Any) -> Response:
        """Process every response, including redirects before they are followed."""
        while True:
            request = response.request
            if response.is_redirect:
                self._drop(request)
                return response
            answer = Answer(
                response.status_code,
                response.headers.get("WWW-Authenticate", ""),
                response.headers.get("DPoP-Nonce", ""),
                request.method or "",
                request.url or "",
                # A redirect may have removed the token.
                bool(self._names)
                and request.headers.get(self._names[0]) == self._exchange.sent.value,
            )
            try:
                headers = self._exchange.next(answer, response, partial(self._rewind, request))
            except BaseException:
                _release(response)
                raise
            if headers is None:
                return response
            # Send the same request object again, because requests builds redirects from it. The
            # first response keeps a copy of the request as it was sent.
            response.request = request.copy()
            request.headers.update(headers)
            self._names = [*headers]
            _release(response)
            again: Response = response.connection.send(request, **options)
            again.history.append(response)
            response = again

    def _rewind(self, request: PreparedRequest) -> bool:
        return request.body is None or self._body.rewind()

    def _drop(self, request: PreparedRequest) -> None:
        """Remove what a redirect must not repeat, as requests copies this request for it.

        requests itself removes ``Authorization`` if the redirect leads to another origin. The
        target is not known here, so a header with another name, a proof, or a token for certain
        paths is always removed.
        """
        if self._names != ["Authorization"] or self._exchange.sent.private:
            for name in self._names:
                request.headers.pop(name, None)


def _release(response: Response) -> None:
    """Read a short response, so that its connection can be reused, and close a long one."""
    length = response.headers.get("Content-Length", "")
    if length.isdecimal() and int(length) <= SHORT:
        _ = response.content
    response.close()
