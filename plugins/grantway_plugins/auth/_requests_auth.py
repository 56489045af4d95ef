"""A credential as the ``auth`` of requests."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from requests import PreparedRequest, Response
from requests.auth import AuthBase

from grantway._types.quantity import check_wait

from ._bearer import Bearer, Presentation, TokenSource
from ._body import Body

#: Bytes of a refused answer that are read to use its connection again.
_SHORT = 65_536


class RequestsAuth(AuthBase):
    """Puts a token into each request, and asks for another where it is refused.

    A token that the resource refuses with 401 is invalidated, and the request sent once more with
    the next one, if its body can be sent again: nothing, bytes, a text, or a file that can be
    rewound. Anything else comes back to the caller as it came. The token goes to no other origin:
    where the resource redirects, requests drops ``Authorization``; a header of another name is
    dropped at every redirect.

    Args:
        credential: What gives the tokens; of a pool, ``pool.credential(name)``.
        header: As for ``Bearer``.
        scheme: As for ``Bearer``.
        origins: As for ``Bearer``. Give it for the ``auth`` of a session that talks to many.
        timeout: Seconds to wait for a token at most; ``math.inf`` waits without end. By default
            the client's.

    Raises:
        ConfigurationError: as for ``Bearer``. A request raises what ``Bearer.present`` and
            ``Credential.token`` raise, and is not sent then.
    """

    def __init__(
        self,
        credential: TokenSource,
        *,
        header: str = "Authorization",
        scheme: str | None = None,
        origins: Collection[str] = (),
        timeout: float | None = None,
    ) -> None:
        self._credential = credential
        self._bearer = Bearer(header=header, scheme=scheme, origins=origins)
        self._timeout = check_wait(timeout)

    def __call__(self, r: PreparedRequest) -> PreparedRequest:
        """Called by requests, once a request is complete."""
        sending = self._bearer.present(r.url or "")
        self._carry(sending, r)
        body = Body(r.body)

        def answered(response: Response, **options: Any) -> Response:
            return self._answered(sending, body, response, options)

        r.register_hook("response", answered)  # type: ignore[no-untyped-call]
        return r

    def __repr__(self) -> str:
        return f"RequestsAuth({self._credential!r})"

    def _carry(self, sending: Presentation, request: PreparedRequest) -> None:
        name, value = sending.header(self._credential.token(self._timeout))
        request.headers[name] = value

    def _answered(
        self, sending: Presentation, body: Body, response: Response, options: dict[str, Any]
    ) -> Response:
        """Called for every answer, those of redirects included, before they are followed."""
        request, name = response.request, self._bearer.header
        # A redirect may have taken the token away.
        if request.headers.get(name) == sending.value and sending.rejected(
            response.status_code, response.headers.get("WWW-Authenticate", "")
        ):
            self._credential.invalidate(sending.token)
            response = self._again(sending, body, response, options)
        if response.is_redirect and not self._bearer.standard:
            # The next request is made of this one. requests drops Authorization alone, and where
            # it goes is known to nobody before it has read the address in its own way.
            request.headers.pop(name, None)
        return response

    def _again(
        self, sending: Presentation, body: Body, response: Response, options: dict[str, Any]
    ) -> Response:
        request = response.request
        if request.body is not None and not body.rewind():
            return response
        # The request itself is sent again, for requests makes those of redirects from it; the
        # answer keeps a copy, as it was.
        response.request = request.copy()
        try:
            self._carry(sending, request)
        finally:
            _release(response)
        again: Response = response.connection.send(request, **options)
        again.history.append(response)
        sending.rejected(again.status_code, again.headers.get("WWW-Authenticate", ""))
        return again


def _release(response: Response) -> None:
    """Read a short answer, which frees its connection for the next request; give up a long one."""
    length = response.headers.get("Content-Length", "")
    if length.isdecimal() and int(length) <= _SHORT:
        _ = response.content
    response.close()
