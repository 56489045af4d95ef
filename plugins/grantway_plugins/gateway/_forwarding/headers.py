"""Headers of forwarded requests and responses (RFC 9110 sections 7.6 and 7.8)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from grantway_plugins.gateway.upstream._proxy_headers import (
    HOP_BY_HOP,
    describes_origin,
    hyphenated,
    is_reserved,
)
from grantway_plugins.gateway.upstream._upstream_token import UpstreamToken

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
#: The name of a header (RFC 9110 section 5.1). The parser of responses also accepts spaces.
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
#: Headers of a WebSocket handshake for this hop (RFC 6455 section 4.1).
UPGRADE = (b"connection: upgrade", b"upgrade: websocket")
CHUNKED = b"transfer-encoding: chunked"
#: Longest name whose rule is cached.
_CACHED = 64
#: Treatment of a header of a request.
_DROP, _SET, _IF_TRUSTED, _FORWARD = range(4)


class UpstreamResponseError(ValueError):
    """An upstream's response is invalid. The message does not quote it."""


def named_by_connection(headers: Iterable[Pair]) -> frozenset[bytes]:
    """Return the names listed in ``Connection``, whose headers are for this hop only."""
    return frozenset(
        name.strip().lower()
        for key, value in headers
        if key.lower() == b"connection"
        for name in value.split(b",")
    )


@lru_cache(1024)
def _rule(name: bytes) -> tuple[int, bytes]:
    """Return what to do with a header of a request, and its name with hyphens only."""
    plain = hyphenated(name)
    if name in _OWN:
        return _SET, plain
    # The framing of the body is for this hop: see ``more`` below.
    if name == b"content-length" or name in HOP_BY_HOP or (plain != name and is_reserved(plain)):
        return _DROP, plain
    return _IF_TRUSTED if plain == name and describes_origin(name) else _FORWARD, plain


class Sender(NamedTuple):
    """The client, as described to the upstream.

    Attributes:
        address: Its address; empty if unknown.
        scheme: The scheme that it uses.
        trusted: Whether its headers about the origin of a request are trusted.
    """

    address: bytes
    scheme: bytes
    trusted: bool


def request_head(
    line: bytes,
    headers: Sequence[Pair],
    token: UpstreamToken,
    *,
    host: bytes,
    sender: Sender,
    more: Sequence[bytes],
) -> bytes:
    """Return the request line and headers of the forwarded request.

    Headers with a client's address, host or path (``X-Forwarded-*``, ``X-Real-IP``, ...) are
    forwarded only from trusted clients. Other spellings of them, of hop-by-hop headers, and of the
    token's and the tenant's header, such as ``X_Forwarded_For``, are never forwarded, because
    upstream servers may treat them alike.

    Args:
        line: The request line.
        headers: Headers of the request, lower-case names.
        token: The token to add.
        host: The ``Host`` to send; empty for that of the request.
        sender: The client.
        more: Header lines to add, such as those that frame the body.

    Raises:
        UnicodeDecodeError: A header is not UTF-8.
    """
    guarded, keep = token.route.guarded, _kept(token)
    before: dict[bytes, list[bytes]] = {}
    passed = []
    named: frozenset[bytes] = frozenset()
    for name, value in headers:
        rule, plain = _rule(name) if len(name) <= _CACHED else _rule.__wrapped__(name)
        if plain in guarded and name not in keep:
            continue
        if rule == _FORWARD or (rule == _IF_TRUSTED and sender.trusted):
            passed.append(b"%b: %b" % (name, value))
        elif rule == _SET:
            before.setdefault(name, []).append(value)
        elif name == b"connection":
            named = named_by_connection(headers)
    if named:
        passed = [each for each in passed if each.partition(b":")[0] not in named]
    if token.header is not None:
        passed.append("{}: {}".format(*token.header).encode())
    host = host or b"".join(before.get(b"host", ()))
    lines = [line, b"host: " + host, *passed, *_origin(before, sender), *more, b"", b""]
    head = b"\r\n".join(lines)
    if not head.isascii():
        head.decode()  # servers read other bytes differently
    return head


def _kept(token: UpstreamToken) -> tuple[bytes, ...]:
    """Return the guarded headers that are forwarded nevertheless."""
    route = token.route
    tenant = route.tenant_header.encode()
    if not token.kept:
        return (tenant,)
    return (tenant, route.header.lower().encode(), b"authorization", b"dpop")


def _origin(before: Mapping[bytes, list[bytes]], sender: Sender) -> Iterator[bytes]:
    """Yield the lines about the origin of a request.

    Args:
        before: Values that the client sent, by name.
        sender: The client.
    """
    kept: Mapping[bytes, list[bytes]] = before if sender.trusted else {}
    if sender.address:
        addresses = [*kept.get(b"x-forwarded-for", ()), sender.address]
        yield b"x-forwarded-for: " + b", ".join(addresses)
    proto = kept.get(b"x-forwarded-proto")
    yield b"x-forwarded-proto: " + (proto[0] if proto else sender.scheme)
    if host := kept.get(b"x-forwarded-host") or before.get(b"host"):
        yield b"x-forwarded-host: " + host[0]
    yield b"via: " + b", ".join([*before.get(b"via", ()), _VIA])


@lru_cache(1024)
def _forwarded_name(name: bytes) -> bytes:
    """Return the lower-case name of a response's header; empty if it is for one hop only."""
    if _NAME.fullmatch(name) is None:
        raise UpstreamResponseError("invalid name of a header")
    name = name.lower()
    return b"" if name in HOP_BY_HOP else name


def response_lines(headers: Sequence[Pair], *, bodiless: bool) -> list[bytes]:
    """Return the header lines of the response to the caller.

    Args:
        headers: The upstream's headers.
        bodiless: Whether responses with this status have no body, whatever ``Content-Length`` says.

    Raises:
        UpstreamResponseError: A name is invalid, a value contains control characters, or the body
            has an unsupported transfer coding.
    """
    lines = []
    dropped: frozenset[bytes] = frozenset()
    codings = []
    for raw, value in headers:
        name = _forwarded_name(raw) if len(raw) <= _CACHED else _forwarded_name.__wrapped__(raw)
        if name:
            if not (bodiless and name == b"content-length"):
                lines.append(b"%b: %b" % (name, value))
            continue
        hop = raw.lower()
        if hop == b"connection":
            dropped = named_by_connection(headers)
        elif hop == b"transfer-encoding":
            codings.append(value.strip().lower())
    if codings not in ([], [b"chunked"]):
        raise UpstreamResponseError("transfer coding other than chunked")
    if _CONTROL.search(b"".join([value for _, value in headers])):
        name = next(name.lower() for name, value in headers if _CONTROL.search(value))
        raise UpstreamResponseError(f"control characters in {name.decode('latin-1')}")
    if dropped := dropped - {b"content-length"}:  # without it, the response would not end
        lines = [each for each in lines if each.partition(b":")[0] not in dropped]
    lines.append(b"via: " + _VIA)
    return lines
