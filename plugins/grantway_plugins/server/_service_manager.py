"""Tell systemd about the state of the process (``sd_notify(3)``, units with ``Type=notify``)."""

from __future__ import annotations

import logging
import os
import socket

_VARIABLE = "NOTIFY_SOCKET"

_log = logging.getLogger("grantway.server")


def notify(state: str) -> None:
    """Send a state, such as ``READY=1``, to the service manager, if there is one.

    A failure is logged, because it must not stop the server.
    """
    address = os.environ.get(_VARIABLE, "")
    if not address:
        return
    if address.startswith("@"):
        address = f"\0{address[1:]}"  # Linux's abstract namespace
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.sendto(state.encode(), address)
    except OSError as error:
        _log.warning("cannot send %s to the service manager in %s: %s", state, _VARIABLE, error)
