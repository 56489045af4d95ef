"""Headers of forwarded requests and responses (RFC 9110 sections 7.6 and 7.8)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from grantway_plugins.gateway.upstream._proxy_headers import (
    HOP_BY_HOP,
    describes_origin,
    hyphenated,
    is_reserved,
)
from grantway_plugins.server._http.peer_networks import Networks, is_one_of

Pair = tuple[bytes, bytes]

#: Headers that the proxy sets itself.
_OWN = frozenset(
    {
        b"host",
        b"expect",
        b"forwarded",
        b"via",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-proto",
    }
)
_VIA = b"1.1 grantway"
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


class UpstreamResponseError(ValueError):
    """An upstream's response is invalid. The message does not quote it."""


def named_by_connection(headers: Iterable[Pair]) -> frozenset[bytes]:
    """Return the names listed in ``Connection``, whose headers are for this hop only."""
    return frozenset(
        name.strip().lower()
        for key, value in headers
        if key == b"connection"
        for name in value.split(b",")
    )


def upstream_headers(scope: Any, host: bytes, trusted: Networks) -> list[Pair]:
    """Return the headers of the forwarded request.

    Headers with a client's address, host or path (``X-Forwarded-*``, ``X-Real-IP``, ...) are
    forwarded only from trusted peers. Other spellings of them and of hop-by-hop headers, such as
    ``X_Forwarded_For``, are never forwarded, because upstream servers may treat them alike.

    Args:
        scope: The ASGI scope.
        host: The ``Host`` to send.
        trusted: Peers whose headers about the origin of a request are trusted.
    """
    headers: list[Pair] = scope["headers"]
    dropped = HOP_BY_HOP | named_by_connection(headers)
    peer = scope["client"][0] if scope.get("client") else ""
    is_trusted = is_one_of(peer, trusted)
    sent = [(b"host", host)]
    before: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        if name in _OWN:
            before.setdefault(name, []).append(value)
            continue
        plain = hyphenated(name)
        if plain == name:
            passes = name not in dropped and (is_trusted or not describes_origin(name))
        else:
            passes = name not in dropped and not is_reserved(plain)
        if passes:
            sent.append((name, value))

    def kept(name: bytes) -> list[bytes]:
        return before.get(name, []) if is_trusted else []

    if peer:
        sent.append((b"x-forwarded-for", b", ".join([*kept(b"x-forwarded-for"), peer.encode()])))
    proto = kept(b"x-forwarded-proto") or [scope["scheme"].encode()]
    named = kept(b"x-forwarded-host") or before.get(b"host", [])
    sent.append((b"x-forwarded-proto", proto[0]))
    sent += [(b"x-forwarded-host", each) for each in named[:1]]
    sent.append((b"via", b", ".join([*before.get(b"via", []), _VIA])))
    return sent


def check_status(status: int) -> None:
    """Raise `UpstreamResponseError` unless the status is that of a final response.

    101 is not, because the gateway never requests another protocol (RFC 9110 section 7.8).
    """
    if not 200 <= status <= 599:  # noqa: PLR2004 - RFC 9110 section 15
        raise UpstreamResponseError(f"status {status}")


def response_headers(headers: Sequence[Pair], *, bodiless: bool) -> list[Pair]:
    """Return the headers of the response to the caller.

    Args:
        headers: The upstream's headers.
        bodiless: Whether responses with this status have no body, whatever ``Content-Length`` says.

    Raises:
        UpstreamResponseError: A value contains control characters, or the body has an unsupported
            transfer coding.
    """
    lower = [(name.lower(), value) for name, value in headers]
    codings = [value.strip().lower() for name, value in lower if name == b"transfer-encoding"]
    if codings not in ([], [b"chunked"]):
        raise UpstreamResponseError("transfer coding other than chunked")
    for name, value in lower:
        if _CONTROL.search(value):
            raise UpstreamResponseError(f"control characters in {name.decode('latin-1')}")
    dropped = HOP_BY_HOP | named_by_connection(lower)
    if bodiless:
        dropped |= {b"content-length"}
    passed = [pair for pair in lower if pair[0] not in dropped]
    passed.append((b"via", _VIA))
    return passed
