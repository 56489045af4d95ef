"""A token endpoint's rules (RFC 6749 section 3.2, AWS CreateToken), without any framework."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Protocol

from grantway._exceptions import ConfigurationError
from grantway._processes.copies import OneProcess
from grantway._transport.http import HttpResponse
from grantway._types.quantity import check_seconds
from grantway_plugins.server._http.asgi import BodyProblem
from grantway_plugins.server._http.denial import Denial, DenialError
from grantway_plugins.server._http.incoming_request import (
    IncomingRequest,
    method_not_allowed,
    repeated_header_response,
)
from grantway_plugins.server._http.parameters import grant_type_of, unsupported_grant_type
from grantway_plugins.server._http.repeated_headers import repeated_header
from grantway_plugins.server._http.wire import BODY_TIME, WireRequest, WireResponse

from .streams import Readable, length_of, read_stream, within_cap

if TYPE_CHECKING:
    from .asgi import AsgiTokenEndpoint
    from .wsgi import WsgiTokenEndpoint

_log = logging.getLogger("grantway.gateway")


class TokenBackend(Protocol):
    """What gives the tokens: ``Broker``, ``EmbeddedIssuer``, or one of your own."""

    @property
    def repeatable(self) -> frozenset[str]:
        """Parameters of a form that may be repeated."""
        ...

    def settle(self, request: WireRequest) -> WireResponse | Denial:
        """Settle a request; may block. Raises ``DenialError`` for what it refuses at once."""
        ...

    async def asettle(self, request: WireRequest) -> WireResponse | Denial:
        """The same, without blocking the event loop."""
        ...


class TokenEndpoint(OneProcess):
    """A token endpoint to mount: by ``asgi``, by ``wsgi``, or by ``answer`` for all else.

    A form is RFC 6749, JSON is AWS's CreateToken, and the answer speaks the same. Every grant that
    is registered is served, also one that is registered later.

    Args:
        settlement: What gives the tokens.
        allow: The grant types that are served; by default all that the settlement knows.
        body_seconds: How long a sender may take for its body, under ASGI. Under WSGI the server
            decides.

    Raises:
        ConfigurationError: an argument cannot work; names it.
    """

    def __init__(
        self,
        settlement: TokenBackend,
        *,
        allow: Iterable[str] | None = None,
        body_seconds: float = BODY_TIME,
    ) -> None:
        if isinstance(allow, str):
            raise ConfigurationError(f'allow: must be a list of grant types, like ["{allow:.80}"].')
        check_seconds("body_seconds", body_seconds)
        self.body_seconds = body_seconds
        self._settlement = settlement
        self._allow = None if allow is None else dict.fromkeys(allow)

    @property
    def asgi(self) -> AsgiTokenEndpoint:
        """The endpoint as an ASGI application, whatever its path."""
        from .asgi import AsgiTokenEndpoint  # noqa: PLC0415 - only where it is needed

        return AsgiTokenEndpoint(self)

    @property
    def wsgi(self) -> WsgiTokenEndpoint:
        """The endpoint as a WSGI application, whatever its path."""
        from .wsgi import WsgiTokenEndpoint  # noqa: PLC0415 - the same

        return WsgiTokenEndpoint(self)

    def answer(
        self, method: str | None, headers: Mapping[str, str], body: bytes | Readable
    ) -> HttpResponse:
        """Answer a request that a framework has taken apart. May block.

        Args:
            method: Of the request.
            headers: Of the request; names in any case.
            body: The body, or something to read it from.

        Returns:
            The answer. Its header names are lower-case, and the length is left to the server.
        """
        pairs = [
            (name.lower().encode("latin-1", "replace"), value) for name, value in headers.items()
        ]
        opened = self.open(method or "", pairs)
        if isinstance(opened, IncomingRequest):
            if isinstance(body, bytes):
                taken = within_cap(body)
            else:
                length = length_of(dict(pairs).get(b"content-length"))
                taken = length if isinstance(length, BodyProblem) else read_stream(body, length)
            answer = self.settle(opened, taken)
        else:
            answer = opened
        found = {name.decode(): value.decode() for name, value in answer.headers}
        found.pop("connection", None)  # between the server and its client
        return HttpResponse(answer.status, found, answer.body)

    def open(
        self, method: str, headers: Iterable[tuple[bytes, str]]
    ) -> IncomingRequest | WireResponse:
        """Judge a request before its body is read; for adapters.

        Args:
            method: Of the request.
            headers: Pairs with lower-case names.
        """
        pairs = list(headers)
        incoming = IncomingRequest(dict(pairs))
        if method != "POST":
            return method_not_allowed("POST", incoming.response_dialect)
        repeated = repeated_header(pairs)
        if repeated is not None:
            return repeated_header_response(repeated, incoming.response_dialect)
        return incoming

    def settle(self, incoming: IncomingRequest, body: bytes | BodyProblem) -> WireResponse:
        """Answer a request that was opened; may block; for adapters."""
        request = self._request(incoming, body)
        if isinstance(request, WireResponse):
            return request
        try:
            outcome = self._settlement.settle(request)
        except DenialError as refused:
            outcome = refused.denial
        except Exception as error:  # noqa: BLE001 - the last line: an answer, and no secret in it
            outcome = _failed(error)
        return incoming.response(outcome)

    async def asettle(self, incoming: IncomingRequest, body: bytes | BodyProblem) -> WireResponse:
        """Answer a request that was opened, without blocking; for adapters."""
        request = self._request(incoming, body)
        if isinstance(request, WireResponse):
            return request
        try:
            outcome = await self._settlement.asettle(request)
        except DenialError as refused:
            outcome = refused.denial
        except Exception as error:  # noqa: BLE001 - the same
            outcome = _failed(error)
        return incoming.response(outcome)

    def _request(
        self, incoming: IncomingRequest, body: bytes | BodyProblem
    ) -> WireRequest | WireResponse:
        if isinstance(body, BodyProblem):
            return body.response(incoming.response_dialect)
        unread = incoming.unsupported_media_type(body)
        if unread is not None:
            return unread
        try:
            request = incoming.parse(body, self._settlement.repeatable)
            self._check(request)
        except DenialError as refused:
            return incoming.response(refused.denial)
        return request

    def _check(self, request: WireRequest) -> None:
        """Check what needs no settlement.

        Raises:
            DenialError: the grant type is missing or not served.
        """
        grant_type = grant_type_of(request)
        if self._allow is not None and grant_type not in self._allow:
            raise unsupported_grant_type(self._allow)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._settlement!r})"


def _failed(error: Exception) -> Denial:
    _log.error("A token request failed: %s", type(error).__name__)
    return Denial("server_error", "The gateway failed")
