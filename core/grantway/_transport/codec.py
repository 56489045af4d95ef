"""HTTP/1.1 without I/O: encode a request, parse its response (RFC 9112)."""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import NoReturn

import httptools

from grantway._exceptions import RequestInvalidError

from .http import HttpRequest
from .route import Route

#: Maximum number of headers, and maximum size of all of them, in a response.
MAX_HEADERS, MAX_HEAD = 100, 64 * 1024
#: Maximum bytes of framing, such as chunk sizes, for each byte of the body.
_FRAMING = 8
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch
#: The seconds in a ``Keep-Alive`` header, and the seconds by which to undercut them, so that a
#: request does not arrive while the server closes the connection.
_KEPT, _MARGIN = re.compile(r"\btimeout=(\d{1,9})\b", re.ASCII).search, 1
#: Headers that follow from the request and are not taken from the caller.
_OWN = frozenset({"accept-encoding", "content-length", "transfer-encoding"})
#: Methods without a Content-Length if they have no body (RFC 9110 section 8.6).
_BODILESS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS"})
_SWITCHING_PROTOCOLS = 101
#: First status of final responses. Lower ones are interim, such as 103 Early Hints.
FIRST_FINAL = 200
_REDIRECT_FROM, _REDIRECT_TO = 300, 400
#: The first bytes of contents whose parsers notice a missing end: JSON and gzip.
_SHOW_THEIR_END = (b"{", b"[", b"\x1f\x8b")
_IDENTITY = "Accept-Encoding: identity\r\n"


class InvalidResponseError(Exception):
    """The response is truncated, or is not HTTP. The text completes "the response was lost: "."""


def is_redirect(status: int) -> bool:
    """Return whether a status means a redirect (3xx)."""
    return _REDIRECT_FROM <= status < _REDIRECT_TO


class Encoded:
    """An encoded request.

    Attributes:
        data: The request line, the headers and the body.
        harmless: The number of bytes after which a server cannot process the request yet: the head,
            or all but the last byte of a request without a body.
    """

    __slots__ = ("data", "harmless")

    def __init__(self, data: bytes, harmless: int) -> None:
        self.data = data
        self.harmless = harmless


@lru_cache(maxsize=256)
def _lower(name: str) -> str:
    """Return the lower-case name of a header that can be sent, or an empty string."""
    return name.lower() if _NAME(name) else ""


def encode_request(request: HttpRequest, route: Route, user_agent: str) -> Encoded:
    """Return the bytes of a request.

    Raises:
        RequestInvalidError: a header cannot be sent. The message does not contain its value.
    """
    encoded = _encode(request, route, user_agent)
    if isinstance(encoded, Encoded):
        return encoded
    # Raised here, because the frame of ``_encode`` contains secrets.
    rule = "a header contains a line break, or characters that HTTP cannot send"
    raise RequestInvalidError(
        f"headers: {rule}: {encoded!r:.80}. Nothing was sent; correct the code that sets it.",
        errors={"headers": [rule]},
    )


def _encode(request: HttpRequest, route: Route, user_agent: str) -> Encoded | str:
    """Return the bytes of a request, or the name of a header that cannot be sent."""
    host_line, lines = route.host_line, ""
    for name, value in request.headers.items():
        lower = _lower(name)
        if lower in _OWN:
            continue
        if not lower or "\n" in value or "\r" in value:
            return name
        if lower == "host":
            host_line = ""
        elif lower == "user-agent":
            user_agent = ""
        lines += f"{name}: {value}\r\n"
    length = ""
    if request.body or request.method not in _BODILESS:
        length = f"Content-Length: {len(request.body)}\r\n"
    try:
        head = (
            f"{request.method}{route.line}{host_line}{lines}{user_agent}{route.login_line}"
            f"{_IDENTITY}{length}\r\n"
        ).encode("latin-1")
    except UnicodeEncodeError:
        return next((n for n, v in request.headers.items() if not v.isascii()), "the method")
    return Encoded(head + request.body, len(head) if request.body else len(head) - 1)


