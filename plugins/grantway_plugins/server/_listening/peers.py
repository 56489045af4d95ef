"""Limits per network peer."""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Hashable, Iterable
from functools import lru_cache

_IPV6_NETWORK = 64


def network_of(peer: str) -> str:
    """Return the key for counting a peer: its address, or its /64 network for IPv6.

    An IPv6 subscriber usually has a /64 network, which therefore counts as one peer.

    Args:
        peer: The peer's address, with or without a zone. Other text is returned unchanged.
    """
    try:
        address = _parse(peer)
    except ValueError:
        return peer
    return _network(address)


def _network(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    return str(ipaddress.IPv6Network((address, _IPV6_NETWORK), strict=False))


def _parse(peer: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Parse an address without its zone; convert an IPv4-mapped address to IPv4."""
    address = ipaddress.ip_address(peer.partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address


class Shares:
    """Counts the units that each key holds, up to a maximum.

    Args:
        maximum: Maximum number of units for one key.
    """

    def __init__(self, maximum: int) -> None:
        self._maximum = maximum
        self._held: Counter[Hashable] = Counter()

    def take(self, key: Hashable | None) -> bool:
        """Take one unit; return False if the key already holds the maximum.

        Args:
            key: The holder, or None if it is exempt.
        """
        if key is None:
            return True
        if self._held[key] >= self._maximum:
            return False
        self._held[key] += 1
        return True

    def give_back(self, key: Hashable | None) -> None:
        """Give back one unit."""
        if key is None:
            return
        self._held[key] -= 1
        if not self._held[key]:
            del self._held[key]


class Proxies:
    """Trusted proxies.

    Args:
        trusted: Addresses and networks; ``*`` stands for all peers.
    """

    def __init__(self, trusted: Iterable[object]) -> None:
        self._networks = []
        self._literals = set()
        for each in map(str, trusted):
            try:
                self._networks.append(ipaddress.ip_network(each, strict=False))
            except ValueError:
                self._literals.add(each)

    def __contains__(self, host: str) -> bool:
        """Return whether a peer is a trusted proxy."""
        if "*" in self._literals or host in self._literals:
            return True
        try:
            address = _parse(host)
        except ValueError:
            return False
        return any(address in network for network in self._networks)


class PeerShares(Shares):
    """Shares by network peer (see `network_of`).

    Args:
        maximum: Maximum number of units for one peer.
        trusted: Addresses and networks of proxies, which are exempt; ``*`` exempts all peers.
            Loopback addresses are always exempt, because they may belong to a proxy.
    """

    def __init__(self, maximum: int, trusted: Iterable[object] = ()) -> None:
        super().__init__(maximum)
        self._proxies = Proxies(trusted)
        #: Returns the key for counting a peer by its address, or None if it is exempt.
        self.key = lru_cache(1024)(self._key)

    def _key(self, host: str | None) -> Hashable | None:
        if not host or host in self._proxies:
            return None
        try:
            address = _parse(host)
        except ValueError:
            return host
        if address.is_loopback:
            return None
        return _network(address)
