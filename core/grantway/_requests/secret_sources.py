"""Read the secret sources of a request before it is sent, and again if a secret is rejected.

A source may block, for example because it runs a program. So the steps of a call wait for a thread
that reads it, in an event loop as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from grantway._exceptions import FlowCancelledError, SecretUnavailableError

from .steps import Wait

if TYPE_CHECKING:
    from grantway._transport.deadline import Deadline
    from grantway._wire.provider_response import ProviderResponse

    from .computed_parameters import Sources
    from .exchange import Exchange
    from .steps import Steps

#: Error code -> the part of the request whose secrets it may reject.
_REJECTED: dict[str, Literal["client", "params"]] = {
    "invalid_client": "client",
    "invalid_grant": "params",
}


def fetch(sources: Sources, deadline: Deadline) -> Steps[None]:
    """Wait until each source has a fresh secret, at most until the deadline.

    Raises:
        SecretUnavailableError: A source cannot be read, or did not respond in time. The message
            names the setting.
        FlowCancelledError: The caller cancelled the call.
    """
    started = [
        (setting, source, source.begin()) for setting, source in sources if source.fresh() is None
    ]
    for setting, source, reading in started:
        cancelled = yield Wait(max(0.0, deadline.remaining()), reading)
        setting = source.where or setting  # noqa: PLW2901 - more precise
        if not reading.done():
            if cancelled:
                raise FlowCancelledError(f"Cancelled by the caller while {setting} was read.")
            raise SecretUnavailableError(
                f"{setting}: {source.named} did not respond within the call's timeout of "
                f"{deadline.seconds:g} s; make it faster, or increase the timeout"
            )
        error = reading.exception()
        if isinstance(error, SecretUnavailableError):
            raise SecretUnavailableError(f"{setting}: {error.message}") from error.__cause__
        if error is not None:
            raise error


def renew(exchange: Exchange, response: ProviderResponse) -> Steps[bool]:
    """Read the sources of rejected secrets again; return whether a secret has changed.

    A rejected request had no effect, so sending it again with another secret is safe for every
    grant.
    """
    code = "" if response.error is None else response.error.code
    if code not in _REJECTED:
        return False
    changed = False
    for setting, source in exchange.secret_sources(_REJECTED[code]):
        if source.single_use:  # its value was new, so another one would be rejected as well
            continue
        sent = exchange.fetched.get(source, "")
        source.reject(sent)
        try:
            yield from fetch(((setting, source),), exchange.deadline)
        except SecretUnavailableError:
            continue  # the provider's error is more useful
        changed = changed or source() != sent
    return changed
