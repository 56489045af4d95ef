"""Tokens for the requests that a WSGI application forwards (PEP 3333)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from itertools import chain
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote_to_bytes

from grantway._processes.copies import OneProcess
from grantway._types.quantity import check_count

from ._asgi_middleware import REPLAYABLE, note
from ._kept_input import KeptInput
from ._paths import encoded
from ._refusal import response_for
from ._request_context import RequestContext
from ._upstream_auth import UpstreamAuth
from ._upstream_token import UpstreamToken

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

#: Keys of the undecoded path in the WSGI environ.
_RAW = ("RAW_URI", "REQUEST_URI")
_Headers = list[tuple[str, str]]


class WsgiUpstreamAuth(OneProcess):
    """Middleware that adds a token to each request, usually in front of a proxy application.

    Works like ``AsgiUpstreamAuth``, but waits for the token in the server's thread. WSGI servers
    join repeated headers by a comma; a second ``Authorization`` is detected by its scheme after
    the comma.

    Args:
        app: The application.
        upstream: The rules.
        replay: Bytes of a body that are kept to send it again.
        timeout: Gives the seconds that a request may wait for its token; by default the route's.
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
        """Pass one request on."""
        try:
            seconds = None if self._timeout is None else self._timeout(environ)
            upstream_token = self._upstream.prepare(request_context(environ), seconds)
        except Exception as error:  # noqa: BLE001 - said to the sender as what it is
            return _refuse(error, environ, start_response)
        if upstream_token is None:
            return self._app(environ, start_response)
        if upstream_token.header is None:
            return self._app(_carrying(environ, upstream_token), start_response)
        kept = KeptInput(environ, self._replay)
        first = _FirstAnswer(upstream_token, kept, start_response, seconds)
        sent = _carrying(environ, upstream_token)
        sent["wsgi.input"] = kept
        answer = first.begin(self._app(sent, cast("StartResponse", first.start_response)))
        problem = first.problem
        if problem is None and not first.again:
            return answer
        _close(answer)
        if problem is None and upstream_token.stale:
            try:
                upstream_token.fetch(seconds)
            except Exception as error:  # noqa: BLE001 - as above
                problem = error
        if problem is not None:
            return _refuse(problem, environ, start_response)
        kept.rewind()
        sent = _carrying(environ, upstream_token)
        sent["wsgi.input"] = kept
        last = _LastAnswer(upstream_token, start_response)
        return self._app(sent, cast("StartResponse", last.start_response))


class _FirstAnswer:
    """The application's first answer, which is passed on unless there will be another."""

    def __init__(
        self,
        upstream_token: UpstreamToken,
        kept: KeptInput,
        start_response: StartResponse,
        seconds: float | None,
    ) -> None:
        self._injection, self._kept, self._seconds = upstream_token, kept, seconds
        self._start_response = start_response
        self._started = self.again = False
        self.problem: Exception | None = None

    def start_response(
        self, status: str, headers: _Headers, exc_info: Any = None
    ) -> Callable[[bytes], object]:
        self._started = True
        if self._injection.after(_code(status), _challenges(headers)):
            self._another()
        if self.again or self.problem is not None:
            return lambda _data: None
        return self._start_response(status, headers, exc_info)

    def begin(self, answer: Iterable[bytes]) -> Iterable[bytes]:
        """An answer that has said its status: an application may wait until it is first read."""
        if self._started:
            return answer
        parts = iter(answer)
        read: list[bytes] = []
        try:
            while not self._started:
                read.append(next(parts))
        except StopIteration:
            pass
        except BaseException:
            _close(answer)
            raise
        return _Resumed(answer, chain(read, parts))

    def _another(self) -> None:
        if not self._kept.whole:
            return
        try:
            self._injection.fetch(self._seconds)
        except Exception as error:  # noqa: BLE001 - said to the sender, when the application is done
            self.problem = error
        else:
            self.again = self._injection.header is not None


class _LastAnswer:
    """The application's second answer, which is passed on."""

    def __init__(self, upstream_token: UpstreamToken, start_response: StartResponse) -> None:
        self._injection, self._start_response = upstream_token, start_response

    def start_response(
        self, status: str, headers: _Headers, exc_info: Any = None
    ) -> Callable[[bytes], object]:
        self._injection.after(_code(status), _challenges(headers))
        return self._start_response(status, headers, exc_info)


class _Resumed:
    """An answer of which something was read already."""

    def __init__(self, answer: Iterable[bytes], parts: Iterator[bytes]) -> None:
        self._answer, self._parts = answer, parts

    def __iter__(self) -> Iterator[bytes]:
        return self._parts

    def close(self) -> None:
        """Called by the server when it is done."""
        _close(self._answer)


def request_context(environ: WSGIEnvironment) -> RequestContext:
    """What the rules may know of a request.

    Raises:
        RequestRefusedError: its host or path can be read in two ways.
    """

    def values(name: str) -> list[str]:
        value = environ.get(_key(name))
        return [] if value is None else [value]

    path = (environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")).encode("latin-1")
    raw = next((environ[key] for key in _RAW if environ.get(key)), "").partition("?")[0]
    # The path counts where a middleware has changed it and left the raw one as it was.
    if not raw or unquote_to_bytes(raw) != path:
        raw = encoded(path)
    host, method = environ.get("HTTP_HOST", ""), environ.get("REQUEST_METHOD", "")
    return RequestContext(host, raw, values, environ, method=method)


def _carrying(environ: WSGIEnvironment, upstream_token: UpstreamToken) -> WSGIEnvironment:
    """Return the environ of the forwarded request."""
    sent = environ.copy()
    query = f"?{environ['QUERY_STRING']}" if environ.get("QUERY_STRING") else ""
    sent.update({key: f"{upstream_token.path}{query}" for key in _RAW if key in environ})
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


def _close(answer: Iterable[bytes]) -> None:
    close = getattr(answer, "close", None)
    if close is not None:
        close()


def _refuse(
    error: Exception, environ: WSGIEnvironment, start_response: StartResponse
) -> Iterable[bytes]:
    note(error)
    answer = response_for(error)
    status = HTTPStatus(answer.status)
    headers = [(name.decode(), value.decode()) for name, value in answer.headers]
    headers.append(("content-length", str(len(answer.body))))
    start_response(f"{status.value} {status.phrase}", headers)
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [answer.body]
