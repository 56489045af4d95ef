"""Redirect URIs: validation and matching (RFC 6749 section 3.1.2, RFC 8252 section 7)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, urlencode, urlsplit

from grantway._exceptions import ConfigurationError

#: Hosts on this machine, for which any port is accepted (RFC 8252 section 7.3). Native clients with
#: a metadata document use localhost with a free port as well.
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:[A-Za-z0-9\-._~:/?\[\]@!$&'()*+,;=%]+")


def check_redirect_uri(uri: Any) -> str:
    """Check a redirect URI before it is registered.

    Allowed are https, http to this machine, and private-use schemes with a dot
    (RFC 8252 section 7.1).

    Raises:
        ConfigurationError: the URI is not allowed.
    """
    if not isinstance(uri, str) or len(uri) > 2000 or not _URI.fullmatch(uri):  # noqa: PLR2004
        raise ConfigurationError("must be a URI without fragment, like http://127.0.0.1/callback")
    parts = _split(uri)
    if parts is None or "@" in parts.netloc:
        raise ConfigurationError("must be a URI without user name and with a valid port")
    if parts.scheme == "https" and parts.hostname:
        return uri
    if parts.scheme == "http" and parts.hostname in LOOPBACK:
        return uri
    if "." in parts.scheme:
        return uri
    raise ConfigurationError(
        "must be https, http to 127.0.0.1, or a private-use scheme with a dot, like "
        "com.example.app:/"
    )


def is_registered(uri: str, registered: tuple[str, ...]) -> bool:
    """Return whether a client may use this redirect URI.

    The URI must equal a registered one. The port may differ for http to this machine.
    """
    if uri in registered:
        return True
    if not _URI.fullmatch(uri):
        return False
    portless = _without_port(uri)
    return portless is not None and any(portless == _without_port(each) for each in registered)


def with_query(uri: str, params: Mapping[str, str]) -> str:
    """Return a redirect URI with parameters added to its query."""
    separator = "&" if "?" in uri else "?"
    return f"{uri}{separator}{urlencode(params)}"


def is_web(uri: str) -> bool:
    """Return whether the scheme is http or https."""
    parts = _split(uri)
    return parts is not None and parts.scheme in {"http", "https"}


def stays_on_this_machine(uri: str) -> bool:
    """Return whether the URI refers to the browser's own machine."""
    parts = _split(uri)
    return parts is not None and parts.scheme == "http" and parts.hostname in LOOPBACK


def destination(uri: str) -> str:
    """Return the part of a redirect URI to show to the user: its host or private-use scheme."""
    parts = _split(uri)
    if parts is not None and is_web(uri):
        return parts.netloc
    return f"{uri.partition(':')[0]}:"


def _split(uri: str) -> SplitResult | None:
    try:
        parts = urlsplit(uri)
        _ = parts.port
    except ValueError:
        return None
    return parts


def _without_port(uri: str) -> str | None:
    """Return a loopback URI without its port; None for other URIs."""
    parts = _split(uri)
    if parts is None or parts.scheme != "http" or parts.hostname not in LOOPBACK:
        return None
    if "@" in parts.netloc or not uri.startswith("http://"):
        return None
    host = "[::1]" if parts.hostname == "::1" else parts.hostname
    return f"http://{host}{uri[len('http://') + len(parts.netloc) :]}"
