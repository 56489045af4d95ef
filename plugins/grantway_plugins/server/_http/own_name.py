"""Detect DNS rebinding by the ``Host`` header.

A web page can point its domain at this machine, and its browser then lets it read the responses.
The ``Host`` header reveals this: it contains the page's domain.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from grantway._transport.http import is_loopback

from .host_name import is_own_host

_HTTP = 80


def is_own_name(scope: Any) -> bool:
    """Return whether a request to a loopback address names this machine in ``Host``.

    Names are IP addresses and ``localhost``. A ``Host`` with another port comes from the caller of
    a proxy and is accepted.

    Args:
        scope: The ASGI scope.
    """
    server = scope.get("server")
    if server is None or not is_loopback(server[0]):
        return True
    hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
    return all(_port(host) != server[1] or is_own_host(host, "") for host in hosts)


def _port(host: str) -> int | None:
    try:
        return urlsplit(f"//{host}").port or _HTTP
    except ValueError:
        return None
