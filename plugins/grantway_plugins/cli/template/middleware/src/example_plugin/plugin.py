"""The hooks that grantway calls. The package's entry point names this module."""

from collections.abc import Iterable

from grantway import Event, Middleware, hookimpl

from .middleware import audit
from .observer import Calls

CALLS = Calls()


@hookimpl
def grantway_register_middleware() -> Iterable[Middleware]:
    """Register the middleware."""
    return [audit]


@hookimpl
def grantway_observe(event: Event) -> None:
    """Pass an event to the observer."""
    CALLS.observe(event)
