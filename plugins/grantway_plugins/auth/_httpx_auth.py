"""The ``auth`` of httpx clients, synchronous and asynchronous, based on a credential."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Generator
from typing import Any

import httpx

from grantway._exceptions import ConfigurationError
from grantway._types.quantity import check_wait
from grantway._types.token import Token

from ._bearer import Bearer, TokenSource
from ._body import Body


class HttpxAuth(httpx.Auth):
    """Adds a token to each request, and retries once with a new token after a 401.

    If the resource rejects the token with 401, the token is invalidated and the request is sent
    once more with the next token, provided that its body can be sent again: no body, bytes, text,
    a form, or a seekable file. Otherwise the caller gets the 401. Other origins do not receive the
    token: httpx drops ``Authorization`` when a redirect leads to another origin, and this class
    drops a header with another name on every redirect.

    With ``httpx.AsyncClient``, the event loop is not blocked: a fresh token is returned at once,
    and a refresh runs in a thread.

    Args:
        credential: Source of tokens; for a pool, ``pool.credential(name)``.
        header: As for ``Bearer``.
        scheme: As for ``Bearer``.
        origins: As for ``Bearer``. Set it if the httpx client sends requests to several origins.
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
        if not self._bearer.standard and header in httpx.Headers(_WithSecretHeader({}, header, "")):
            raise ConfigurationError(
                f"header: httpx {httpx.__version__} would send {header} to another host on a "
                "redirect; use Authorization.",
                errors={"header": ["must be Authorization"]},
            )

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response]:
        """Send a request with a token for ``httpx.Client``."""
        sending = _AuthenticatedRequest(self._bearer, request)
        sending.add_token(self._credential.token(self._timeout))
        if (again := sending.request_to_retry((yield request))) is None:
            return
        self._credential.invalidate(sending.token)
        if sending.rewind(again):
            sending.add_token(self._credential.token(self._timeout), again)
            sending.request_to_retry((yield again))

    async def async_auth_flow(
        self, request: httpx.Request
    ) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Send a request with a token for ``httpx.AsyncClient``."""
        sending = _AuthenticatedRequest(self._bearer, request)
        sending.add_token(await self._credential.token_async(self._timeout))
        if (again := sending.request_to_retry((yield request))) is None:
            return
        self._credential.invalidate(sending.token)
        if sending.rewind(again):
            sending.add_token(await self._credential.token_async(self._timeout), again)
            sending.request_to_retry((yield again))

    def __repr__(self) -> str:
        return f"HttpxAuth({self._credential!r})"


class _AuthenticatedRequest:
    """One request and the presentation of its token."""

    def __init__(self, bearer: Bearer, request: httpx.Request) -> None:
        self._bearer = bearer
        self._request = request
        url = request.url
        self._presentation = bearer.present(f"{url.scheme}://{url.netloc.decode('ascii')}")
        self._stream = request.stream
        self._bodies = [Body(each) for each in _bodies(request.stream)]

    @property
    def token(self) -> Token:
        return self._presentation.token

    def add_token(self, token: Token, request: httpx.Request | None = None) -> None:
        """Add the token to the first request, or to its retry."""
        request = request or self._request
        name, value = self._presentation.header(token)
        if self._bearer.standard:
            request.headers[name] = value
        else:
            request.headers = _WithSecretHeader(request.headers, name, value)

    def request_to_retry(self, response: httpx.Response) -> httpx.Request | None:
        """Return the request to retry with another token, or None if a retry cannot help."""
        request = response.request  # the last request, if redirects were followed
        has_token = (
            request is self._request
            or request.headers.get(self._bearer.header) == self._presentation.value
        )
        challenges = response.headers.get("WWW-Authenticate", "")
        if has_token and self._presentation.rejected(response.status_code, challenges):
            return request
        return None

    def rewind(self, request: httpx.Request) -> bool:
        """Rewind the body, and return whether it can be sent again."""
        if request.stream is not self._stream:  # a redirect has dropped the body
            return isinstance(request.stream, httpx.ByteStream)
        return all(body.rewind() for body in self._bodies)


class _WithSecretHeader(httpx.Headers):
    """Headers with one more that copies lack, so that httpx does not send it on a redirect."""

    def __init__(self, headers: httpx.Headers | dict[str, str], name: str, value: str) -> None:
        self._secret = (name.encode("ascii"), value.encode("ascii"))
        super().__init__(headers)
        self.pop(name, None)

    @property
    def raw(self) -> list[tuple[bytes, bytes]]:
        """All headers to send."""
        return [*super().raw, self._secret]


def _bodies(stream: httpx.SyncByteStream | httpx.AsyncByteStream) -> list[Any]:
    """Return the sources that the stream reads from; an unknown stream is its own source."""
    if isinstance(stream, httpx.ByteStream):
        return []
    if type(stream).__module__.startswith("httpx."):
        # Neither class is public in httpx. If they change, requests are not sent again.
        if (fields := getattr(stream, "fields", None)) is not None:
            return [getattr(field, "file", None) for field in fields]
        if isinstance(stream, httpx.SyncByteStream):
            return [getattr(stream, "_stream", stream)]
    return [stream]
