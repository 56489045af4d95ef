"""Perform the steps of a refresh on an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, TypeVar

from grantway._exceptions import OutcomeUnknownError
from grantway._processes.driving import drive_async
from grantway._types.token import Token

from .async_store import asynchronous
from .credential_config import CredentialConfig
from .driver import check_loaded, notify
from .refresh import CheckWritable, Delete, Load, Lock, Notify, Save, Send, Step
from .token_request import TokenRequest
from .token_source import TokenSource

Found = TypeVar("Found")


async def perform_async(
    config: CredentialConfig, key: str, steps: Generator[Step, Any, Found]
) -> Found:
    """Do the steps that a generator yields, and return its result; see ``perform``.

    A store without asynchronous methods is called in threads.
    """
    store: Any = None if config.store is None else asynchronous(config.store)
    async with AsyncExitStack() as lock:
        return await drive_async(steps, partial(_perform, config, key, store, lock))


async def _perform(
    config: CredentialConfig, key: str, store: Any, lock: AsyncExitStack, step: Step
) -> object:
    """Do one step. The lock is held until the refresh ends."""
    match step:
        case Load():
            found = await store.load_async(key)
            check_loaded(config.store, found)
            return found
        case Lock():
            return await lock.enter_async_context(store.lock_async(key, config.timeout))
        case CheckWritable(token):
            check_writable = getattr(store, "check_writable_async", None)
            if check_writable is not None:
                await check_writable(key, token)
        case Save(token, fence):
            await store.save_async(key, token, fence=fence)
        case Delete(fence):
            await store.delete_async(key, fence=fence)
        case Send(request):
            return await _send(config.source, request)
        case Notify(token):
            notify(config, token)
    return None


async def _send(source: TokenSource, request: TokenRequest) -> Token:
    try:
        return await source.create_token_async(
            grant_type=request.grant_type, extra=request.extra or None, **request.params
        )
    except (asyncio.CancelledError, GeneratorExit) as stopped:
        # The provider may have used a code or rotated the refresh token.
        raise OutcomeUnknownError(
            f"The response of {source.provider.host} is lost: the event loop was closed, or the "
            "refresh took too long. Keep the refresh token, and try again."
        ) from stopped
