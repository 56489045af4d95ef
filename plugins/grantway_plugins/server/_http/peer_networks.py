"""Recognise the proxies in front by their addresses."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

Networks = Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network]


def is_one_of(peer: str, networks: Networks) -> bool:
    """Return whether an address is in one of the networks."""
    if not networks:
        return False
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return False
    return any(address in network for network in networks)
