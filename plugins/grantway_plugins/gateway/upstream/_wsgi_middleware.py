"""WSGI middleware that adds tokens to forwarded requests (PEP 3333)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from itertools import chain
from typing import TYPE_CHECKING, Any, cast

from grantway._processes.copies import OneProcess
from grantway._types.quantity import check_count
from grantway_plugins.resource._caller import CALLER
from grantway_plugins.server._http.raw_path import RAW_KEYS, wsgi_raw_path

from ._asgi_middleware import REPLAYABLE, log_failure
from ._rejection import response_for
from ._replayable_input import ReplayableInput
from ._request_context import RequestContext
from ._upstream_auth import UpstreamAuth
from ._upstream_token import UpstreamToken

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

_Headers = list[tuple[str, str]]


class WsgiUpstreamAuth(OneProcess):
    """Middleware that adds a token to each request, usually in front of a proxy application.

    Works like ``AsgiUpstreamAuth``, but waits for the token in the server's thread. WSGI servers
    join repeated headers by a comma; a second ``Authorization`` is detected by its scheme after
    the comma.

    Args:
        app: The application.
        upstream: The routes and their tokens.
        replay: Longest body in bytes that is kept so that it can be sent again.
        timeout: Returns the longest wait for a request's token in seconds; by default the route's.
    """

    def __init__(
        self,
        app: WSGIApplication,
        upstream: UpstreamAuth,
        *,
        replay: int = REPLAYABLE,
        timeout: Callable[[WSGIEnvironment], float | None] | None = None,
    ) -> None:
        check_count("replay", replay, least=0)
        self._app = app
        self._upstream = upstream
        self._replay = replay
        self._timeout = timeout

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Add the token to one request and call the application."""
        try:
            seconds = None if self._timeout is None else self._timeout(environ)
            context = request_context(environ)
            upstream_token = self._upstream.prepare(context, seconds)
        except Exception as error:  # noqa: BLE001 - turned into a response
            return _reject(error, environ, start_response)
        if context.caller is not None:
            environ = {**environ, CALLER: context.caller}
        if upstream_token is None:
            return self._app(environ, start_response)
        if upstream_token.header is None:
            return self._app(_forwarded(environ, upstream_token), start_response)
        body = ReplayableInput(environ, self._replay)
        first = _FirstResponse(upstream_token, body, start_response, seconds)
        sent = _forwarded(environ, upstream_token)
        sent["wsgi.input"] = body
        response = first.start(self._app(sent, cast("StartResponse", first.start_response)))
        failure = first.error
        if failure is None and not first.resend:
            return response
        _close(response)
        if failure is None and upstream_token.stale:
            try:
                upstream_token.fetch(seconds)
            except Exception as error:  # noqa: BLE001 - turned into a response
                failure = error
        if failure is not None:
            return _reject(failure, environ, start_response)
        body.rewind()
        sent = _forwarded(environ, upstream_token)
        sent["wsgi.input"] = body
        second = _SecondResponse(upstream_token, start_response)
        return self._app(sent, cast("StartResponse", second.start_response))


class _FirstResponse:
    """Passes on the application's first response, unless the request is to be sent again."""

    def __init__(
        self,
        upstream_token: UpstreamToken,
        body: ReplayableInput,
        start_response: StartResponse,
        seconds: float | None,
    ) -> None:
        self._upstream_token, self._body, self._seconds = upstream_token, body, seconds
        self._start_response = start_response
        self._started = self.resend = False
        self.error: Exception | None = None

    def start_response(
        self, status: str, headers: _Headers, exc_info: Any = None
    ) -> Callable[[bytes], object]:
        self._started = True
        if self._upstream_token.rejected(_code(status), _challenges(headers)):
            self._fetch_another()
        if self.resend or self.error is not None:
            return lambda _data: None
        return self._start_response(status, headers, exc_info)

    def start(self, response: Iterable[bytes]) -> Iterable[bytes]:
        """Read the response until it has a status, which applications may set when first read."""
        if self._started:
            return response
        parts = iter(response)
        read: list[bytes] = []
        try:
            while not self._started:
                read.append(next(parts))
        except StopIteration:
            pass
        except BaseException:
            _close(response)
            raise
        return _Resumed(response, chain(read, parts))

    def _fetch_another(self) -> None:
        if not self._body.whole:
            return
        try:
            self._upstream_token.fetch(self._seconds)
        except Exception as error:  # noqa: BLE001 - turned into a response by the middleware
            self.error = error
        else:
            self.resend = self._upstream_token.header is not None


class _SecondResponse:
    """Passes on the application's second response."""

    def __init__(self, upstream_token: UpstreamToken, start_response: StartResponse) -> None:
        self._upstream_token, self._start_response = upstream_token, start_response

    def start_response(
        self, status: str, headers: _Headers, exc_info: Any = None
    ) -> Callable[[bytes], object]:
        self._upstream_token.rejected(_code(status), _challenges(headers))
        return self._start_response(status, headers, exc_info)


class _Resumed:
    """A response whose beginning has already been read."""

    def __init__(self, response: Iterable[bytes], parts: Iterator[bytes]) -> None:
        self._response, self._parts = response, parts

    def __iter__(self) -> Iterator[bytes]:
        return self._parts

    def close(self) -> None:
        """Close the response; called by the server."""
        _close(self._response)


def request_context(environ: WSGIEnvironment) -> RequestContext:
    """Return the properties of a request that select its route, tenant and token.

    Raises:
        RequestRejectedError: The host is invalid.
    """

    def values(name: str) -> list[str]:
        value = environ.get(_key(name))
        return [] if value is None else [value]

    host, method = environ.get("HTTP_HOST", ""), environ.get("REQUEST_METHOD", "")
    return RequestContext(host, wsgi_raw_path(environ), values, environ, method=method)


def _forwarded(environ: WSGIEnvironment, upstream_token: UpstreamToken) -> WSGIEnvironment:
    """Return the environ of the forwarded request."""
    sent = environ.copy()
    query = f"?{environ['QUERY_STRING']}" if environ.get("QUERY_STRING") else ""
    sent.update({key: f"{upstream_token.path}{query}" for key in RAW_KEYS if key in environ})
    for name in upstream_token.removed:
        sent.pop(_key(name), None)
    if upstream_token.header is not None:
        name, value = upstream_token.header
        sent[_key(name)] = value
    return sent


def _key(name: str) -> str:
    return f"HTTP_{name.upper().replace('-', '_')}"


def _code(status: str) -> int:
    return int(status[:3])


def _challenges(headers: _Headers) -> str:
    return ", ".join(value for name, value in headers if name.lower() == "www-authenticate")


def _close(response: Iterable[bytes]) -> None:
    close = getattr(response, "close", None)
    if close is not None:
        close()


def _reject(
    error: Exception, environ: WSGIEnvironment, start_response: StartResponse
) -> Iterable[bytes]:
    log_failure(error)
    response = response_for(error)
    status = HTTPStatus(response.status)
    headers = [(name.decode(), value.decode()) for name, value in response.headers]
    headers.append(("content-length", str(len(response.body))))
    start_response(f"{status.value} {status.phrase}", headers)
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [response.body]
