"""Keep requests for foreign documents out of private networks."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

#: The prefix of IPv6 addresses that a gateway translates to IPv4 (RFC 6052 section 2.1).
_NAT64 = ip_network("64:ff9b::/96")


class PrivateAddressError(OSError):
    """A host is not on the public internet, and only public hosts are allowed.

    Args:
        unless: The host that would allow it, if it were on a private network; may be empty.
    """

    def __init__(self, unless: str = "") -> None:
        text = "its address is not on the public internet"
        if unless:
            text += (
                f", which is allowed only if {unless} is on a private network and can be reached"
            )
        super().__init__(errno.EACCES, text)


class PublicAddressError(OSError):
    """A host has a public address, and only private hosts are allowed."""

    def __init__(self) -> None:
        super().__init__(errno.EACCES, "it has an address on the public internet")


def public_only(addresses: Sequence[Any]) -> list[Any]:
    """Return the public addresses among results of ``getaddrinfo``.

    Raises:
        PrivateAddressError: there is none.
    """
    found = [each for each in addresses if is_public(each[4][0])]
    if not found:
        raise PrivateAddressError
    return found


def private_only(addresses: Sequence[Any]) -> Sequence[Any]:
    """Return results of ``getaddrinfo`` if all of them are private.

    Raises:
        PublicAddressError: one is public.
    """
    if any(is_public(each[4][0]) for each in addresses):
        raise PublicAddressError
    return addresses


def is_private_literal(host: str) -> bool:
    """Return whether a host is private by its text, without a lookup of its name."""
    try:
        check_literal(host)
    except PrivateAddressError:
        return True
    return False


def check_literal(host: str) -> None:
    """Reject a host that is an address and not public. A name is left to the proxy.

    Raises:
        PrivateAddressError: the host is such an address, ``localhost``, or an address in an old
            form like ``127.1`` or ``0x7f000001``, which a proxy may accept.
    """
    try:
        ip_address(host)
    except ValueError:
        last = host.rstrip(".").rpartition(".")[2].lower()
        if last != "localhost" and not last.isdigit() and not last.startswith("0x"):
            return
    else:
        if is_public(host):
            return
    raise PrivateAddressError


def is_public(text: str) -> bool:
    """Return whether an address is reachable on the public internet and belongs to one host."""
    address: IPv4Address | IPv6Address = ip_address(text.partition("%")[0])
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address in _NAT64:
            inner = IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            address = inner
        elif address.teredo is not None or address.is_site_local:
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved
