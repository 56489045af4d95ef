"""Connections through SOCKS proxies, with PySocks."""

from __future__ import annotations

import errno
import socket
from importlib import import_module
from typing import Any
from urllib.parse import unquote, urlsplit

from .proxies import ProxyChoice
from .sending import Sending
from .stream import connect_to_first

_PORT = 1080


async def connect_through_socks(
    proxy: ProxyChoice, host: str, port: int, sending: Sending
) -> socket.socket:
    """Return a socket that is connected through a SOCKS proxy. Blocks, and never suspends.

    Raises:
        OSError: the connection failed, or a limit passed.
    """
    socks: Any = import_module("socks")  # optional, and without types
    parts = urlsplit(proxy.address)
    kind = socks.SOCKS4 if parts.scheme.startswith("socks4") else socks.SOCKS5
    # The proxies of these schemes look up the name themselves.
    remote = parts.scheme in {"socks4a", "socks5h"}
    login = [None if each is None else unquote(each) for each in (parts.username, parts.password)]

    class Bounded(socks.socksocket):  # type: ignore[misc]
        """Limits the whole negotiation, whereas PySocks limits each read."""

        def recv_into(self, *args: Any, **options: Any) -> Any:
            self.settimeout(sending.timeout())
            return super().recv_into(*args, **options)

    async def connect(sock: Any, address: Any, seconds: float) -> None:
        sock.settimeout(seconds)
        sock.set_proxy(kind, *address[:2], remote, *login)
        try:
            sock.connect((host, port))
        except socks.ProxyError as error:
            problem, cause = error.msg, error.socket_err
            while isinstance(cause, socks.ProxyError):  # it wraps its own errors too
                problem, cause = cause.msg, cause.socket_err
        except UnicodeError:
            problem, cause = "the host name is invalid", None
        else:
            return
        # Outside the except block, because the exceptions of PySocks have no error number.
        raise cause or OSError(errno.EPROTO, problem)

    addresses = socket.getaddrinfo(parts.hostname, parts.port or _PORT, type=socket.SOCK_STREAM)
    connected = await connect_to_first(addresses, sending, connect, Bounded)
    return socket.socket(fileno=connected.detach())
