"""Protection against DNS rebinding.

A malicious page can make its host name resolve to this machine. The browser then treats the issuer
as the same site, so the page could read and submit the issuer's forms. The ``Host`` header reveals
the attack, because it still contains the malicious name.
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from urllib.parse import urlsplit


@lru_cache(64)
def is_own_host(host: str, issuer: str) -> bool:
    """Return whether the issuer accepts a host name.

    It accepts IP addresses, which DNS rebinding cannot use, ``localhost`` and its subdomains, and
    the host of its URL.

    Args:
        host: The ``Host`` header, with or without a port.
        issuer: The issuer's URL.
    """
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    if name == "localhost" or name.endswith(".localhost") or name == urlsplit(issuer).hostname:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
