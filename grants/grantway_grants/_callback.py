"""The redirect URI of a login, and the addresses to listen on for it (RFC 8252 section 7)."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from grantway._exceptions import ConfigurationError, InsecureEndpointError
from grantway._transport.http import require_secure

_HIGHEST_PORT = 65535
#: Number of free ports to try until one is free on both addresses of ``localhost``.
_FREE_PORTS = 8
#: An IPv6 address must be in brackets if a port follows.
_LISTEN = re.compile(
    r"(?P<bare>[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*)"
    r"|(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<host>[^:\[\]]+))(?::(?P<port>\d{1,5}))?"
)
_LOCALHOST = ("127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Callback:
    """The redirect URI of a login, and the addresses to listen on for it.

    Attributes:
        redirect: The redirect URI, split.
        hosts: Addresses to listen on, all with the same port.
        ports: Ports to try, in this order; 0 means any free port.
        adds_port: Whether to add the port to the redirect URI.
    """

    redirect: SplitResult
    hosts: tuple[str, ...]
    ports: tuple[int, ...]
    adds_port: bool

    @classmethod
    def of(
        cls, redirect_uri: str, listen: str | None = None, ports: Sequence[int] | None = None
    ) -> Callback:
        """Return the callback for the settings of a login.

        Args:
            redirect_uri: The registered redirect URI: http to this machine, or https.
            listen: The address to listen on, with or without a port, if it differs from
                ``redirect_uri``.
            ports: Ports to try, in this order.

        Raises:
            ConfigurationError: an argument is invalid. The message names it.
        """
        redirect = _redirect(redirect_uri)
        choice = check_ports(ports)
        host, port = _listen(listen) if listen is not None else (redirect.hostname or "", None)
        if listen is None and redirect.scheme != "http":
            raise _wrong(
                "listen",
                f"is required for {redirect.scheme}://{redirect.netloc}: set the address to which "
                'a proxy forwards requests, like "127.0.0.1:8765".',
            )
        if choice and (port or redirect.port):
            named = "listen" if port else "redirect_uri"
            raise _wrong(
                "ports", f"must be omitted, because {named} has the port {port or redirect.port}."
            )
        hosts = _LOCALHOST if host == "localhost" else (host,)
        chosen = choice or tuple(each for each in (port or redirect.port,) if each)
        takes_any = chosen[-1:] in {(), (0,)}
        if takes_any and redirect.scheme != "http":
            raise _wrong(
                "listen", f'must include the port that a proxy forwards to, like "{host}:8765".'
            )
        any_port = (0,) * (_FREE_PORTS if len(hosts) > 1 else 1)
        return cls(
            redirect=redirect,
            hosts=hosts,
            ports=(*chosen[:-1], *any_port) if takes_any else chosen,
            adds_port=redirect.scheme == "http" and not redirect.port,
        )

    def redirect_uri(self, port: int) -> str:
        """Return the redirect URI for a login that listens on a port."""
        return with_port(self.redirect.geturl(), port) if self.adds_port else self.redirect.geturl()


def with_port(uri: str, port: int) -> str:
    """Return a URL with another port."""
    parts = urlsplit(uri)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return parts._replace(netloc=f"{host}:{port}").geturl()


def redirect_uris(redirect_uri: str, ports: Sequence[int] | None = None) -> list[str]:
    """Return the redirect URIs to register for a login: one for each port, if there are several.

    The port 0, which stands for any, is left out of the URI.

    Args:
        redirect_uri: As for ``Callback.of``.
        ports: As for ``Callback.of``.
    """
    if not ports:
        return [redirect_uri]
    return [with_port(redirect_uri, port) if port else redirect_uri for port in ports]


def check_ports(ports: Sequence[int] | None) -> tuple[int, ...]:
    """Return the ports as a tuple; empty for None. The last one may be 0, for any free port.

    Raises:
        ConfigurationError: it is empty or not a list of port numbers.
    """
    if ports is None:
        return ()
    rule = "must be a list of port numbers from 1 to 65535, like [8765, 8766]. The last may be 0."
    if isinstance(ports, (str, bytes)) or not isinstance(ports, Sequence) or not ports:
        raise _wrong("ports", rule)
    for number, port in enumerate(ports, 1):
        least = 0 if number == len(ports) > 1 else 1
        if (
            isinstance(port, bool)
            or not isinstance(port, int)
            or not least <= port <= _HIGHEST_PORT
        ):
            raise _wrong("ports", rule)
    return tuple(ports)


def _redirect(redirect_uri: str) -> SplitResult:
    try:
        require_secure(redirect_uri, "redirect_uri")
        return urlsplit(redirect_uri)
    except InsecureEndpointError:
        raise
    except ConfigurationError:
        raise _wrong(
            "redirect_uri",
            "must be a URL without a fragment, like http://127.0.0.1/callback, or https if a proxy "
            "forwards it to this program.",
        ) from None


def _listen(listen: str) -> tuple[str, int | None]:
    found = _LISTEN.fullmatch(listen) if isinstance(listen, str) else None
    if found is not None:
        host = found["six"] or found["bare"] or found["host"]
        port = int(found["port"]) if found["port"] else None
        if (host == "localhost" or _is_ip(host)) and (port is None or 0 < port <= _HIGHEST_PORT):
            return host, port
    raise _wrong(
        "listen",
        'must be an IP address or localhost, with or without a port, like "127.0.0.1:8765", '
        '"0.0.0.0" or "[::1]:8765".',
    )


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _wrong(name: str, rule: str) -> ConfigurationError:
    return ConfigurationError(f"{name}: {rule}", errors={name: [rule]})
