"""The issuer as an ASGI application.

The endpoints that machines call are dispatched here, by one dictionary; what people see goes on
to the pages.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from .decision import Denial, Refusal
from .endpoints.device_authorization import device_authorization
from .endpoints.introspection import introspect
from .endpoints.metadata import metadata
from .endpoints.registration import register, register_client
from .endpoints.revocation import revoke
from .endpoints.token import create_token
from .errors import StoreBusyError, StoreError
from .host import is_own_host
from .issuer import Issuer
from .pages import Pages
from .store import Store
from .transaction import Transaction
from .wire import (
    BODY_CAP,
    BODY_TIME,
    Answer,
    Dialect,
    WireRequest,
    answer_basic_challenge,
    answer_busy,
    answer_denial,
    answer_json,
    aws_names,
    dialect_of,
    parse_basic,
    parse_form,
    parse_json,
)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Work = Callable[[Transaction], Answer | Denial]

#: What is read and dropped of a body over the cap, so that its sender gets to read the answer.
_DRAINED = 16 * BODY_CAP

_PAGES = frozenset({"/authorize", "/device", "/static/issuer.css"})
_BOTH = frozenset(Dialect)
_FORM = frozenset({Dialect.RFC})
_JSON = frozenset({Dialect.AWS})

_log = logging.getLogger(__name__)


class App:
    """The ASGI application.

    Args:
        issuer: What is decided.
        store: Where it is kept.
    """

    def __init__(self, issuer: Issuer, store: Store) -> None:
        self._issuer = issuer
        self._store = store
        self._pages = Pages(issuer, store)
        # Where everything is approved at once, no endpoint is for a stranger's page.
        self._guards_all = issuer.settings.approve == "auto"
        document = metadata(issuer)
        self._gets: Mapping[str, Answer] = {
            "/.well-known/oauth-authorization-server": document,
            "/.well-known/openid-configuration": document,
            "/health": answer_json(200, {"status": "ok"}),
        }
        self._posts: Mapping[str, _Post] = {
            "/token": _Post(create_token, _BOTH),
            "/device_authorization": _Post(device_authorization, _BOTH),
            "/introspect": _Post(introspect, _FORM),
            "/revoke": _Post(revoke, _FORM),
            "/client/register": _Post(_members(register_client), _JSON, Dialect.AWS),
            "/register": _Post(_members(register), _JSON, Dialect.RFC),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        path, method = scope["path"], scope["method"]
        if (path in _PAGES or self._guards_all) and not self._is_meant(scope):
            await _send(send, _MISDIRECTED)
            return
        post = self._posts.get(path)
        if post is not None:
            if method == "POST":
                await _send(send, await self._post(post, scope, receive))
            else:
                await _send(send, _not_allowed("POST", post.speaks or Dialect.RFC))
        elif path in self._gets:
            if method in {"GET", "HEAD"}:
                await _send(send, self._gets[path])
            else:
                await _send(send, _not_allowed("GET, HEAD", Dialect.RFC))
        elif path in _PAGES:
            await self._pages.asgi(scope, receive, send)
        else:
            denial = Denial("not_found", "There is nothing at this path")
            await _send(send, answer_denial(denial, Dialect.RFC, status=404))

    def _is_meant(self, scope: Scope) -> bool:
        host = _headers(scope).get(b"host")
        return host is None or is_own_host(host, self._issuer.settings.url)

    async def _post(self, post: _Post, scope: Scope, receive: Receive) -> Answer:
        headers = _headers(scope)
        spoken = dialect_of(headers.get(b"content-type", ""))
        speaks = post.speaks or spoken or Dialect.RFC
        body = await _body(headers, receive)
        if isinstance(body, _BodyProblem):
            return body.answer(speaks)
        if not body and b"content-type" not in headers and Dialect.RFC in post.accepts:
            spoken = Dialect.RFC  # a form without fields, which many clients send without a type
        if spoken is None or spoken not in post.accepts:
            wanted = " or ".join(sorted(_MEDIA_TYPES[each] for each in post.accepts))
            denial = Denial("invalid_request", f"The content type must be {wanted}")
            return answer_denial(denial, speaks, status=415)
        basic_tried = headers.get(b"authorization", "")[:6].lower() == "basic "
        try:
            if spoken is Dialect.AWS:
                members = parse_json(body)
                params = members if post.speaks else aws_names(members)
            else:
                params = parse_form(body, repeatable=self._issuer.repeatable)
            basic = parse_basic(headers[b"authorization"]) if basic_tried else None
            work = post.endpoint(self._issuer, WireRequest(speaks, params, basic))
        except Refusal as refused:
            outcome: Answer | Denial = refused.denial
        else:
            outcome = await self._carry_out(work, speaks)
        if isinstance(outcome, Answer):
            return outcome
        if outcome.error == "invalid_client" and basic_tried:
            return answer_basic_challenge(outcome, speaks)
        return answer_denial(outcome, speaks)

    async def _carry_out(self, work: Work, speaks: Dialect) -> Answer | Denial:
        try:
            return await self._store.arun(_refusals_are_denials(work))
        except StoreError as failed:
            if not isinstance(failed, StoreBusyError):
                _log.error("A request could not be carried out: %s", failed)
            return answer_busy(speaks)
        except Exception as failed:  # noqa: BLE001 - the last line: an answer, and no secret in it
            _log.error("A request failed: %s", type(failed).__name__)
            return Denial("server_error", "The issuer failed; nothing was done")


class _Post:
    """An endpoint that is posted to: what it does, and which dialects it reads and speaks."""

    __slots__ = ("accepts", "endpoint", "speaks")

    def __init__(
        self,
        endpoint: Callable[[Issuer, WireRequest], Work],
        accepts: frozenset[Dialect],
        speaks: Dialect | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.accepts = accepts
        self.speaks = speaks


_MEDIA_TYPES = {
    Dialect.AWS: "application/json",
    Dialect.RFC: "application/x-www-form-urlencoded",
}


def _members(
    endpoint: Callable[[Issuer, Mapping[str, Any]], Callable[[Transaction], Answer]],
) -> Callable[[Issuer, WireRequest], Work]:
    """An endpoint that reads the members of a JSON object as they are spelt."""
    return lambda issuer, request: endpoint(issuer, request.params)


def _refusals_are_denials(work: Work) -> Work:
    def guarded(transaction: Transaction) -> Answer | Denial:
        try:
            return work(transaction)
        except Refusal as refused:
            return refused.denial

    return guarded


_MISDIRECTED = answer_denial(
    Denial(
        "invalid_request",
        "The issuer does not go by the name in the Host header; use its own address, or give it "
        "this name with --issuer",
    ),
    Dialect.RFC,
    status=421,
)


def _not_allowed(allowed: str, dialect: Dialect) -> Answer:
    denial = Denial("invalid_request", f"Only {allowed} is allowed here")
    return answer_denial(denial, dialect, status=405, headers=((b"allow", allowed.encode()),))


def _headers(scope: Scope) -> dict[bytes, str]:
    return {name: value.decode("latin-1") for name, value in scope["headers"]}


class _BodyProblem:
    """A body that could not be taken."""

    def __init__(self, status: int, description: str) -> None:
        self._status, self._description = status, description

    def answer(self, dialect: Dialect) -> Answer:
        denial = Denial("invalid_request", self._description)
        close = ((b"connection", b"close"),)
        return answer_denial(denial, dialect, status=self._status, headers=close)


async def _body(headers: Mapping[bytes, str], receive: Receive) -> bytes | _BodyProblem:
    if headers.get(b"content-length") == "0":
        return b""
    try:
        async with asyncio.timeout(BODY_TIME):
            message = await receive()
            if message.get("more_body"):
                return await _rest(message["body"], receive)
    except TimeoutError:
        return _BodyProblem(408, f"The body took more than {BODY_TIME:g} seconds")
    except asyncio.CancelledError:
        # The server is stopping and has waited for this request as long as it waits for any.
        return _BodyProblem(503, "The issuer stopped before the body was complete")
    body: bytes = message.get("body", b"")
    return body if len(body) <= BODY_CAP else _TOO_LARGE


async def _rest(first: bytes, receive: Receive) -> bytes | _BodyProblem:
    chunks, size, more = [first], len(first), True
    while more and size <= _DRAINED:
        message = await receive()
        if message["type"] == "http.disconnect":
            return _BodyProblem(400, "The body is incomplete")
        chunk = message.get("body", b"")
        size += len(chunk)
        if size <= BODY_CAP:
            chunks.append(chunk)
        more = message.get("more_body", False)
    return b"".join(chunks) if size <= BODY_CAP else _TOO_LARGE


_TOO_LARGE = _BodyProblem(413, f"The body is larger than {BODY_CAP} bytes")


async def _send(send: Send, answer: Answer) -> None:
    length = (b"content-length", str(len(answer.body)).encode())
    await send(
        {
            "type": "http.response.start",
            "status": answer.status,
            "headers": [*answer.headers, length],
        }
    )
    await send({"type": "http.response.body", "body": answer.body})
