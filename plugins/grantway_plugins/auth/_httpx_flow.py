"""The token in requests of httpx and httpx2, whose classes have the same interface."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Generator
from functools import lru_cache
from typing import Any

from grantway._exceptions import ConfigurationError
from grantway._processes.copies import OneProcess
from grantway._secrets.params import Params

from ._body import Body
from ._exchange import Exchange
from ._presentation import Answer
from ._step_up import StepUpRequiredError

#: Maximum size in bytes of a response that is read before an error closes it.
_SHORT = 65_536


def sync_flow(exchange: Exchange, request: Any) -> Generator[Any, Any]:
    """Send a request with a token for ``Client``.

    Args:
        exchange: The exchange of this request.
        request: The request of httpx or httpx2.
    """
    sending = _Request(exchange, request)
    sending.add(exchange.first(sending.rewind))
    while True:
        response = yield sending.request
        try:
            headers = exchange.next(sending.answer(response), response, sending.rewind)
        except StepUpRequiredError:
            if _is_short(response):
                response.read()
            raise
        if headers is None:
            return
        sending.add(headers)


async def async_flow(exchange: Exchange, request: Any) -> AsyncGenerator[Any, Any]:
    """Send a request with a token for ``AsyncClient``."""
    sending = _Request(exchange, request)
    sending.add(await exchange.first_async(sending.rewind))
    while True:
        response = yield sending.request
        try:
            headers = await exchange.next_async(sending.answer(response), response, sending.rewind)
        except StepUpRequiredError:
            if _is_short(response):
                await response.aread()
            raise
        if headers is None:
            return
        sending.add(headers)


class _Request(OneProcess):
    """The request that is sent, or the last one of its redirects."""

    stays = "it belongs to one request"

    def __init__(self, exchange: Exchange, request: Any) -> None:
        self.request = request
        self._exchange = exchange
        self._first = True
        self._stream = request.stream
        self._bodies = [Body(each) for each in _bodies(request.stream)]
        self._header = "Authorization"

    def add(self, headers: Params) -> None:
        """Add the headers to the request that is sent next."""
        self._header = next(iter(headers), self._header)
        kind: type = type(self.request.headers)
        if headers.keys() <= {"Authorization"} and not self._exchange.sent.private:
            self.request.headers.update(headers)
        elif headers:
            # httpx would send these on a redirect to another host or path as well.
            self.request.headers = _private(kind)(self.request.headers, headers)

    def answer(self, response: Any) -> Answer:
        """Return the parts of the response, after redirects, that concern authentication."""
        sent, self.request = self.request, response.request
        headers = response.headers
        return Answer(
            response.status_code,
            headers.get("WWW-Authenticate", ""),
            headers.get("DPoP-Nonce", ""),
            self.request.method,
            str(self.request.url),
            self.request is sent
            or self.request.headers.get(self._header) == self._exchange.sent.value,
        )

    def rewind(self) -> bool:
        """Rewind the body, and return whether it can be sent again."""
        if self.request.stream is not self._stream:  # a redirect has dropped the body
            return _in_memory(self.request.stream)
        return all(body.rewind() for body in self._bodies)


@lru_cache(16)
def _private(headers: Any) -> Any:
    """Return a class of headers, some of which copies lack, so that redirects do not repeat them.

    Args:
        headers: The class ``Headers`` of httpx or httpx2, or one that this function returned.
    """
    if hasattr(headers, "private_of"):
        return headers

    class Private(headers):  # type: ignore[misc]
        private_of = headers

        def __init__(self, others: Any, private: Params) -> None:
            self._private: list[tuple[bytes, bytes]] = []
            super().__init__(others)
            for name in private:
                self.pop(name, None)
            self._private = [
                (name.encode("ascii"), value.encode("ascii")) for name, value in private.items()
            ]

        def __getitem__(self, name: str) -> str:
            wanted = name.lower().encode("utf-8")
            found = [value for each, value in self._private if each.lower() == wanted]
            return found[0].decode("ascii") if found else str(super().__getitem__(name))

        def __contains__(self, name: object) -> bool:
            return self.get(name) is not None

        def __setitem__(self, name: str, value: str) -> None:
            self.pop(name, None)
            super().__setitem__(name, value)

        def __delitem__(self, name: str) -> None:
            wanted = name.lower().encode("utf-8")
            kept = [each for each in self._private if each[0].lower() != wanted]
            if len(kept) == len(self._private):
                super().__delitem__(name)
            self._private = kept

        @property
        def raw(self) -> list[tuple[bytes, bytes]]:
            """All headers to send."""
            return [*super().raw, *self._private]

    _check_private(headers, Private)
    return Private


def _check_private(headers: Any, private: Any) -> None:
    """Check that copies of the class for private headers lack them.

    Raises:
        ConfigurationError: They have them, in this version of the library.
    """
    secret = Params({"Authorization": "secret"})
    if "Authorization" in headers(private({}, secret)):
        library = headers.__module__.partition(".")[0]
        version = getattr(sys.modules.get(library), "__version__", "")
        raise ConfigurationError(
            f"header: {library} {version} would send the token to another host on a redirect; use "
            "another version of it, or a bearer token in Authorization.",
            errors={"header": ["must be Authorization"]},
        )


def _is_short(response: Any) -> bool:
    length = response.headers.get("Content-Length", "")
    return length.isdecimal() and int(length) <= _SHORT


def _in_memory(stream: Any) -> bool:
    return type(stream).__name__ == "ByteStream" and _is_theirs(stream)


def _is_theirs(stream: Any) -> bool:
    return type(stream).__module__.partition(".")[0] in ("httpx", "httpx2")


def _bodies(stream: Any) -> list[Any]:
    """Return the sources that the stream reads from; an unknown stream is its own source."""
    if _in_memory(stream):
        return []
    if _is_theirs(stream):
        # Neither class is public in httpx. If they change, requests are not sent again.
        if (fields := getattr(stream, "fields", None)) is not None:
            return [getattr(field, "file", None) for field in fields]
        if hasattr(stream, "__iter__"):
            return [getattr(stream, "_stream", stream)]
    return [stream]
