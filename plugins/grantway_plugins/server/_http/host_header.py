"""The ``Host`` header of a request (RFC 9112 section 3.2)."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from functools import lru_cache

#: Start of a request target in absolute form (RFC 9112 section 3.2.2).
_ABSOLUTE_FORM = re.compile(rb"[^/?#]+://(?P<host>[^/?#]*)")
#: ``uri-host [ ":" port ]`` (RFC 3986 section 3.2.2).
_HOST = re.compile(
    rb"(?:\[(?P<ipv6>[0-9A-Fa-f:.]+)\]|(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+)"
    rb"(?::(?P<port>[0-9]{0,5}))?"
)
_MAX_PORT = 65_535


def host_problem(target: bytes, headers: Iterable[tuple[bytes, bytes]], version: str) -> str | None:
    """Return why a request must be rejected with status 400, or None.

    Args:
        target: The request target.
        headers: Headers with lower-case names.
        version: HTTP version, such as ``1.1``. HTTP/1.0 does not require the header.
    """
    hosts = [value for name, value in headers if name == b"host"]
    if len(hosts) > 1:
        return "the Host header is repeated; send it once"
    if not hosts and version != "1.0":
        return "the Host header is missing; HTTP/1.1 requires it"
    if hosts and not _is_valid(hosts[0]):
        return "the Host header is not a host name or IP address with an optional port"
    address = None if target.startswith(b"/") else _ABSOLUTE_FORM.match(target)
    # The target has precedence (RFC 9112 section 3.2.2), but many programs use the header.
    if address is not None and [address["host"].lower()] != [each.lower() for each in hosts]:
        return "the Host header and the request target do not name the same host"
    return None


@lru_cache(64)
def _is_valid(host: bytes) -> bool:
    found = _HOST.fullmatch(host)
    if found is None or int(found["port"] or 0) > _MAX_PORT:
        return False
    if found["ipv6"] is None:
        return True
    try:
        ipaddress.IPv6Address(found["ipv6"].decode())
    except ValueError:
        return False
    return True
