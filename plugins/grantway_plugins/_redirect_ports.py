"""Ports of redirect URIs on this machine, for providers that compare whole URIs.

A provider must ignore the port of a loopback redirect URI (RFC 8252 section 7.3). Many do not, such
as those of MCP's Python SDK, and show an error page to the user, so that the login waits in vain.
Therefore a client registers a few ports, and its logins use the first that is free.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from urllib.parse import urlsplit

from grantway._exceptions import ConfigurationError
from grantway._transport.http import is_loopback
from grantway._types.token import Token
from grantway_grants._callback import redirect_uris as with_each_port

#: Number of ports to register.
_COUNT = 3
#: Ports that systems use neither for outgoing connections nor for services.
_RANGE = range(20_000, 32_768)
#: Any free port.
_ANY = 0


def with_ports(redirect_uris: Iterable[str]) -> list[str]:
    """Return the redirect URIs to register.

    Those on this machine without a port are preceded by the same URI with some ports, chosen at
    random, so that programs and users of a machine seldom choose the same.

    Raises:
        ConfigurationError: A redirect URI has an invalid host or port.
    """
    ports = [*random.sample(_RANGE, _COUNT), _ANY]
    return [
        each
        for uri in redirect_uris
        for each in (with_each_port(uri, ports) if _lacks_port(uri) else [uri])
    ]


def ports_of(registration: Token, redirect_uri: str) -> tuple[int, ...] | None:
    """Return the ports to try for a login, or None if none were registered.

    Args:
        registration: The registration of the client.
        redirect_uri: The redirect URI of the login, without a port.
    """
    registered: Sequence[str] = registration.extra.get("redirect_uris", ())
    found = [
        port
        for port in (urlsplit(each).port for each in registered if each != redirect_uri)
        if port and with_each_port(redirect_uri, [port])[0] in registered
    ]
    return (*found, _ANY) if found and _lacks_port(redirect_uri) else None


def _lacks_port(uri: str) -> bool:
    try:
        parts = urlsplit(uri)
        return parts.scheme == "http" and parts.port is None and is_loopback(parts.hostname or "")
    except ValueError:
        problem = f"{uri!r} has an invalid host or port; use a URL like http://127.0.0.1/callback"
        raise ConfigurationError(
            f"redirect_uri: {problem}.", errors={"redirect_uri": [problem]}
        ) from None
