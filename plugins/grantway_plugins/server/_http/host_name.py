"""Which names the issuer goes by.

A stranger's page can point a name of its own at this machine (DNS rebinding). Its browser then
takes the issuer for the stranger's own site, and the page may read a form's CSRF token and press
the button. The ``Host`` header is what tells: it still names the stranger.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit


def is_own_host(host: str, issuer: str) -> bool:
    """Whether a request that names this host means the issuer.

    An address does, since nobody can point it elsewhere, and so do ``localhost``, the names below
    it, and the host of the issuer's URL.

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
