"""Origins: scheme, host and port (RFC 6454)."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple
from urllib.parse import urlsplit

from grantway._exceptions import ConfigurationError

_PORTS = {"http": 80, "https": 443}
#: A WebSocket is opened by an HTTP request (RFC 6455 section 4.1).
_SCHEMES = {"ws": "http", "wss": "https"}


class Origin(NamedTuple):
    """The scheme, host and port of a URL."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if _PORTS.get(self.scheme) == self.port else f":{self.port}"
        return f"{self.scheme}://{host}{port}"


def origin_of(url: str, name: str) -> Origin:
    """Return the origin of a URL.

    Args:
        url: The URL.
        name: Name of the argument, for the error.

    Raises:
        ConfigurationError: The text is not an absolute http or https URL.
    """
    try:
        parts = urlsplit(url)
        # URL parsers disagree on whether a backslash ends the host.
        if "\\" not in parts.netloc:
            return _origin(parts.scheme, parts.netloc.rpartition("@")[2])
    except ValueError:
        pass
    raise invalid(name, 'must be an absolute https URL, such as "https://api.example.com".')


def invalid(name: str, message: str) -> ConfigurationError:
    """Return the error for an invalid argument or value."""
    return ConfigurationError(f"{name}: {message}", errors={name: [message]})


@lru_cache(1024)
def _origin(scheme: str, netloc: str) -> Origin:
    """Return the origin, or raise ValueError."""
    parts = urlsplit(f"//{netloc}")
    host, port, scheme = parts.hostname, parts.port, _SCHEMES.get(scheme, scheme)
    if scheme not in _PORTS or not host:
        raise ValueError(scheme)
    # Encode the host as HTTP libraries do, so that "bücher.example" is the same host for both.
    host = host if host.isascii() else host.encode("idna").decode()
    return Origin(scheme, host, _PORTS[scheme] if port is None else port)
