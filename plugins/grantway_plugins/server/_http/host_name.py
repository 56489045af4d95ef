"""Check the host names that the issuer accepts.

A malicious page can make its own host name resolve to this machine (DNS rebinding). The browser
then treats the issuer as the same site, so the page could read and submit the issuer's forms.
The ``Host`` header reveals the attack, because it still contains the malicious name.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit


def is_own_host(host: str, issuer: str) -> bool:
    """Return whether a request with this host is meant for the issuer.

    Accepted are IP addresses, which DNS rebinding cannot use, ``localhost`` and its subdomains, and
    the host of the issuer's URL.

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
