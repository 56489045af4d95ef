"""Perform the steps of a refresh on an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import AsyncExitStack
from typing import Any, TypeVar

from grantway._exceptions import OutcomeUnknownError
from grantway._types.token import Token

from .async_store import asynchronous
from .credential_config import CredentialConfig
from .driver import check_loaded, notify
from .refresh import CheckWritable, Delete, Load, Lock, Notify, Save, Send, Step
from .token_request import TokenRequest
from .token_source import TokenSource

Found = TypeVar("Found")


async def perform_async(  # noqa: C901 - one case for each step
    config: CredentialConfig, key: str, steps: Generator[Step, Any, Found]
) -> Found:
    """Do the steps that a generator yields, and return its result; see ``perform``.

    A store without asynchronous methods is called in threads.
    """
    store: Any = None if config.store is None else asynchronous(config.store)
    result: Any = None
    # Popped, because a traceback refers to this frame: a variable would make a cycle of both.
    raised: list[BaseException] = []
    async with AsyncExitStack() as lock:
        while True:
            try:
                step = steps.throw(raised.pop()) if raised else steps.send(result)
            except StopIteration as done:
                found: Found = done.value
                return found
            result = None
            try:
                match step:
                    case Load():
                        result = await store.load_async(key)
                        check_loaded(config.store, result)
                    case Lock():
                        held = store.lock_async(key, config.timeout)
                        result = await lock.enter_async_context(held)
                    case CheckWritable(token):
                        check_writable = getattr(store, "check_writable_async", None)
                        if check_writable is not None:
                            await check_writable(key, token)
                    case Save(token, fence):
                        await store.save_async(key, token, fence=fence)
                    case Delete(fence):
                        await store.delete_async(key, fence=fence)
                    case Send(request):
                        result = await _send(config.source, request)
                    case Notify(token):
                        notify(config, token)
            except BaseException as error:  # noqa: BLE001 - raised again in the generator
                raised.append(error)


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
