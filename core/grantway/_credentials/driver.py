"""Perform the steps of a refresh with blocking calls of the store and the token source."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack
from functools import partial
from typing import Any, TypeVar

from grantway._exceptions import ConfigurationError, StoreUnreadableError
from grantway._processes.driving import drive
from grantway._types.callables import is_unfinished, kind_of
from grantway._types.token import Token

from .credential_config import CredentialConfig
from .refresh import CheckWritable, Delete, Load, Lock, Notify, Save, Send, Step

Found = TypeVar("Found")


def perform(config: CredentialConfig, key: str, steps: Generator[Step, Any, Found]) -> Found:
    """Do the steps that a generator yields, and return its result.

    Args:
        config: The credential's settings.
        key: Name of the token in the store.
        steps: The steps of a refresh.
    """
    with ExitStack() as lock:
        return drive(steps, partial(_perform, config, key, lock))


def _perform(config: CredentialConfig, key: str, lock: ExitStack, step: Step) -> object:
    """Do one step. The lock is held until the refresh ends."""
    store: Any = config.store
    match step:
        case Load():
            found = store.load(key)
            check_loaded(store, found)
            return found
        case Lock():
            return lock.enter_context(store.lock(key, config.timeout))
        case CheckWritable(token):
            check_writable = getattr(store, "check_writable", None)
            if check_writable is not None:
                check_writable(key, token)
        case Save(token, fence):
            store.save(key, token, fence=fence)
        case Delete(fence):
            store.delete(key, fence=fence)
        case Send(request):
            return config.source.create_token(
                grant_type=request.grant_type, extra=request.extra or None, **request.params
            )
        case Notify(token):
            notify(config, token)
    return None


def check_loaded(store: object, found: object) -> None:
    """Check what ``load`` of a store returned.

    Raises:
        StoreUnreadableError: It is neither a token nor None.
    """
    if isinstance(found, Token | None):
        return
    name = f"{type(store).__module__}.{type(store).__qualname__}"
    what = "a coroutine" if is_unfinished(found) else kind_of(found)
    raise StoreUnreadableError(
        f"load of the store {name} returned {what}; it must return a grantway.Token or None."
    )


def notify(config: CredentialConfig, token: Token) -> None:
    """Call ``on_token``, if there is one.

    Raises:
        ConfigurationError: It is asynchronous.
    """
    if config.on_token is not None and is_unfinished(config.on_token(token)):
        raise ConfigurationError("on_token: must not be asynchronous; pass a plain function.")