class ResponseParser:
    """Parses one response. ``httptools`` calls the methods that start with ``on_``.

    Args:
        max_body: Maximum size of the body in bytes.
        head_only: Whether the response has no body whatever its headers say, as for HEAD and
            CONNECT.

    Attributes:
        status: The HTTP status, or None.
        headers: The headers, lower-case names; repeated headers are joined by commas. Empty until
            all were received.
        complete: Whether the whole response was received.
        reusable: Whether the connection can carry another request.
        idle_seconds: Maximum seconds until that request, from the ``Keep-Alive`` header.
        too_large: Whether the body exceeds the limit.
    """

    __slots__ = (
        "_body", "_head_only", "_head_received", "_max_body", "_names", "_parser", "_problem",
        "_raw_headers", "_received", "_size", "complete", "headers", "idle_seconds", "reusable",
        "status", "too_large",
    )  # fmt: skip

    def __init__(self, max_body: int, *, head_only: bool = False) -> None:
        self.status: int | None = None
        self.complete = self.reusable = self.too_large = False
        self.idle_seconds = math.inf
        self.headers: dict[str, str] = {}
        self._raw_headers: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []
        self._max_body = max_body
        self._size = self._received = self._names = 0
        self._head_only, self._head_received = head_only, False
        self._problem = ""
        self._parser = httptools.HttpResponseParser(self)
        # Browsers and http.client accept these deviations too. None makes it unclear where a
        # response ends, and a response after which it is unclear closes the connection.
        self._parser.set_dangerous_leniencies(
            lenient_headers=True,
            lenient_chunked_length=True,
            lenient_optional_cr_before_lf=True,
            lenient_spaces_after_chunk_size=True,
        )

    @property
    def body(self) -> bytes:
        """The received part of the body."""
        return self._body[0] if len(self._body) == 1 else b"".join(self._body)

    @property
    def is_redirect(self) -> bool:
        """Whether the headers of a redirect (3xx) were received."""
        return self._head_received and is_redirect(self.status or 0)

    @property
    def succeeded(self) -> bool:
        """Whether the status means success (2xx)."""
        return FIRST_FINAL <= (self.status or 0) < _REDIRECT_FROM

    def feed(self, data: bytes) -> None:
        """Parse received bytes; none at the end of the connection. Not to be called after the end.

        Raises:
            InvalidResponseError: the response is truncated or not HTTP, or its headers exceed a
                limit.
        """
        if not data:
            self.end()
            return
        self._received += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if self.complete or self.too_large:
                self.reusable = False  # the bytes after the response are not HTTP
                return
            problem = self._problem or f"the response is not valid HTTP ({error})"
        else:
            if self.complete or self.too_large:
                del self._parser  # nothing is fed any more, and it refers to this object
                return
            if self._received - self._size - 2 * MAX_HEAD <= _FRAMING * self._size:
                return
            problem = "the headers or chunk sizes of the response are too long"
        raise InvalidResponseError(problem)

    def end(self, *, cut: bool = False) -> None:
        """Note that the connection was closed before the response was complete.

        Args:
            cut: Whether anyone on the way may have closed it, and not the server. A response
                without a length is then incomplete (RFC 9112 section 9.8), unless its content
                shows where it ends, as in JSON.

        Raises:
            InvalidResponseError: the response is truncated.
        """
        if self._head_received:
            chunked = "chunked" in self.headers.get("transfer-encoding", "").lower()
            ends = not cut or self.body.lstrip().startswith(_SHOW_THEIR_END)
            if not chunked and "content-length" not in self.headers and ends:
                self.complete = True
                return
        raise InvalidResponseError(
            "the response was truncated"
            if self._received
            else "the server closed the connection without a response"
        )

    def on_message_begin(self) -> None:
        if self.complete:
            self.reusable = False  # a response to no request

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._head_received:  # a trailer, or a header of a response to no request
            return
        self._raw_headers.append((name, value))
        self._names += len(name) + len(value)
        if len(self._raw_headers) > MAX_HEADERS or self._names > MAX_HEAD:
            self._fail(
                f"the response has more than {MAX_HEADERS} headers or {MAX_HEAD} bytes of them"
            )

    def on_headers_complete(self) -> None:
        if self._head_received:
            return
        self.status = status = self._parser.get_status_code()
        if status == _SWITCHING_PROTOCOLS:
            self._fail("the server switched to another protocol")
        if status >= FIRST_FINAL:
            self._head_received = True
            self.complete = self._head_only
            headers = self.headers
            for raw, content in self._raw_headers:
                name = raw.decode("latin-1").lower()
                value = content.decode("latin-1").strip()
                headers[name] = f"{headers[name]}, {value}" if name in headers else value
        else:
            self._raw_headers.clear()

    def on_body(self, data: bytes) -> None:
        if self.complete:  # of a response to no request
            return
        self._size += len(data)
        if self._size > self._max_body:
            self.too_large = True
            self._body.clear()
        else:
            self._body.append(data)

    def on_message_complete(self) -> None:
        if self._head_received and not self.complete:
            self.complete = True
            headers = self.headers
            # Two contradicting lengths (RFC 9112 section 6.3) leave it open where the next begins.
            both = "transfer-encoding" in headers and "content-length" in headers
            self.reusable = self._parser.should_keep_alive() and not both
            if "keep-alive" in headers and (kept := _KEPT(headers["keep-alive"])) is not None:
                self.idle_seconds = int(kept[1]) - _MARGIN

    def _fail(self, problem: str) -> NoReturn:
        self._problem = problem
        raise httptools.HttpParserError(problem)  # httptools replaces the text
