"""Check that a store reaches remote servers over TLS."""

from __future__ import annotations

from collections.abc import Iterable

from grantway._exceptions import ConfigurationError
from grantway._transport.http import is_loopback
from grantway._wire.shapes import flag


def require_encrypted(hosts: Iterable[str], *, allow_insecure: bool, remedy: str) -> None:
    """Raise unless every host that is reached without TLS is this machine.

    Args:
        hosts: Hosts reached without TLS. Paths of Unix sockets count as local.
        allow_insecure: Whether the operator accepts remote hosts without TLS.
        remedy: How to ask for TLS in the URL, for the error.

    Raises:
        ConfigurationError: A host is remote and ``allow_insecure`` is False.
    """
    flag("allow_insecure", allow_insecure)
    remote = [each for each in hosts if not each.startswith(("/", "@")) and not is_loopback(each)]
    if not remote or allow_insecure:
        return
    rule = (
        f"would send tokens and the password to {remote[0]} without TLS; {remedy}, or set "
        "allow_insecure=True if you trust the network in between"
    )
    raise ConfigurationError(f"url: {rule}.", errors={"url": [rule]})
