"""URLs in an upstream's response, rewritten to lead to the gateway."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

_SCHEMES = frozenset({"", "http", "https"})
_DEFAULT_PORTS = frozenset({None, 80, 443})


def rewritten(location: bytes, *, hosts: tuple[str, ...], prefix: str, added: str) -> bytes:
    """Return a ``Location`` at the upstream as a path at the gateway; return others unchanged.

    A path has no scheme and host, so it is correct behind any proxy (RFC 9110 section 10.2.2).

    Args:
        location: Value of the header.
        hosts: Names of the upstream, each with its port unless that is the default.
        prefix: Prefix of the route's paths at the upstream.
        added: Replacement for the prefix.
    """
    try:
        parts = urlsplit(location.decode("ascii"))
        foreign = bool(parts.netloc) and _place(parts) not in hosts
    except ValueError:
        return location
    # Without a host, rewrite only absolute paths; others are relative to the request's path.
    named = bool(parts.netloc) and parts.path == prefix
    under = named or parts.path == (prefix or "/") or parts.path.startswith(f"{prefix}/")
    if foreign or not under or (parts.scheme and not parts.netloc) or not parts.path.isprintable():
        return location
    path = f"{added}{parts.path.removeprefix(prefix)}" or "/"
    if path.startswith(("//", "/\\")):  # browsers would take the next segment as a host
        path = f"/.{path}"
    query = f"?{parts.query}" if parts.query else ""
    fragment = f"#{parts.fragment}" if parts.fragment else ""
    return f"{path}{query}{fragment}".encode("ascii")


def host_and_port(url: str) -> str:
    """Return the host of a URL, with its port unless that is the scheme's default."""
    return _place(urlsplit(url))


def _place(parts: SplitResult) -> str:
    if parts.scheme not in _SCHEMES or parts.username is not None:
        raise ValueError(parts.scheme)
    host, port = (parts.hostname or ""), parts.port
    host = f"[{host}]" if ":" in host else host
    return host if port in _DEFAULT_PORTS else f"{host}:{port}"
