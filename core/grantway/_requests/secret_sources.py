"""Read the secret sources of a request before it is sent, and again if a secret is rejected.

A source may block, for example because it runs a program. So the steps of a call wait for a thread
that reads it, in an event loop as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

from grantway._exceptions import FlowCancelledError, SecretUnavailableError
from grantway._secrets.params import Params

from .steps import Wait

if TYPE_CHECKING:
    from grantway._transport.deadline import Deadline
    from grantway._wire.provider_response import ProviderResponse

    from .cached_source import CachedSource
    from .exchange import Exchange
    from .steps import Steps

#: Secret sources with the settings that they are the values of.
Sources = tuple[tuple[str, "CachedSource"], ...]


def hidden_params(given: Mapping[str, Any] | None) -> Params:
    """Return parameters whose repr shows no values, with cached sources in place of sources."""
    params = Params(given or {})
    for name, value in params.items():
        if type(value) is not str and hasattr(value, "read"):
            from .cached_source import cached  # noqa: PLC0415 - few calls have a source

            params[name] = cached(value, name)
    return params


def sources_in(params: Any) -> Sources:
    """Return the sources among parameters, by name."""
    if not params or not isinstance(params, (dict, Mapping)):  # rejected later
        return ()
    found = [
        (name, cast("CachedSource", value))
        for name, value in params.items()
        if callable(value) and hasattr(value, "read")
    ]
    return tuple(found)


def sources_of(exchange: Exchange) -> Sources:
    """Return the sources of the client authentication and of the parameters."""
    return (*_of_client(exchange), *_of_params(exchange))


def _of_client(exchange: Exchange) -> Sources:
    found: Sources = getattr(exchange.client, "secret_sources", ())
    return found


def _of_params(exchange: Exchange) -> Sources:
    return () if exchange.computed is None else exchange.computed.sources


def fetch(sources: Iterable[tuple[str, CachedSource]], deadline: Deadline) -> Steps[None]:
    """Wait until each source has a fresh secret, at most until the deadline.

    Raises:
        SecretUnavailableError: A source cannot be read, or did not respond in time. The message
            names the setting.
        FlowCancelledError: The caller cancelled the call.
    """
    for setting, source in sources:
        if source.fresh() is not None:
            continue
        reading = source.begin()
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
    code = None if response.error is None else response.error.code
    if code not in _REJECTED:
        return False
    changed = False
    for setting, source in _REJECTED[code](exchange):
        sent = exchange.fetched.get(source, "")
        source.reject(sent)
        try:
            yield from fetch([(setting, source)], exchange.deadline)
        except SecretUnavailableError:
            continue  # the provider's error is more useful
        changed = changed or source() != sent
    return changed


#: Error code -> the sources whose secrets it may reject.
_REJECTED = {"invalid_client": _of_client, "invalid_grant": _of_params}
