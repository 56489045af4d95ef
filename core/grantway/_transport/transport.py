"""The transport: sends HTTP requests with ``requests``. Contains no OAuth.

Unlike a plain session, it reports whether a failed request may have reached the server. The
connection records when the body is written to the socket: an earlier failure is
``ConnectionFailedError`` (never sent), a later one ``OutcomeUnknownError``. One deadline covers the
whole request and response, even if a server sends one byte at a time.
"""

from __future__ import annotations

import http.client
import io
import os
import re
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self, cast
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, IncompleteRead, ReadTimeoutError, SSLError
from urllib3.response import BaseHTTPResponse

from grantway._exceptions import (
    ConnectionFailedError,
    Evidence,
    OutcomeUnknownError,
    RedirectRefusedError,
    ResponseTooLargeError,
    TransportError,
)
from grantway._processes.copies import OneProcess
from grantway._secrets.hidden_arguments import hides_arguments
from grantway._secrets.redaction import visible
from grantway._types.quantity import MOST_CONNECTIONS, check_count, check_seconds

from .content_coding import TooLargeError, decompress
from .deadline import Deadline
from .http import HttpRequest, HttpResponse
from .network import Network, ProxyChoice

#: Maximum size of a response in bytes.
MAX_RESPONSE = 1024 * 1024
#: Timeouts in seconds for connecting and for each read.
CONNECT_TIMEOUT, READ_TIMEOUT = 5.0, 20.0
_REDIRECT_FROM, _REDIRECT_TO = 300, 400
_PROXY_LOGIN = 407
_TUNNEL = re.compile(r"Tunnel connection failed: (\d{3})")
#: Minimum socket timeout in seconds; zero would make the socket non-blocking.
_LEAST = 0.001
#: Maximum characters of a URL in an error.
_SHOWN = 200


@dataclass(slots=True)
class _Flight:
    """The state of the request that this thread is sending."""

    deadline: Deadline
    read_timeout: float
    left: bool = False
    ended: bool = False
    status: int | None = None


class _Current(threading.local):
    flight: _Flight | None = None


_current = _Current()


class _BoundedRaw(io.RawIOBase):
    """A socket reader whose reads stop at the deadline."""

    def __init__(self, sock: socket.socket, flight: _Flight) -> None:
        super().__init__()
        self._sock = sock
        self._raw = sock.makefile("rb", buffering=0)
        self._flight = flight

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        flight = self._flight
        remaining = flight.deadline.remaining()
        if remaining <= 0:
            raise TimeoutError("the deadline of the call has passed")
        self._sock.settimeout(max(_LEAST, min(flight.read_timeout, remaining)))
        count = cast("io.RawIOBase", self._raw).readinto(buffer)
        flight.ended = count == 0
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _BoundedSocket:
    """Wraps a socket so that ``http.client`` reads it with the deadline."""

    def __init__(self, sock: socket.socket, flight: _Flight) -> None:
        self._sock, self._flight = sock, flight

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_BoundedRaw(self._sock, self._flight))


class _Response(http.client.HTTPResponse):
    """A response that is read with the deadline, including the status line and headers."""

    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        flight = _current.flight
        reader = sock if flight is None else cast("socket.socket", _BoundedSocket(sock, flight))
        super().__init__(reader, *args, **options)

    def begin(self) -> None:
        super().begin()
        flight = _current.flight
        if flight is not None:
            if flight.ended:
                # http.client treats the end of the connection as the end of the headers.
                raise http.client.IncompleteRead(b"")
            flight.status = self.status


class _Noting:
    """Records when the body of a request is passed to the socket."""

    response_class: Any = _Response
    _in_body = False

    def connect(self) -> None:
        self._in_body = False  # the CONNECT request has no body
        super().connect()  # type: ignore[misc]

    def putrequest(self, *args: Any, **options: Any) -> None:
        self._in_body = False
        super().putrequest(*args, **options)  # type: ignore[misc]

    def endheaders(self, *args: Any, **options: Any) -> None:
        super().endheaders(*args, **options)  # type: ignore[misc]
        self._in_body = True

    def send(self, data: Any) -> None:
        # A server cannot process a POST without its body, so sent headers do not count.
        if self._in_body and _current.flight is not None:
            _current.flight.left = True
        super().send(data)  # type: ignore[misc]


class _HttpConnection(_Noting, HTTPConnection):
    pass


class _HttpsConnection(_Noting, HTTPSConnection):
    pass


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = cast("Any", _HttpConnection)


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = cast("Any", _HttpsConnection)


