"""A transport for programs that need ``requests``, such as for its mounted adapters."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator

import requests
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, ProxyError
from urllib3.response import HTTPResponse

from grantway._exceptions import (
    ConfigurationError,
    ConnectionFailedError,
    OutcomeUnknownError,
    TransportError,
)
from grantway._processes.copies import OneProcess
from grantway._types.quantity import check_count, check_seconds

from .codec import FIRST_FINAL, InvalidResponseError, is_redirect
from .content_coding import decompressed
from .deadline import Deadline
from .failures import (
    READING,
    deadline_error,
    describe,
    host_of,
    lost_error,
    redirect_error,
    too_large_error,
)
from .http import HttpRequest, HttpResponse
from .limits import CONNECT_TIMEOUT, MAX_RESPONSE, READ_TIMEOUT, USER_AGENT
from .stream import READ_SIZE

#: Errors of requests and urllib3 after which nothing was sent. Others leave it open.
_UNSENT = (
    requests.ConnectTimeout,
    requests.exceptions.InvalidHeader,
    requests.exceptions.InvalidProxyURL,
    requests.exceptions.InvalidSchema,
    requests.exceptions.InvalidURL,
    requests.exceptions.MissingSchema,
    ConnectTimeoutError,
    NewConnectionError,
    ProxyError,
    ssl.SSLCertVerificationError,
)


class RequestsTransport(OneProcess):
    """Sends requests through a ``requests.Session`` and the adapters mounted on it. Thread-safe.

    Use it if a session has adapters, hooks or proxies that ``HttpTransport`` does not have. It is
    slower, and knows less: an error that may have occurred after the request was sent is
    ``OutcomeUnknownError``, the deadline of a call does not limit a server that sends the headers
    of its response slowly, and a TLS connection that was cut ends a response without a length. The
    session's ``auth`` and netrc are not used.

    In a forked process, it raises ``ConfigurationError``.

    Args:
        session: The session. ``close`` closes it.
        connect_timeout: Seconds to connect.
        read_timeout: Seconds for each read of the response.
        max_response: Maximum size of a response in bytes.

    Raises:
        ConfigurationError: an argument is invalid. The message names it.
    """

    def __init__(
        self,
        session: requests.Session,
        *,
        connect_timeout: float = CONNECT_TIMEOUT,
        read_timeout: float = READ_TIMEOUT,
        max_response: int = MAX_RESPONSE,
    ) -> None:
        if not isinstance(session, requests.Session):
            raise ConfigurationError(
                f"session: must be a requests.Session, not {type(session).__name__}.",
                errors={"session": ["must be a requests.Session"]},
            )
        check_seconds("connect_timeout", connect_timeout)
        check_seconds("read_timeout", read_timeout)
        check_count("max_response", max_response)
        #: Maximum seconds until the first byte of a response, including connecting.
        self.attempt_seconds = connect_timeout + read_timeout
        self._timeouts = connect_timeout, read_timeout
        self._max_response = max_response
        self._session = session
        self._process = os.getpid()

    def send(self, request: HttpRequest, deadline: Deadline) -> HttpResponse:
        """Send a request once; see ``Transport.send``."""
        if self._process != os.getpid():
            rule = "was made before a fork, and processes must not share its connections"
            raise ConfigurationError(
                f"transport: the session {rule}. Make the session and the transport in the "
                "process that uses them.",
                errors={"transport": [rule]},
            )
        remaining = deadline.remaining()
        if remaining <= 0:
            raise deadline_error(deadline)
        status: int | None = None
        outcome: HttpResponse | TransportError
        try:
            with self._respond(request, remaining) as response:
                status = response.status_code
                outcome = self._outcome(response, deadline)
        except (requests.RequestException, HTTPError, OSError, InvalidResponseError) as error:
            outcome = _failure(error, request, status)
        if isinstance(outcome, HttpResponse):
            return outcome
        # Raised outside the except block, because the exception of requests holds the request.
        try:
            raise outcome
        finally:
            del outcome  # its traceback holds this frame

    def _outcome(
        self, response: requests.Response, deadline: Deadline
    ) -> HttpResponse | TransportError:
        """Return the response, or the error to raise in a frame without the response's headers."""
        status = response.status_code
        headers = {name.lower(): value for name, value in response.headers.items()}
        if status < FIRST_FINAL:  # Python's http.client handles 100 Continue alone
            raise InvalidResponseError(f"requests does not support interim responses ({status})")
        if is_redirect(status):
            return redirect_error(status, headers)
        body = self._body(response, deadline)
        if len(body) > self._max_response:
            return too_large_error(status, headers, self._max_response)
        return decompressed(status, headers, body, self._max_response)

    def _respond(self, request: HttpRequest, remaining: float) -> requests.Response:
        headers = {"User-Agent": USER_AGENT, **request.headers, "Accept-Encoding": "identity"}
        return self._session.request(
            request.method,
            request.url,
            data=request.body or None,
            headers=headers,
            auth=_unchanged,
            timeout=(min(self._timeouts[0], remaining), min(self._timeouts[1], remaining)),
            allow_redirects=False,
            stream=True,
        )

    def _body(self, response: requests.Response, deadline: Deadline) -> bytes:
        """Return the body, or its first part if it exceeds the limit."""
        body = bytearray()
        raw = response.raw
        ordinary = isinstance(raw, HTTPResponse)  # an adapter may return any object
        pieces = _received(raw) if ordinary else response.iter_content(READ_SIZE)
        for piece in pieces:
            body += piece
            if len(body) > self._max_response:
                break
            if deadline.remaining() <= 0:
                raise TimeoutError("the deadline of the call has passed")
        return bytes(body)

    def close(self) -> None:
        """Close the session."""
        self._session.close()


def _unchanged(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Authenticate nothing, so that requests does not read netrc."""
    return request


def _received(raw: HTTPResponse) -> Iterator[bytes]:
    """Yield the body as it arrives; other methods of urllib3 wait until a buffer is full."""
    while piece := raw.read1(READ_SIZE, decode_content=False):
        yield piece


def _failure(
    error: BaseException, request: HttpRequest, status: int | None
) -> ConnectionFailedError | OutcomeUnknownError:
    causes = list(_causes(error))
    failed, what = describe(causes[-1])
    if any(isinstance(each, requests.Timeout) for each in causes):
        failed, what = "timeout", "timed out"
    if any(isinstance(each, requests.exceptions.ProxyError) for each in causes):
        failed = "proxy"
    if any(isinstance(each, _UNSENT) for each in causes) or request.method in READING:
        host = host_of(request)
        return ConnectionFailedError(
            f"Could not reach {host} with the given requests session: {what}. Trying again is "
            "safe.",
            failed=failed,
        )
    return lost_error(request, failed, what, status)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and its causes: requests wraps urllib3's error, which wraps the socket's."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        inner = getattr(error, "reason", None)
        if not isinstance(inner, BaseException):
            inner = next((arg for arg in error.args if isinstance(arg, BaseException)), None)
        error = inner or error.__cause__ or error.__context__
