"""A credential as the ``auth`` of httpx, for its client and its asynchronous one."""

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
    """Puts a token into each request, and asks for another where it is refused.

    A token that the resource refuses with 401 is invalidated, and the request sent once more with
    the next one, if its body can be sent again: nothing, bytes, a text, a form, or a file that
    can be rewound. Anything else comes back to the caller as it came. The token goes to no other
    origin: where the resource redirects, httpx drops ``Authorization``; a header of another name
    is dropped at every redirect.

    With ``httpx.AsyncClient`` nothing blocks the event loop: a fresh token comes at once, and a
    new one is fetched in a thread.

    Args:
        credential: What gives the tokens; of a pool, ``pool.credential(name)``.
        header: As for ``Bearer``.
        scheme: As for ``Bearer``.
        origins: As for ``Bearer``. Give it for the ``auth`` of a client that talks to many.
        timeout: Seconds to wait for a token at most; ``math.inf`` waits without end. By default
            the grantway client's.

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
        if not self._bearer.standard and header in httpx.Headers(_Apart({}, header, "")):
            raise ConfigurationError(
                f"header: with httpx {httpx.__version__} a redirect would take {header} to "
                "another host; use Authorization.",
                errors={"header": ["must be Authorization"]},
            )

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response]:
        """Called by ``httpx.Client``."""
        sending = _Sending(self._bearer, request)
        sending.carry(self._credential.token(self._timeout))
        if (again := sending.refused((yield request))) is None:
            return
        self._credential.invalidate(sending.token)
        if sending.rewind(again):
            sending.carry(self._credential.token(self._timeout), again)
            sending.refused((yield again))

    async def async_auth_flow(
        self, request: httpx.Request
    ) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Called by ``httpx.AsyncClient``."""
        sending = _Sending(self._bearer, request)
        sending.carry(await self._credential.token_async(self._timeout))
        if (again := sending.refused((yield request))) is None:
            return
        self._credential.invalidate(sending.token)
        if sending.rewind(again):
            sending.carry(await self._credential.token_async(self._timeout), again)
            sending.refused((yield again))

    def __repr__(self) -> str:
        return f"HttpxAuth({self._credential!r})"


class _Sending:
    """One request on its way."""

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

    def carry(self, token: Token, request: httpx.Request | None = None) -> None:
        """Put the token into the first request, or into the one that is sent again."""
        request = request or self._request
        name, value = self._presentation.header(token)
        if self._bearer.standard:
            request.headers[name] = value
        else:
            request.headers = _Apart(request.headers, name, value)

    def refused(self, response: httpx.Response) -> httpx.Request | None:
        """The request to send again with another token, if that may help."""
        request = response.request  # the last one, where redirects were followed
        carried = (
            request is self._request
            or request.headers.get(self._bearer.header) == self._presentation.value
        )
        challenges = response.headers.get("WWW-Authenticate", "")
        if carried and self._presentation.rejected(response.status_code, challenges):
            return request
        return None

    def rewind(self, request: httpx.Request) -> bool:
        """Whether the body is ready to be sent again."""
        if request.stream is not self._stream:  # a redirect has left it out
            return isinstance(request.stream, httpx.ByteStream)
        return all(body.rewind() for body in self._bodies)


class _Apart(httpx.Headers):
    """Headers with one that is sent and not copied: httpx makes those of redirects by copying."""

    def __init__(self, headers: httpx.Headers | dict[str, str], name: str, value: str) -> None:
        self._apart = (name.encode("ascii"), value.encode("ascii"))
        super().__init__(headers)
        self.pop(name, None)

    @property
    def raw(self) -> list[tuple[bytes, bytes]]:
        """What is sent."""
        return [*super().raw, self._apart]


def _bodies(stream: httpx.SyncByteStream | httpx.AsyncByteStream) -> list[Any]:
    """What a body is read from, as far as it is known; a stream of any other kind is one."""
    if isinstance(stream, httpx.ByteStream):
        return []
    if type(stream).__module__.startswith("httpx."):
        # httpx names neither kind in public. Where they change, nothing is sent again.
        if (fields := getattr(stream, "fields", None)) is not None:
            return [getattr(field, "file", None) for field in fields]
        if isinstance(stream, httpx.SyncByteStream):
            return [getattr(stream, "_stream", stream)]
    return [stream]
