"""The other end of a connection, as far as limits are concerned."""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Hashable, Iterable

_IPV6_NETWORK = 64


class Shares:
    """Counts what each of many holds, and refuses what is too much.

    Args:
        most: What one may hold.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: Counter[Hashable] = Counter()

    def take(self, key: Hashable | None) -> bool:
        """Count one more, unless that is too much; return whether it was counted.

        Args:
            key: The holder; None is exempt.
        """
        if key is None:
            return True
        if self._held[key] >= self._most:
            return False
        self._held[key] += 1
        return True

    def give_back(self, key: Hashable | None) -> None:
        """Count one less."""
        if key is None:
            return
        self._held[key] -= 1
        if not self._held[key]:
            del self._held[key]


class PeerShares(Shares):
    """Shares of network peers.

    One IPv6 subscriber has a whole /64 network, so the network counts as one peer.

    Args:
        most: What one peer may hold.
        trusted: Addresses and networks of proxies, which are exempt; ``*`` exempts all. Loopback
            addresses are exempt as well: a proxy on this machine has one.
    """

    def __init__(self, most: int, trusted: Iterable[object] = ()) -> None:
        super().__init__(most)
        self._networks = []
        self._literals = set()
        for each in map(str, trusted):
            try:
                self._networks.append(ipaddress.ip_network(each, strict=False))
            except ValueError:
                self._literals.add(each)

    def key(self, host: str | None) -> Hashable | None:
        """Return what to count a peer under, or None for an exempt one."""
        if not host or "*" in self._literals or host in self._literals:
            return None
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return host
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        if address.is_loopback or any(address in network for network in self._networks):
            return None
        if address.version == 4:  # noqa: PLR2004 - IPv4
            return address
        return ipaddress.ip_network((address, _IPV6_NETWORK), strict=False)
