"""Token endpoint (RFC 6749 section 3.2, AWS CreateToken), independent of any framework."""

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
from grantway_plugins.server._http.headers import joined
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
    """Responds to parsed token requests: ``Broker``, ``EmbeddedIssuer`` or your own class."""

    @property
    def repeatable(self) -> frozenset[str]:
        """Form parameters that may be repeated."""
        ...

    def respond(self, request: WireRequest) -> WireResponse | Denial:
        """Return the response to a request; may block.

        Raises:
            DenialError: The request is rejected.
        """
        ...

    async def arespond(self, request: WireRequest) -> WireResponse | Denial:
        """Do the same as ``respond`` without blocking the event loop."""
        ...


class TokenEndpoint(OneProcess):
    """A token endpoint. Mount it as ``asgi`` or ``wsgi``, or call ``respond`` in other frameworks.

    Forms are RFC 6749 requests and JSON is AWS's CreateToken; the response has the same format.
    All registered grants are available, including those that are registered later.

    Args:
        backend: Backend that responds to the parsed requests.
        allow: Grant types to accept; by default all that the backend supports.
        body_seconds: Time limit in seconds for receiving a request body, under ASGI. Under WSGI
            the server sets the limit.

    Raises:
        ConfigurationError: An argument is invalid; the error names it.
    """

    def __init__(
        self,
        backend: TokenBackend,
        *,
        allow: Iterable[str] | None = None,
        body_seconds: float = BODY_TIME,
    ) -> None:
        if isinstance(allow, str):
            raise ConfigurationError(f'allow: must be a list of grant types, like ["{allow:.80}"].')
        check_seconds("body_seconds", body_seconds)
        self.body_seconds = body_seconds
        self._backend = backend
        self._allow = None if allow is None else dict.fromkeys(allow)

    @property
    def asgi(self) -> AsgiTokenEndpoint:
        """The endpoint as an ASGI application for any path."""
        from .asgi import AsgiTokenEndpoint  # noqa: PLC0415 - imports this module

        return AsgiTokenEndpoint(self)

    @property
    def wsgi(self) -> WsgiTokenEndpoint:
        """The endpoint as a WSGI application for any path."""
        from .wsgi import WsgiTokenEndpoint  # noqa: PLC0415 - imports this module

        return WsgiTokenEndpoint(self)

    def respond(
        self,
        method: str | None,
        headers: Mapping[str, str],
        body: bytes | Readable,
        *,
        peer: str = "",
    ) -> HttpResponse:
        """Return the response to a request of any framework; may block.

        Args:
            method: The HTTP method.
            headers: The headers; names are case-insensitive.
            body: The body, or a file-like object to read it from.
            peer: Address that sent the request, for issuer grants.

        Returns:
            The response, with lower-case header names and without ``content-length``.
        """
        pairs = [
            (name.lower().encode("latin-1", "replace"), value) for name, value in headers.items()
        ]
        response = self.open(method or "", pairs, peer)
        if isinstance(response, IncomingRequest):
            content: bytes | BodyProblem
            if isinstance(body, bytes):
                content = within_cap(body)
            else:
                length = length_of(dict(pairs).get(b"content-length"))
                content = length if isinstance(length, BodyProblem) else read_stream(body, length)
            response = self.complete(response, content)
        found = {name.decode(): value.decode() for name, value in response.headers}
        found.pop("connection", None)  # the server sets it
        return HttpResponse(response.status, found, response.body)

    def open(
        self, method: str, headers: Iterable[tuple[bytes, str]], peer: str = ""
    ) -> IncomingRequest | WireResponse:
        """Check a request before its body is read; for adapters.

        Args:
            method: The HTTP method.
            headers: Pairs of lower-case name and value.
            peer: Address that sent the request; empty if unknown.

        Returns:
            The request, or the response that rejects it.
        """
        pairs = list(headers)
        incoming = IncomingRequest(joined(pairs), peer=peer)
        if method != "POST":
            return method_not_allowed("POST", incoming.response_dialect)
        repeated = repeated_header(pairs)
        if repeated is not None:
            return repeated_header_response(repeated, incoming.response_dialect)
        return incoming

    def complete(self, incoming: IncomingRequest, body: bytes | BodyProblem) -> WireResponse:
        """Return the response to a request from ``open`` and its body; may block; for adapters."""
        request = self._request(incoming, body)
        if isinstance(request, WireResponse):
            return request
        try:
            outcome = self._backend.respond(request)
        except DenialError as error:
            outcome = error.denial
        except Exception as error:  # noqa: BLE001 - turned into a response without secrets
            outcome = _failed(error)
        return incoming.response(outcome)

    async def acomplete(self, incoming: IncomingRequest, body: bytes | BodyProblem) -> WireResponse:
        """Do the same as ``complete`` without blocking the event loop."""
        request = self._request(incoming, body)
        if isinstance(request, WireResponse):
            return request
        try:
            outcome = await self._backend.arespond(request)
        except DenialError as error:
            outcome = error.denial
        except Exception as error:  # noqa: BLE001 - turned into a response without secrets
            outcome = _failed(error)
        return incoming.response(outcome)

    def _request(
        self, incoming: IncomingRequest, body: bytes | BodyProblem
    ) -> WireRequest | WireResponse:
        if isinstance(body, BodyProblem):
            return body.response(incoming.response_dialect)
        unsupported = incoming.unsupported_media_type(body)
        if unsupported is not None:
            return unsupported
        try:
            request = incoming.parse(body, self._backend.repeatable)
            self._check(request)
        except DenialError as error:
            return incoming.response(error.denial)
        return request

    def _check(self, request: WireRequest) -> None:
        """Check the grant type.

        Raises:
            DenialError: It is missing or not allowed.
        """
        grant_type = grant_type_of(request)
        if self._allow is not None and grant_type not in self._allow:
            raise unsupported_grant_type(self._allow)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._backend!r})"


def _failed(error: Exception) -> Denial:
    _log.error("A token request failed: %s", type(error).__name__)
    return Denial("server_error", "The gateway failed")