class _Adapter(HTTPAdapter):
    """requests' adapter with our connections, returning urllib3's response unchanged.

    What ``requests`` adds to an answer (cookies, history, charset guesses) costs as much as the
    exchange itself and serves nothing here.
    """

    #: The password of the client's private key, which requests does not support.
    key_password: str | None = None

    def init_poolmanager(
        self, connections: int, maxsize: int, block: bool = False, **options: Any
    ) -> None:
        super().init_poolmanager(connections, maxsize, block, **options)
        self._use_our_pools(self.poolmanager)
        #: Scheme and host -> its pool, as long as the manager keeps it.
        self._pools: dict[tuple[str, str], Any] = {}
        self._most_pools = connections

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **options)
        self._use_our_pools(manager)
        return manager

    @staticmethod
    def _use_our_pools(manager: PoolManager) -> None:
        manager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}

    def get_connection_with_tls_context(
        self, request: requests.PreparedRequest, *args: Any, **options: Any
    ) -> Any:
        # requests looks up a host's pool for every request, 5 % of the request's cost.
        # A transport has one proxy, one trust and one certificate, so that the host decides.
        place = urlsplit(cast("str", request.url))[:2]
        pool = self._pools.get(place)
        if pool is None or pool.pool is None:  # closed, or dropped for other hosts
            pool = super().get_connection_with_tls_context(request, *args, **options)
            if len(self._pools) >= self._most_pools:
                self._pools.clear()
            self._pools[place] = pool
        return pool

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: Any, cert: Any = None
    ) -> Any:
        host, options = super().build_connection_pool_key_attributes(request, verify, cert)
        if self.key_password is not None:
            cast("dict[str, Any]", options)["key_password"] = self.key_password
        return host, options

    def build_response(self, req: requests.PreparedRequest, resp: Any) -> Any:
        return resp


