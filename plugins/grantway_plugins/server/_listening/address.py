"""Open the listening socket before the server starts, so that errors are reported at once."""

from __future__ import annotations

import errno
import socket

from grantway._exceptions import ConfigurationError
from grantway._types.quantity import check_count

#: Maximum number of connections that wait to be accepted.
_BACKLOG = 2048
_ADVICE = {
    errno.EADDRINUSE: "stop the program that uses the port, or choose another port (0: any)",
    errno.EADDRNOTAVAIL: "choose an address of this machine",
    errno.EACCES: "choose a port above 1023, or permit this user to use it",
}


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket.

    Args:
        host: An IPv4 or IPv6 address, or a host name.
        port: The port; 0 picks a free one.

    Raises:
        ConfigurationError: the address cannot be used.
    """
    check_count("port", port, least=0, most=65_535)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sets TCP_NODELAY only if the protocol is given. Without it, requests take 44 ms more.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError as failed:
        listener.close()
        advice = _ADVICE.get(failed.errno or 0, "choose another address or port")
        raise ConfigurationError(
            f"Cannot listen on {host}:{port} ({failed}); {advice}",
            errors={"port": ["must be available"]},
        ) from None
    return listener


def reserve(host: str, port: int) -> socket.socket:
    """Return a socket that keeps an address for processes that listen on it with SO_REUSEPORT.

    Args:
        host: As for ``listen``.
        port: As for ``listen``.

    Raises:
        ConfigurationError: the address cannot be used.
    """
    with listen(host, port) as found:  # reports a program that uses the address
        address = found.getsockname()
    reserved = socket.socket(found.family, socket.SOCK_STREAM)
    try:
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        reserved.bind(address)
    except BaseException:
        reserved.close()
        raise
    return reserved


def address_of(host: str, listener: socket.socket, scheme: str = "http") -> str:
    """Return the URL of a listening socket, like ``http://127.0.0.1:8400``."""
    shown = f"[{host}]" if ":" in host else host
    return f"{scheme}://{shown}:{listener.getsockname()[1]}"
