"""An endpoint of the issuer that accepts POST requests in the dialects of AWS and RFC 6749."""

from __future__ import annotations

from collections.abc import Mapping

from grantway._processes.copies import OneProcess
from grantway_plugins.server._http.asgi import BodyProblem, Receive, checked_body, read_body
from grantway_plugins.server._http.denial import DenialError
from grantway_plugins.server._http.incoming_request import (
    NO_IAM,
    IncomingRequest,
    method_not_allowed,
    names_iam,
)
from grantway_plugins.server._http.wire import WireFormat, WireRequest, WireResponse
from grantway_plugins.server._listening.direct import Respond

from .endpoints.token import create_token
from .execution import Execution, Prepare


class PostEndpoint(OneProcess):
    """A POST endpoint.

    Args:
        path: Its path.
        prepare: Validates a request and returns the work to run in a transaction.
        accepts: Dialects that the endpoint accepts.
        response_dialect: Dialect of the responses; by default that of the request.
        execution: Runs the work.
        repeatable: Names of form parameters that may be repeated.
        body_seconds: Time limit for a request body, in seconds.
    """

    #: The allowed methods, for ``Allow`` and CORS.
    methods = "POST"
    #: Whether web pages of other origins may use the endpoint, if CORS is enabled.
    cors = True

    def __init__(
        self,
        path: str,
        prepare: Prepare,
        accepts: frozenset[WireFormat],
        response_dialect: WireFormat | None = None,
        *,
        execution: Execution,
        repeatable: frozenset[str],
        body_seconds: float,
    ) -> None:
        self._path = path
        self._prepare = prepare
        self._accepts = accepts
        self._response_dialect = response_dialect
        self._execution = execution
        self._repeatable = repeatable
        self._body_seconds = body_seconds

    async def respond(
        self, method: str, query: bytes, headers: Mapping[bytes, str], peer: str, receive: Receive
    ) -> WireResponse:
        """Return the response to a request; the arguments are those of ``ServedEndpoint``."""
        if method != "POST":
            return method_not_allowed("POST", self._response_dialect or WireFormat.RFC)
        incoming = self._incoming(headers, peer)
        body = await read_body(headers, receive, seconds=self._body_seconds)
        request = self._parsed(incoming, body, query)
        if isinstance(request, WireResponse):
            return request
        return incoming.response(await self._execution.run(self._prepare, request))

    def answer(
        self, headers: Mapping[bytes, str], body: bytes, peer: str, respond: Respond
    ) -> None:
        """Respond to a complete request without a query, without a task."""
        incoming = self._incoming(headers, peer)
        request = self._parsed(incoming, checked_body(body), b"")
        if isinstance(request, WireResponse):
            respond(request)
        else:
            self._execution.start(
                self._prepare, request, lambda outcome: respond(incoming.response(outcome))
            )

    def _incoming(self, headers: Mapping[bytes, str], peer: str) -> IncomingRequest:
        return IncomingRequest(
            headers, self._accepts, self._response_dialect, peer=peer, path=self._path
        )

    def _parsed(
        self, incoming: IncomingRequest, body: bytes | BodyProblem, query: bytes
    ) -> WireRequest | WireResponse:
        """Return a parsed request, or the response that rejects it."""
        if isinstance(body, BodyProblem):
            return body.response(incoming.response_dialect)
        unsupported = incoming.unsupported_media_type(body)
        if unsupported is not None:
            return unsupported
        if query and self._prepare is create_token and names_iam(query):
            return incoming.response(NO_IAM)
        try:
            return incoming.parse(body, self._repeatable)
        except DenialError as error:
            return incoming.response(error.denial)