class RequestsTransport(OneProcess):
    """Sends requests with ``requests`` over pooled connections. Thread-safe.

    Missing settings come from the environment: ``HTTPS_PROXY``, ``HTTP_PROXY``, ``ALL_PROXY`` and
    ``NO_PROXY`` (or in lower case), and the certificates of ``REQUESTS_CA_BUNDLE``,
    ``CURL_CA_BUNDLE``, ``SSL_CERT_FILE`` or ``SSL_CERT_DIR``, whichever is set first in this order.
    No netrc is read.

    Args:
        connect_timeout: Seconds to connect, including TLS.
        read_timeout: Seconds for each read of the response.
        max_response: Maximum size of a response in bytes.
        pool_size: Maximum pooled connections per host.
        ca_bundle: Path of the trusted certificates instead of certifi's: a PEM file, or a directory
            prepared by ``openssl rehash``.
        client_certificate: Paths of this client's certificate and its private key, or of one PEM
            file with both, for mutual TLS (RFC 8705). Every new connection reads them again, so a
            rotated certificate needs no restart.
        client_key_password: The password of the private key.
        proxies: A proxy URL, or scheme (``https``, ``http``, ``all``) -> proxy URL; ``{}`` for
            none. A SOCKS proxy requires PySocks.
        no_proxy: Hosts to connect to without a proxy, as in ``NO_PROXY``.
        trust_env: Whether to read missing settings from the environment.
        setting_names: Argument -> its name in errors, for settings from a file.

    Raises:
        ConfigurationError: an argument is invalid. The message names it.
    """

    @hides_arguments  # a proxy URL may contain a password
    def __init__(
        self,
        *,
        connect_timeout: float = CONNECT_TIMEOUT,
        read_timeout: float = READ_TIMEOUT,
        max_response: int = MAX_RESPONSE,
        pool_size: int = 32,
        ca_bundle: str | None = None,
        client_certificate: str | tuple[str, str] | None = None,
        client_key_password: str | None = None,
        proxies: str | Mapping[str, str] | None = None,
        no_proxy: str | None = None,
        trust_env: bool = True,
        setting_names: Mapping[str, str] | None = None,
    ) -> None:
        check_seconds("connect_timeout", connect_timeout)
        check_seconds("read_timeout", read_timeout)
        check_count("max_response", max_response)
        check_count("pool_size", pool_size, most=MOST_CONNECTIONS)
        #: Maximum seconds until the first byte of a response, including connecting.
        self.attempt_seconds = connect_timeout + read_timeout
        self._connect_timeout = connect_timeout
        self._read_timeout = read_timeout
        self._max_response = max_response
        self._network = Network(
            ca_bundle=ca_bundle,
            client_certificate=client_certificate,
            client_key_password=client_key_password,
            proxies=proxies,
            no_proxy=no_proxy,
            trust_env=trust_env,
            names=setting_names,
        )
        del client_key_password  # hide it from tracebacks with locals
        self._pool_size = pool_size
        self._process, self._adapter = os.getpid(), self._connections()
        #: Adapters from before a fork. Not closed, since another thread may have held their locks,
        #: and still referenced, since garbage collection would close them.
        self._inherited: list[_Adapter] = []

    @classmethod
    def within(cls, timeout: float, **options: Any) -> Self:
        """Return a transport whose timeouts for one attempt fit into the timeout of a call.

        Args:
            timeout: Timeout of the call in seconds.
            **options: Other arguments, such as ``ca_bundle``.
        """
        check_seconds("timeout", timeout)
        connect_timeout = min(CONNECT_TIMEOUT, timeout / 2)
        return cls(
            connect_timeout=connect_timeout,
            read_timeout=min(READ_TIMEOUT, timeout - connect_timeout),
            **options,
        )

    def _connections(self) -> _Adapter:
        made = _Adapter(pool_connections=16, pool_maxsize=self._pool_size, max_retries=0)
        made.key_password = self._network.key_password
        return made

    def send(self, request: HttpRequest, deadline: Deadline) -> HttpResponse:
        """Send a request once; see ``Transport.send``."""
        if self._process != os.getpid():
            # Processes that share a connection could read each other's tokens.
            self._inherited.append(self._adapter)
            self._process, self._adapter = os.getpid(), self._connections()
        remaining = deadline.remaining()
        if remaining <= 0:
            raise ConnectionFailedError(
                f"The deadline of {deadline.seconds:g} s passed before the request was sent.",
                failed="timeout",
            )
        prepared = requests.PreparedRequest()
        prepared.method, prepared.url = request.method, request.url
        prepared.headers = cast("Any", request.headers)
        prepared.headers.setdefault("User-Agent", USER_AGENT)
        prepared.headers["Accept-Encoding"] = "identity"
        if request.body:
            prepared.headers["Content-Length"] = str(len(request.body))
            prepared.body = request.body
        proxy = self._network.proxy_for(request.url)
        flight = _Flight(deadline, self._read_timeout)
        outer, _current.flight = _current.flight, flight
        try:
            answer = cast(
                "BaseHTTPResponse",
                self._adapter.send(
                    prepared,
                    stream=True,
                    timeout=(min(self._connect_timeout, remaining), self._read_timeout),
                    verify=self._network.trusted or True,
                    cert=self._network.certificate,
                    proxies=None if proxy is None else {"all": proxy.address},
                ),
            )
            headers = {name.lower(): value for name, value in answer.headers.items()}
            if answer.status == _PROXY_LOGIN and proxy is not None:
                answer.close()
                failure: TransportError = _refused_by(proxy, answer.status, request)
            elif _REDIRECT_FROM <= answer.status < _REDIRECT_TO:
                answer.close()
                failure = _redirect(answer.status, headers)
            else:
                body = answer.read(self._max_response + 1)
                if len(body) <= self._max_response:
                    if answer.length_remaining:
                        # urllib3 reports this only on a further read; half a form could look valid.
                        answer.close()
                        raise IncompleteRead(len(body), answer.length_remaining)
                    answer.release_conn()
                    return self._decompressed(answer.status, headers, body)
                answer.close()
                failure = ResponseTooLargeError(
                    f"The answer is larger than {self._max_response} bytes; the rest was not read.",
                    evidence=Evidence(status=answer.status, headers=headers),
                )
        except (requests.RequestException, HTTPError, OSError, http.client.HTTPException) as error:
            failure = _failure(error, flight, request, proxy, self._network)
        finally:
            _current.flight = outer
        # Raised outside the except block, because the exception of requests holds the request.
        raise failure

    def _decompressed(self, status: int, headers: dict[str, str], body: bytes) -> HttpResponse:
        coding = headers.pop("content-encoding", "")
        try:
            body, coding = decompress(body, coding, self._max_response)
        except TooLargeError:
            raise ResponseTooLargeError(
                f"The answer is compressed, and larger than {self._max_response} bytes once it is "
                "decompressed; the rest was not read.",
                evidence=Evidence(status=status, headers=headers),
            ) from None
        if coding:
            headers["content-encoding"] = coding
        return HttpResponse(status, headers, body)

    def close(self) -> None:
        """Close idle connections."""
        self._adapter.close()


def _redirect(status: int, headers: Mapping[str, str]) -> RedirectRefusedError:
    # The query of a redirect may contain a code or token, so the error omits it.
    where = _place(headers.get("location", ""))
    return RedirectRefusedError(
        f"The endpoint returned {status} with a redirect to {where or 'nowhere'}. Secrets are not "
        "sent to another URL; if it is the right one, configure it as the endpoint.",
        evidence=Evidence(status=status),
    )


