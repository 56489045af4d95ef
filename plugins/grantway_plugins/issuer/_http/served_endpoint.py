"""Serve an endpoint of an extension: limits, parsing, authentication and response."""

from __future__ import annotations

import math
from collections.abc import Mapping

from grantway._processes.copies import OneProcess
from grantway_plugins.issuer._decisions.authentication import (
    authenticate,
    credentials_of,
    issuer_request,
)
from grantway_plugins.issuer._decisions.confirmation import is_confirmed, use_proof
from grantway_plugins.issuer._decisions.issuer import Issuer
from grantway_plugins.issuer._decisions.plugin_calls import call_plugin
from grantway_plugins.issuer._decisions.rate_limit import PeerRateLimit
from grantway_plugins.issuer._decisions.tokens.access_token import find_access_token
from grantway_plugins.issuer._extensions.additions import WITH_BODY, Endpoint
from grantway_plugins.issuer._extensions.reply import Reply, response_to
from grantway_plugins.issuer._extensions.request import IssuerRequest
from grantway_plugins.issuer._storage.records import AccessTokenRecord
from grantway_plugins.issuer._storage.transaction import Transaction
from grantway_plugins.issuer._storage.unit_of_work import UnitOfWork
from grantway_plugins.server._http.asgi import BodyProblem, Receive, checked_body, read_body
from grantway_plugins.server._http.denial import Denial, DenialError
from grantway_plugins.server._http.incoming_request import IncomingRequest, method_not_allowed
from grantway_plugins.server._http.wire import (
    WireFormat,
    WireRequest,
    WireResponse,
    denial_response,
)
from grantway_plugins.server._listening.direct import Respond

from .execution import Execution, Prepare

#: Credentials that logs of URLs would contain (RFC 6749 section 2.3.1, RFC 6750 section 2.3).
_NOT_IN_URL = ("client_secret", "client_assertion", "access_token")
_FORMATS = {"form": WireFormat.RFC, "json": WireFormat.AWS}
#: Status of the errors that have a challenge (RFC 6750 section 3.1, RFC 9449 section 7.1).
_CHALLENGE_STATUS = {
    "invalid_token": 401,
    "insufficient_scope": 403,
    "invalid_dpop_proof": 401,
    "use_dpop_nonce": 401,
}


