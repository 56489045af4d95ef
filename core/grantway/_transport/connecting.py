"""Open connections: directly, through proxies, and with TLS."""

from __future__ import annotations

from typing import Protocol
from urllib.parse import urlsplit

from .codec import ResponseParser
from .network import Network
from .proxies import ProxyChoice
from .route import Route
from .sending import Sending
from .stream import Stream

_SUCCESS_FROM, _SUCCESS_TO = 200, 300
_PORTS = {"http": 80, "https": 443}


class ProxyRejectedError(Exception):
    """The proxy did not open a tunnel.

    Attributes:
        status: The proxy's HTTP status.
    """

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Connector(Protocol):
    """Opens connections: ``BlockingStream`` or ``LoopStream``."""

    async def connect(self, host: str, port: int, sending: Sending) -> Stream:
        """Connect to a host."""
        ...

    async def connect_socks(
        self, proxy: ProxyChoice, host: str, port: int, sending: Sending
    ) -> Stream:
        """Connect to a host through a SOCKS proxy."""
        ...


async def connect(connector: Connector, route: Route, network: Network, sending: Sending) -> Stream:
    """Return a new connection to the server of a route.

    Raises:
        OSError: a connection failed, a limit passed, or the host is not allowed.
        ProxyRejectedError: the proxy did not open a tunnel.
        InvalidResponseError: the proxy's response is not HTTP.
    """
    proxy = route.proxy
    if sending.choose is not None and proxy is not None:
        from .public_addresses import check_literal  # noqa: PLC0415 - few transports need it

        check_literal(route.host)
    if proxy is None:
        stream = await connector.connect(route.host, route.port, sending)
    elif proxy.is_socks:
        stream = await connector.connect_socks(proxy, route.host, route.port, sending)
    else:
        sending.reaching_proxy = True
        stream = await _connect_proxy(connector, proxy, route, network, sending)
        sending.reaching_proxy = False
    if not route.tls:
        return stream
    try:
        return await _secure(stream, network, route.host, sending)
    except BaseException:
        stream.close()
        raise


async def _secure(
    stream: Stream, network: Network, host: str, sending: Sending, *, client: bool = True
) -> Stream:
    """Return a TLS connection on a stream, with the client certificate if there is one."""
    from .tls import TlsStream  # noqa: PLC0415 - loads ssl

    secured = TlsStream(stream, network.tls_context(client=client), host)
    await secured.handshake(sending)
    return secured


async def _connect_proxy(
    connector: Connector, proxy: ProxyChoice, route: Route, network: Network, sending: Sending
) -> Stream:
    scheme, host, port = _place(proxy)
    stream = await connector.connect(host, port, sending)
    try:
        if scheme == "https":
            stream = await _secure(stream, network, host, sending, client=False)
        if route.tls:
            await _open_tunnel(stream, proxy, route, sending)
    except BaseException:
        stream.close()
        raise
    return stream


def _place(proxy: ProxyChoice) -> tuple[str, str, int]:
    """Return the scheme, host and port of a proxy, without its password."""
    parts = urlsplit(proxy.address)
    return parts.scheme, parts.hostname or "", parts.port or _PORTS[parts.scheme]


async def _open_tunnel(stream: Stream, proxy: ProxyChoice, route: Route, sending: Sending) -> None:
    place = route.authority
    request = memoryview(
        f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n{proxy.login_line}\r\n".encode()
    )
    await stream.send(request, sending)
    parser = ResponseParser(0, head_only=True)
    while not parser.complete:
        parser.feed(await stream.receive(sending))
    status = parser.status or 0
    if not _SUCCESS_FROM <= status < _SUCCESS_TO:
        raise ProxyRejectedError(status)
