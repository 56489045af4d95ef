"""Addresses in an upstream's answer, as the gateway's caller can reach them."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

_SCHEMES = frozenset({"", "http", "https"})
_DEFAULT_PORTS = frozenset({None, 80, 443})


def rewritten(location: bytes, *, hosts: tuple[str, ...], prefix: str, added: str) -> bytes:
    """Return a ``Location`` that leads to the gateway, as a path; others as they came.

    A path needs no scheme or host, so it is right behind any proxy (RFC 9110 section 10.2.2).

    Args:
        location: The header's value.
        hosts: Names of the upstream, each with its port unless that is a default.
        prefix: Begins the upstream's paths; others are not the gateway's.
        added: Replaces the prefix.
    """
    try:
        parts = urlsplit(location.decode("ascii"))
        foreign = bool(parts.netloc) and _place(parts) not in hosts
    except ValueError:
        return location
    # Without a host, only a path from the root counts: others are relative to the request's.
    named = bool(parts.netloc) and parts.path == prefix
    under = named or parts.path == (prefix or "/") or parts.path.startswith(f"{prefix}/")
    if foreign or not under or (parts.scheme and not parts.netloc) or not parts.path.isprintable():
        return location
    path = f"{added}{parts.path.removeprefix(prefix)}" or "/"
    if path.startswith(("//", "/\\")):  # browsers would read a host
        path = f"/.{path}"
    query = f"?{parts.query}" if parts.query else ""
    fragment = f"#{parts.fragment}" if parts.fragment else ""
    return f"{path}{query}{fragment}".encode("ascii")


def place_of(url: str) -> str:
    """Return the host of an address with its port, unless that is the scheme's default."""
    return _place(urlsplit(url))


def _place(parts: SplitResult) -> str:
    if parts.scheme not in _SCHEMES or parts.username is not None:
        raise ValueError(parts.scheme)
    host, port = (parts.hostname or ""), parts.port
    host = f"[{host}]" if ":" in host else host
    return host if port in _DEFAULT_PORTS else f"{host}:{port}"