class ServedEndpoint(OneProcess):
    """An endpoint of an extension.

    Args:
        endpoint: The endpoint.
        extension: The extension, for errors.
        plugin: Its plugin.
        execution: Runs the handler.
        body_seconds: Time limit for a request body, in seconds.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        extension: str,
        plugin: str,
        execution: Execution,
        *,
        body_seconds: float,
    ) -> None:
        self._endpoint = endpoint
        self._extension = extension
        self._plugin = plugin
        self._execution = execution
        self._body_seconds = body_seconds
        self._accepts = frozenset(_FORMATS[each] for each in endpoint.accepts)
        self._limit = None if endpoint.per_minute is None else PeerRateLimit(endpoint.per_minute)
        self._methods = (*endpoint.methods, *(["HEAD"] if "GET" in endpoint.methods else []))
        #: The allowed methods, for ``Allow`` and CORS.
        self.methods = ", ".join(self._methods)
        #: Whether web pages of other origins may use the endpoint, if CORS is enabled.
        self.cors = endpoint.cors

    async def respond(
        self, method: str, query: bytes, headers: Mapping[bytes, str], peer: str, receive: Receive
    ) -> WireResponse:
        """Return the response to a request.

        Args:
            method: The HTTP method.
            query: The query string.
            headers: Headers with lower-case names.
            peer: Address that sent the request.
            receive: The ASGI receive function.
        """
        rejected = self._rejected(method, peer)
        if rejected is not None:
            return rejected
        incoming = self._incoming(headers, method, peer)
        if method in WITH_BODY:
            request = await self._read(incoming, headers, receive)
        else:
            request = self._parsed(incoming, query, is_query=True)
        if isinstance(request, WireResponse):
            return request
        prepare = self._preparing("GET" if method == "HEAD" else method)
        outcome = await self._execution.run(prepare, request)
        return self._response(outcome, incoming, request)

    def answer(
        self, headers: Mapping[bytes, str], body: bytes, peer: str, respond: Respond
    ) -> None:
        """Respond to a complete POST request like ``respond``, without a task.

        Args:
            headers: Headers with lower-case names.
            body: The body.
            peer: Address that sent the request.
            respond: Called with the response.
        """
        rejected = self._rejected("POST", peer)
        if rejected is not None:
            respond(rejected)
            return
        incoming = self._incoming(headers, "POST", peer)
        request = self._with_body(incoming, checked_body(body, self._endpoint.max_bytes))
        if isinstance(request, WireResponse):
            respond(request)
            return
        self._execution.start(
            self._preparing("POST"),
            request,
            lambda outcome: respond(self._response(outcome, incoming, request)),
        )

    def _rejected(self, method: str, peer: str) -> WireResponse | None:
        """Return the response that rejects a method or a peer with too many requests, or None."""
        if method not in self._methods:
            return method_not_allowed(self.methods, WireFormat.RFC)
        wait = 0.0 if self._limit is None else self._limit.take(peer)
        return _too_many(wait) if wait > 0 else None

    def _incoming(self, headers: Mapping[bytes, str], method: str, peer: str) -> IncomingRequest:
        return IncomingRequest(
            headers,
            self._accepts,
            WireFormat.RFC,
            peer=peer,
            method=method,
            path=self._endpoint.path,
        )

    def _response(
        self, outcome: WireResponse | Denial, incoming: IncomingRequest, request: WireRequest
    ) -> WireResponse:
        if isinstance(outcome, Denial) and self._endpoint.authenticate == "token":
            return _with_challenge(outcome, request, self._execution.proof_algorithms)
        return incoming.response(outcome)

    async def _read(
        self, incoming: IncomingRequest, headers: Mapping[bytes, str], receive: Receive
    ) -> WireRequest | WireResponse:
        """Return a request with its body, or the response that rejects it."""
        body = await read_body(
            headers, receive, seconds=self._body_seconds, cap=self._endpoint.max_bytes
        )
        return self._with_body(incoming, body)

    def _with_body(
        self, incoming: IncomingRequest, body: bytes | BodyProblem
    ) -> WireRequest | WireResponse:
        if isinstance(body, BodyProblem):
            return body.response(WireFormat.RFC)
        return incoming.unsupported_media_type(body) or self._parsed(incoming, body)

    def _parsed(
        self, incoming: IncomingRequest, content: bytes, *, is_query: bool = False
    ) -> WireRequest | WireResponse:
        try:
            request = incoming.parse(content, self._endpoint.repeatable, is_query=is_query)
        except DenialError as error:
            return incoming.response(error.denial)
        for name in _NOT_IN_URL if is_query else ():
            if name in request.params:
                denial = Denial("invalid_request", f"{name} must not be in the URL")
                return incoming.response(denial)
        return request

    def _preparing(self, method: str) -> Prepare:
        """Return the function that validates a request and returns its unit of work."""

        def prepare(issuer: Issuer, request: WireRequest) -> UnitOfWork:
            needs = self._endpoint.authenticate
            credentials = credentials_of(request, issuer) if needs == "client" else None
            if needs == "token" and not (request.bearer or request.dpop):
                raise DenialError("invalid_token", "An access token is required; send it as Bearer")

            def work(transaction: Transaction) -> WireResponse | Denial:
                now, client, token = issuer.clock(), None, None
                if credentials is not None:
                    client = authenticate(issuer, request, credentials, transaction, now)
                if needs == "token":
                    token = self._token(request, issuer, now, transaction)
                asked = issuer_request(issuer, request, now, method, client=client, token=token)
                return self._handle(asked, transaction)

            return work

        return prepare

    def _token(
        self, request: WireRequest, issuer: Issuer, now: float, transaction: Transaction
    ) -> AccessTokenRecord:
        """Return a valid access token that may be used at this endpoint.

        Raises:
            DenialError: the token is unknown, expired, revoked, for another audience, or bound to a
                key that the request does not prove.
        """
        given = request.bearer or request.dpop or ""
        url = issuer.settings.url
        token = find_access_token(given, transaction, keys=issuer.keys, url=url, now=now)
        if (
            token is None
            or token.family.revoked
            or now >= token.expires_at
            or (token.audience and {url, url + self._endpoint.path}.isdisjoint(token.audience))
        ):
            raise DenialError(
                "invalid_token", "The access token is unknown, expired or for another audience"
            )
        if ("jkt" in token.confirmation) != (request.dpop is not None):
            scheme = "Bearer" if request.dpop else "DPoP"
            raise DenialError("invalid_token", f"The access token must be sent as {scheme}")
        if not is_confirmed(token.confirmation, request.confirmation):
            raise DenialError(
                "invalid_token", "The access token is bound to a key; prove possession of that key"
            )
        use_proof(request, transaction)
        return token

    def _handle(self, request: IssuerRequest, transaction: Transaction) -> WireResponse | Denial:
        def respond() -> WireResponse | Denial | object:
            outcome = self._endpoint.handle(request, transaction)
            return response_to(outcome) if isinstance(outcome, Reply) else outcome

        outcome: WireResponse | Denial = call_plugin(
            f"the handler of {self._endpoint.path} of the issuer extension {self._extension}",
            self._plugin,
            respond,
            transaction=transaction,
            returns=(WireResponse, Denial),
        )
        return outcome


def _too_many(wait: float) -> WireResponse:
    seconds = math.ceil(wait)
    denial = Denial("slow_down", f"Too many requests; try again in {seconds} seconds")
    header = (b"retry-after", str(seconds).encode())
    return denial_response(denial, WireFormat.RFC, status=429, headers=(header,))


def _with_challenge(
    denial: Denial, request: WireRequest, algorithms: tuple[str, ...]
) -> WireResponse:
    """Return the response of an endpoint that requires an access token (RFC 6750 section 3.1)."""
    status = _CHALLENGE_STATUS.get(denial.error)
    if status is None:
        return denial_response(denial, WireFormat.RFC)
    challenge = 'Bearer realm="grantway"'
    if request.bearer:  # without a token, the challenge has no error (RFC 6750 section 3.1)
        challenge += f', error="{denial.error}"'
    if request.dpop is not None or "dpop" in request.headers:
        listing = " ".join(algorithms)
        challenge = f'DPoP realm="grantway", error="{denial.error}", algs="{listing}"'
    headers = ((b"www-authenticate", challenge.encode()),)
    return denial_response(denial, WireFormat.RFC, status=status, headers=headers)
