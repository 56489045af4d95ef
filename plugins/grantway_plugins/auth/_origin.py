"""Scheme, host and port: who a request is for (RFC 6454)."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple
from urllib.parse import urlsplit

from grantway._exceptions import ConfigurationError

_PORTS = {"http": 80, "https": 443}


class Origin(NamedTuple):
    """Who a request is for."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if _PORTS.get(self.scheme) == self.port else f":{self.port}"
        return f"{self.scheme}://{host}{port}"


def origin_of(url: str, name: str) -> Origin:
    """The origin of an address.

    Args:
        url: The address.
        name: What it is called, for the error.

    Raises:
        ConfigurationError: not an absolute http or https address.
    """
    try:
        parts = urlsplit(url)
        # A backslash ends the host for some readers of addresses and not for others.
        if "\\" not in parts.netloc:
            return _origin(parts.scheme, parts.netloc.rpartition("@")[2])
    except ValueError:
        pass
    message = 'must be an absolute https address, like "https://api.example.com".'
    raise ConfigurationError(f"{name}: {message}", errors={name: [message]})


@lru_cache(1024)
def _origin(scheme: str, netloc: str) -> Origin:
    """Raise ValueError where it is none."""
    parts = urlsplit(f"//{netloc}")
    host, port = parts.hostname, parts.port
    if scheme not in _PORTS or not host:
        raise ValueError(scheme)
    # As HTTP libraries ask for it, so that "bücher.example" is the host that they mean.
    host = host if host.isascii() else host.encode("idna").decode()
    return Origin(scheme, host, _PORTS[scheme] if port is None else port)
