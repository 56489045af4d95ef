"""Check the transport that a client is given, before anything is sent."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from grantway._exceptions import ConfigurationError
from grantway._types.callables import is_async

if TYPE_CHECKING:
    from grantway._transport.http import Transport


def check_transport(transport: Transport, timeout: float) -> None:
    """Check a transport's timeouts and which of its methods are asynchronous.

    Args:
        transport: The transport.
        timeout: Seconds for one call of the client.

    Raises:
        ConfigurationError: one attempt may take longer than a call, or a method is asynchronous
            that must not be, or the reverse.
    """
    requests: Any = sys.modules.get("requests")
    if requests is not None and isinstance(transport, requests.Session):
        raise ConfigurationError(
            "transport: a requests.Session is not a transport. Use "
            "grantway.RequestsTransport(session).",
            errors={"transport": ["must not be a requests.Session"]},
        )
    least = getattr(transport, "attempt_seconds", 0.0)
    if least > timeout:
        raise ConfigurationError(
            f"timeout: {timeout:g} s for a call is less than the {least:g} s for one attempt "
            "(the transport's connect_timeout plus read_timeout). Increase timeout or decrease "
            "the transport's.",
            errors={"timeout": [f"must be at least {least:g}"]},
        )
    for name in ("send", "close"):
        if is_async(getattr(transport, name, None)):
            raise ConfigurationError(
                f"transport: {name} is asynchronous (async def), but grantway calls it "
                "synchronously. Use a transport with plain send and close methods; the "
                "asynchronous ones are named send_async and aclose.",
                errors={"transport": [f"{name} must be synchronous"]},
            )
    for name in ("send_async", "aclose"):
        method = getattr(transport, name, None)
        if method is not None and not is_async(method):
            raise ConfigurationError(
                f"transport: {name} must be asynchronous (async def), because grantway awaits it. "
                "Without it, grantway calls the blocking method.",
                errors={"transport": [f"{name} must be asynchronous"]},
            )
