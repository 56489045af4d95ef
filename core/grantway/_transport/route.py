"""The way to the server of a URL, determined once per URL."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import SplitResult, quote, urlsplit

from grantway._exceptions import ConfigurationError

from .network import Network
from .proxies import ProxyChoice

#: Characters of a request target that are sent unchanged: reserved, and percent signs.
_SAFE = "%/:=&?~#+!$,;'@()*[]"
_PORTS = {"http": 80, "https": 443}


@dataclass(slots=True, eq=False)
class Route:
    """The way to a server.

    Attributes:
        host: The host without brackets, in ASCII.
        port: The port.
        tls: Whether the URL is https.
        proxy: The proxy, or None.
        line: The rest of the request line, after the method.
        host_line: The ``Host`` header.
        login_line: The header with the login for a proxy that forwards plain http; may be empty.
        key: Connections with equal keys are interchangeable.
    """

    host: str
    port: int
    tls: bool
    proxy: ProxyChoice | None
    line: str = field(repr=False)
    host_line: str = field(repr=False)
    login_line: str = field(repr=False)
    key: tuple[str, int, bool]

    @property
    def authority(self) -> str:
        """The host and port, as in a CONNECT request."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def route_to(url: str, network: Network) -> Route:
    """Return the way to the server of a URL.

    Raises:
        ConfigurationError: the URL is not http or https, or the proxy needs a library that is not
            installed.
    """
    try:
        parts = urlsplit(url)
        host, port = _ascii(parts.hostname or ""), parts.port or _PORTS[parts.scheme]
    except (ValueError, KeyError):
        parts, host, port = SplitResult("", "", "", "", ""), "", 0
    if not host:
        raise ConfigurationError(
            "The URL of a request must be an absolute http or https address, like "
            '"https://example.com/token". Nothing was sent.',
            errors={"url": ["must be an absolute http or https address"]},
        )
    tls = parts.scheme == "https"
    proxy = network.proxy_for(url)
    target = quote(parts.path or "/", _SAFE)
    if parts.query:
        target += f"?{quote(parts.query, _SAFE)}"
    shown = f"[{host}]" if ":" in host else host
    if port != _PORTS[parts.scheme]:
        shown += f":{port}"
    login_line = ""
    if proxy is not None and not tls and not proxy.is_socks:
        target = f"http://{shown}{target}"
        login_line = proxy.login_line
    line, host_line = f" {target} HTTP/1.1\r\n", f"Host: {shown}\r\n"
    return Route(host, port, tls, proxy, line, host_line, login_line, (host, port, tls))


def _ascii(host: str) -> str:
    if host.isascii():
        return host
    import idna  # noqa: PLC0415 - few hosts need it

    return idna.encode(host, strict=True, std3_rules=True).decode()
