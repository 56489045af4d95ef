"""Connections that keep a deadline and record how far a request got."""

from __future__ import annotations

import http.client
import io
import socket
import threading
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection

from .deadline import Deadline

#: Minimum socket timeout in seconds; zero would make the socket non-blocking.
_LEAST = 0.001


@dataclass(slots=True)
class Sending:
    """The state of the request that this thread is sending.

    Attributes:
        deadline: The deadline of the call.
        read_timeout: Seconds for each read.
        body_sent: Whether any of the body was passed to the socket.
        closed: Whether the server closed the connection.
        status: The HTTP status, once received.
    """

    deadline: Deadline
    read_timeout: float
    body_sent: bool = False
    closed: bool = False
    status: int | None = None


class _Current(threading.local):
    sending: Sending | None = None


current = _Current()


class _BoundedRaw(io.RawIOBase):
    """A socket reader whose reads stop at the deadline."""

    def __init__(self, sock: socket.socket, sending: Sending) -> None:
        super().__init__()
        self._sock = sock
        self._raw = sock.makefile("rb", buffering=0)
        self._sending = sending

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        sending = self._sending
        remaining = sending.deadline.remaining()
        if remaining <= 0:
            raise TimeoutError("the deadline of the call has passed")
        self._sock.settimeout(max(_LEAST, min(sending.read_timeout, remaining)))
        count = cast("io.RawIOBase", self._raw).readinto(buffer)
        sending.closed = count == 0
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _BoundedSocket:
    """Wraps a socket so that ``http.client`` reads it with the deadline."""

    def __init__(self, sock: socket.socket, sending: Sending) -> None:
        self._sock, self._sending = sock, sending

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_BoundedRaw(self._sock, self._sending))


class _Response(http.client.HTTPResponse):
    """A response that is read with the deadline, including the status line and headers."""

    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        sending = current.sending
        reader = sock if sending is None else cast("socket.socket", _BoundedSocket(sock, sending))
        super().__init__(reader, *args, **options)

    def begin(self) -> None:
        super().begin()
        sending = current.sending
        if sending is not None:
            if sending.closed:
                # http.client treats the end of the connection as the end of the headers.
                raise http.client.IncompleteRead(b"")
            sending.status = self.status


class _SendRecorder:
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
        if self._in_body and current.sending is not None:
            current.sending.body_sent = True
        super().send(data)  # type: ignore[misc]


class _HttpConnection(_SendRecorder, HTTPConnection):
    pass


class _HttpsConnection(_SendRecorder, HTTPSConnection):
    pass


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = cast("Any", _HttpConnection)


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = cast("Any", _HttpsConnection)


class Adapter(HTTPAdapter):
    """requests' adapter with our connections, returning urllib3's response unchanged.

    ``requests`` would add cookies, history and a guess of the charset, which are not needed here
    and cost as much as the request itself.
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
        # requests looks up the pool of a host for every request, which costs 5 % of the request.
        # A transport has one proxy, one trust store and one certificate, so the host suffices.
        host_key = urlsplit(cast("str", request.url))[:2]
        pool = self._pools.get(host_key)
        if pool is None or pool.pool is None:  # closed, or dropped for other hosts
            pool = super().get_connection_with_tls_context(request, *args, **options)
            if len(self._pools) >= self._most_pools:
                self._pools.clear()
            self._pools[host_key] = pool
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
