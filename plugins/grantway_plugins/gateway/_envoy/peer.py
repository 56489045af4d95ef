"""The address of a gRPC call's sender."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

#: Message to callers that may not use the services.
NOT_ALLOWED = "only the proxies of this gateway may use this service"


def peer_of(context: Any) -> str:
    """Return the address of the sender without its port; empty if it has no IP address.

    Args:
        context: The ``ServicerContext``, whose peers look like ``ipv4:127.0.0.1:50000``.
    """
    kind, _, address = unquote(context.peer()).partition(":")
    return address.rpartition(":")[0].strip("[]") if kind in {"ipv4", "ipv6"} else ""
