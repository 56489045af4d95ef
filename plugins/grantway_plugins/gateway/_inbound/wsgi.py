"""The token endpoint as a WSGI application (PEP 3333), for Flask, Django and other frameworks."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

from grantway._processes.copies import OneProcess
from grantway_plugins.server._http.asgi import BodyProblem
from grantway_plugins.server._http.incoming_request import IncomingRequest

from .streams import Readable, length_of, read_stream
from .token_endpoint import TokenEndpoint

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment


#: CGI names of these headers have no prefix, so with one they are other headers with underscores.
_CGI_NAMES = frozenset({"HTTP_CONTENT_LENGTH", "HTTP_CONTENT_TYPE"})
_NO_LENGTH = BodyProblem(411, "The length of the body is missing; send Content-Length")


class WsgiTokenEndpoint(OneProcess):
    """A token endpoint as a WSGI application, at the path where it is mounted.

    Requests to the provider are sent in the server's thread.

    Args:
        endpoint: The token endpoint.
    """

    def __init__(self, endpoint: TokenEndpoint) -> None:
        self._endpoint = endpoint

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Respond to one request."""
        method = environ["REQUEST_METHOD"]
        opened = self._endpoint.open(method, _headers(environ), environ.get("REMOTE_ADDR", ""))
        if isinstance(opened, IncomingRequest):
            opened = self._endpoint.complete(opened, _body(environ))
        status = HTTPStatus(opened.status)
        headers = [
            (name.decode(), value.decode())
            for name, value in opened.headers
            if name != b"connection"  # the server sets it
        ]
        headers.append(("content-length", str(len(opened.body))))
        start_response(f"{status.value} {status.phrase}", headers)
        return [] if method == "HEAD" else [opened.body]


def _headers(environ: WSGIEnvironment) -> list[tuple[bytes, str]]:
    # Servers join repeated headers with a comma.
    headers = [
        (key[5:].replace("_", "-").lower().encode("latin-1"), value)
        for key, value in environ.items()
        if key.startswith("HTTP_") and key not in _CGI_NAMES
    ]
    if content_type := environ.get("CONTENT_TYPE"):
        headers.append((b"content-type", content_type))
    return headers


def _body(environ: WSGIEnvironment) -> bytes | BodyProblem:
    length = length_of(environ.get("CONTENT_LENGTH") or None)
    if isinstance(length, BodyProblem):
        return length
    if length is None and not environ.get("wsgi.input_terminated"):
        # Without a length, a read could wait for the next request.
        return _NO_LENGTH if environ.get("HTTP_TRANSFER_ENCODING") else b""
    return read_stream(cast("Readable", environ["wsgi.input"]), length)