def _place(location: str) -> str:
    """Return the scheme, host, port and path of a URL, for messages."""
    try:
        target = urlsplit(location)
        port = f":{target.port}" if target.port is not None else ""
    except ValueError:
        return "an address that cannot be read"
    host = f"{target.scheme}://{target.hostname}{port}" if target.hostname else ""
    return visible(f"{host}{target.path}")[:_SHOWN]


def _failure(
    error: Exception,
    flight: _Flight,
    request: HttpRequest,
    proxy: ProxyChoice | None,
    network: Network,
) -> TransportError:
    host = urlsplit(request.url).netloc
    failed, what = _describe(error)
    if not flight.left:
        if failed == "proxy" and proxy is not None:
            if (tunnel := _TUNNEL.search(str(error))) is not None:
                return _refused_by(proxy, int(tunnel[1]), request)
            return ConnectionFailedError(
                f"Could not reach the proxy {proxy.shown} on the way to {host}: {what}. Check "
                f"{proxy.setting}, or name {host} in no_proxy or NO_PROXY to connect directly. "
                "Nothing was sent; trying again is safe.",
                failed="proxy",
            )
        # A request without a body may have been sent, but it only reads.
        again = "Nothing was sent; trying" if request.body else "Trying"
        way = "" if proxy is None else f" through the proxy {proxy.shown} ({proxy.setting})"
        return ConnectionFailedError(
            f"Could not reach {host}{way}: {what}. {_advice(what, network)}{again} again is safe.",
            failed=failed,
        )
    return OutcomeUnknownError(
        f"The request was sent to {host} and the answer was lost: {what}. It may or may not have "
        "been carried out. A refresh token that you hold is still yours to try once more; a "
        "single-use code may be spent, so start that login again if it is refused.",
        failed=failed,
        evidence=Evidence(status=flight.status),
    )


def _refused_by(proxy: ProxyChoice, status: int, request: HttpRequest) -> ConnectionFailedError:
    """Return the error for a proxy that did not forward the request to the provider."""
    host = urlsplit(request.url).netloc
    if status == _PROXY_LOGIN:
        advice = (
            f"put a user name and password into {proxy.setting}: http://USER:PASSWORD@HOST:PORT"
        )
    else:
        advice = (
            f"check {proxy.setting} and that the proxy allows {host}, or name {host} in no_proxy "
            "or NO_PROXY to connect directly"
        )
    asked = "asks for a login" if status == _PROXY_LOGIN else "does not connect"
    return ConnectionFailedError(
        f"The proxy {proxy.shown} {asked} on the way to {host} (status {status}): {advice}. "
        "Nothing was sent.",
        failed="proxy",
    )


def _advice(what: str, network: Network) -> str:
    """Return the advice for a TLS failure."""
    if "certificate" not in what.lower():
        return ""
    if "CERTIFICATE_REQUIRED" in what or "BAD_CERTIFICATE" in what:
        return "The server asks for a certificate of the client: set client_certificate. "
    if network.trusted is None:
        return (
            "If the server's certificate comes from a private authority, set ca_bundle, or the "
            "variable SSL_CERT_FILE, to the authority's certificate. "
        )
    return (
        f"The certificates trusted are those of {network.trusted} ({network.trusted_by}); add the "
        "server's authority there. "
    )


def _describe(error: BaseException) -> tuple[str, str]:
    """Return what failed (see ``TransportError.failed``) and the innermost cause.

    requests wraps urllib3's error, which wraps the socket's.
    """
    seen: set[int] = set()
    cause: BaseException | None = error
    last = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        last = cause
        inner = getattr(cause, "reason", None)
        if not isinstance(inner, BaseException):
            inner = next((arg for arg in cause.args if isinstance(arg, BaseException)), None)
        cause = inner or cause.__cause__ or cause.__context__
    if isinstance(last, (requests.Timeout, ReadTimeoutError, TimeoutError)):
        failed, what = "timeout", "timed out"
    elif (
        isinstance(last, (SSLError, requests.exceptions.SSLError)) or "ssl" in type(last).__module__
    ):
        why = getattr(last, "verify_message", "") or getattr(last, "reason", "")
        failed, what = "tls", f"TLS failed ({why})"
    elif isinstance(last, http.client.RemoteDisconnected):
        failed, what = "connection", "the server closed the connection without a response"
    elif isinstance(last, http.client.IncompleteRead):
        failed, what = "connection", "the response was truncated"
    elif isinstance(last, OSError) and last.strerror:
        failed, what = "connection", last.strerror.lower()
    else:
        failed, what = "connection", type(last).__name__
    if isinstance(error, requests.exceptions.ProxyError):
        failed = "proxy"
    return failed, what


def _user_agent() -> str:
    from grantway import (  # noqa: PLC0415 - the package is lazy, and this module is part of it
        __version__,
    )

    return f"grantway/{__version__}"


USER_AGENT = _user_agent()
