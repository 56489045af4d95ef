"""The upstream of a route."""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from grantway._transport.network import Network

from .headers import Pair
from .location import host_and_port, rewritten
from .upstream_pool import Place

_PORTS = {"http": 80, "https": 443}
_LOCATIONS = frozenset({b"location", b"content-location"})


@dataclass(frozen=True, slots=True)
class Target:
    """The upstream of a route.

    Attributes:
        origin: Scheme, host and port, such as ``http://127.0.0.1:9000``.
        place: The host and port to connect to, and the TLS settings.
        prefix: Path to add before the path of a request.
        whole: Path of a request from whose path nothing is left.
        stripped: Prefix to remove from the path of a request.
        host: The ``Host`` to send; empty to forward that of the request.
        connect_timeout: Seconds to connect, including the name lookup and the TLS handshake.
        answer_timeout: Seconds without a byte from the upstream.
        idle_timeout: Seconds without a byte in event streams and WebSockets.
        rewrites: Whether to rewrite ``Location`` and ``Content-Location`` to lead to the gateway.
    """

    origin: str
    place: Place
    prefix: str
    whole: str
    stripped: str
    host: bytes
    connect_timeout: float
    answer_timeout: float
    idle_timeout: float
    rewrites: bool = False

    @classmethod
    def of(cls, route: Mapping[str, Any], network: Network | None = None) -> Target | None:
        """Return the target of a route, or None if the route has no upstream.

        Args:
            route: The table of the route in the file.
            network: Trusted certificates and client certificate; None for the system's defaults.
        """
        if "upstream" not in route:
            return None
        parts = urlsplit(route["upstream"])
        return cls(
            origin=f"{parts.scheme}://{parts.netloc}",
            place=Place(
                parts.hostname or "",
                parts.port or _PORTS[parts.scheme],
                None if parts.scheme == "http" else _tls(network),
            ),
            prefix=parts.path.rstrip("/"),
            whole=parts.path or "/",
            stripped=route["path"].rstrip("/") if route["strip_path"] else "",
            host=b"" if route["keep_host"] else parts.netloc.encode("ascii"),
            connect_timeout=route["connect_timeout"],
            answer_timeout=route["answer_timeout"],
            idle_timeout=route["idle_timeout"],
            rewrites=route["rewrite_location"],
        )

    def path(self, path: str) -> str:
        """Return the path of a request at the upstream."""
        rest = path.removeprefix(self.stripped)
        return self.prefix + rest if rest else self.whole

    def rewritten(self, headers: Sequence[Pair], host: bytes) -> Sequence[Pair]:
        """Return the headers of a response, with URLs at the upstream leading to the gateway.

        Args:
            headers: Headers of the response.
            host: ``Host`` of the forwarded request.
        """
        if not self.rewrites:
            return headers
        hosts = (host_and_port(self.origin), host_and_port(f"//{host.decode('latin-1').lower()}"))
        return [
            (name, rewritten(value, hosts=hosts, prefix=self.prefix, added=self.stripped))
            if name.lower() in _LOCATIONS
            else (name, value)
            for name, value in headers
        ]


def _tls(network: Network | None) -> ssl.SSLContext:
    context = ssl.create_default_context() if network is None else network.ssl_context()
    context.set_alpn_protocols(["http/1.1"])
    return context
