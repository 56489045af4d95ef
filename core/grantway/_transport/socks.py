"""Connections through SOCKS proxies, with PySocks."""

from __future__ import annotations

import errno
import socket
from importlib import import_module
from typing import Any
from urllib.parse import unquote, urlsplit

from .proxies import ProxyChoice

_PORT = 1080


def connect_through_socks(
    proxy: ProxyChoice, host: str, port: int, timeout: float
) -> socket.socket:
    """Return a socket that is connected through a SOCKS proxy.

    Raises:
        OSError: the connection failed.
    """
    socks: Any = import_module("socks")  # optional, and without types

    parts = urlsplit(proxy.address)
    kind = socks.SOCKS4 if parts.scheme.startswith("socks4") else socks.SOCKS5
    try:
        connected: socket.socket = socks.create_connection(
            (host, port),
            timeout=timeout,
            proxy_type=kind,
            proxy_addr=parts.hostname,
            proxy_port=parts.port or _PORT,
            # The proxies of these schemes look up the name themselves.
            proxy_rdns=parts.scheme in {"socks4a", "socks5h"},
            proxy_username=None if parts.username is None else unquote(parts.username),
            proxy_password=None if parts.password is None else unquote(parts.password),
            socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
        )
    except socks.ProxyError as error:
        problem, cause = error.msg, error.socket_err
    except UnicodeError:
        problem, cause = "the host name is invalid", None
    else:
        return connected
    # Outside the except block, because the exceptions of PySocks have no error number.
    raise cause or OSError(errno.EPROTO, problem)
