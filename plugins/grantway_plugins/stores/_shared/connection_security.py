"""Whether a store's server may be reached without TLS."""

from __future__ import annotations

from collections.abc import Iterable

from grantway._exceptions import ConfigurationError
from grantway._transport.http import is_loopback
from grantway._wire.shapes import flag


def require_encrypted(hosts: Iterable[str], *, allow_insecure: bool, remedy: str) -> None:
    """Refuse to send tokens in the clear to another host.

    Args:
        hosts: Where the connection without TLS leads. Paths of Unix sockets are local.
        allow_insecure: Whether the operator accepts it.
        remedy: How the URL asks for TLS.

    Raises:
        ConfigurationError: a host is not this machine, and it was not allowed.
    """
    flag("allow_insecure", allow_insecure)
    remote = [each for each in hosts if not each.startswith(("/", "@")) and not is_loopback(each)]
    if not remote or allow_insecure:
        return
    rule = (
        f"would send tokens and the password to {remote[0]} without TLS; {remedy}, or set "
        "allow_insecure=True if the network between is trusted"
    )
    raise ConfigurationError(f"url: {rule}.", errors={"url": [rule]})
