"""The ``auth`` of requests, based on a credential."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from requests import PreparedRequest, Response
from requests.auth import AuthBase

from grantway._types.quantity import check_wait

from ._bearer import Bearer, Presentation, TokenSource
from ._body import Body

#: Maximum size in bytes of a 401 response that is read so that its connection can be reused.
_SHORT = 65_536


class RequestsAuth(AuthBase):
    """Adds a token to each request, and retries once with a new token after a 401.

    If the resource rejects the token with 401, the token is invalidated and the request is sent
    once more with the next token, provided that its body can be sent again: no body, bytes, text,
    or a seekable file. Otherwise the caller gets the 401. Other origins do not receive the token:
    requests drops ``Authorization`` when a redirect leads to another origin, and this class drops
    a header with another name on every redirect.

    Args:
        credential: Source of tokens; for a pool, ``pool.credential(name)``.
        header: As for ``Bearer``.
        scheme: As for ``Bearer``.
        origins: As for ``Bearer``. Set it if the session sends requests to several origins.
        timeout: Maximum seconds to wait for a token; ``math.inf`` for no limit. By default the
            timeout of the grantway client.

    Raises:
        ConfigurationError: As for ``Bearer``. A request raises the errors of ``Bearer.present`` and
            ``Credential.token``; it is not sent in that case.
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
        """Add the token to a prepared request."""
        presentation = self._bearer.present(r.url or "")
        self._add_token(presentation, r)
        body = Body(r.body)

        def on_response(response: Response, **options: Any) -> Response:
            return self._on_response(presentation, body, response, options)

        r.register_hook("response", on_response)  # type: ignore[no-untyped-call]
        return r

    def __repr__(self) -> str:
        return f"RequestsAuth({self._credential!r})"

    def _add_token(self, presentation: Presentation, request: PreparedRequest) -> None:
        name, value = presentation.header(self._credential.token(self._timeout))
        request.headers[name] = value

    def _on_response(
        self, presentation: Presentation, body: Body, response: Response, options: dict[str, Any]
    ) -> Response:
        """Process every response, including redirects before they are followed."""
        request, name = response.request, self._bearer.header
        # A redirect may have removed the token.
        if request.headers.get(name) == presentation.value and presentation.rejected(
            response.status_code, response.headers.get("WWW-Authenticate", "")
        ):
            self._credential.invalidate(presentation.token)
            response = self._retry(presentation, body, response, options)
        if response.is_redirect and not self._bearer.standard:
            # requests copies this request for the redirect and drops only Authorization. The target
            # is not known before requests has parsed the Location header, so always drop this one.
            request.headers.pop(name, None)
        return response

    def _retry(
        self, presentation: Presentation, body: Body, response: Response, options: dict[str, Any]
    ) -> Response:
        request = response.request
        if request.body is not None and not body.rewind():
            return response
        # Send the same request object again, because requests builds redirects from it. The first
        # response keeps a copy of the request as it was sent.
        response.request = request.copy()
        try:
            self._add_token(presentation, request)
        finally:
            _release(response)
        again: Response = response.connection.send(request, **options)
        again.history.append(response)
        presentation.rejected(again.status_code, again.headers.get("WWW-Authenticate", ""))
        return again


def _release(response: Response) -> None:
    """Read a short response, so that its connection can be reused, and close a long one."""
    length = response.headers.get("Content-Length", "")
    if length.isdecimal() and int(length) <= _SHORT:
        _ = response.content
    response.close()
