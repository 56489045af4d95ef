"""An address to listen on, opened before a server runs, so that a mistake is reported at once."""

from __future__ import annotations

import socket

from grantway._exceptions import ConfigurationError
from grantway._types.quantity import check_count

#: Connections that the operating system keeps until they are accepted.
_BACKLOG = 2048


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket; port 0 picks a free one.

    Args:
        host: An address, IPv4 or IPv6, or a name.
        port: The port.

    Raises:
        ConfigurationError: the address cannot be used.
    """
    check_count("port", port, least=0, most=65_535)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named, asyncio turns Nagle's delay off; without it, each call costs 44 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError as failed:
        listener.close()
        raise ConfigurationError(
            f"Cannot listen on {host}:{port} ({failed}); stop what listens there, or use port 0",
            errors={"port": ["cannot be listened on"]},
        ) from None
    return listener


def address_of(host: str, listener: socket.socket) -> str:
    """Return the URL of a listening socket, like ``http://127.0.0.1:8400``."""
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{listener.getsockname()[1]}"
