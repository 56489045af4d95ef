"""Functions that other processes run on a shared store, in a module with few imports."""

from __future__ import annotations

import asyncio
import os
from multiprocessing.connection import Connection
from typing import Any

from grantway import LeaseLostError, Store, Token
from grantway.testing._kits.processes import PATIENCE


def save_on_signal(store: Store, line: Connection) -> None:
    """Acquire the lock, wait for a message, and save with the lock's fence."""
    with store.lock("key", PATIENCE) as fence:
        line.send((fence, os.getpid()))
        line.recv()
        try:
            store.save("key", Token("late"), fence=fence)
        except LeaseLostError:
            line.send("LeaseLostError")
        else:
            line.send("saved")


def take_turns(store: Store, line: Connection) -> None:
    """Increment a number in the token under the lock; a file detects a second holder."""
    times, inside = line.recv()
    for _ in range(times):
        with store.lock("key", PATIENCE) as fence:
            os.close(os.open(inside, os.O_CREAT | os.O_EXCL))
            before = store.load("key")
            turn = 1 if before is None else before.extra["turn"] + 1
            assert before is None or before.extra["fence"] < fence
            token = Token("at", refresh_token="rt", extra={"turn": turn, "fence": fence})
            store.save("key", token, fence=fence)
            inside.unlink()
        line.send(fence)


def fork(store: Store, line: Connection) -> None:
    """Use the store before a fork, in the child, and in the parent."""
    store.save("key", Token("of the parent"))
    child = os.fork()
    if not child:
        status = 1
        try:
            with store.lock("key", PATIENCE) as fence:
                if store.load("key") == Token("of the parent"):
                    store.save("key", Token("of the child"), fence=fence)
                    status = 0
        finally:
            os._exit(status)
    _child, status = os.waitpid(child, 0)
    seen = store.load("key")
    store.save("key", Token("of the parent"))
    line.send((status, seen, store.load("key")))


def fork_on_loop(store: Any, line: Connection) -> None:
    """Use the store on an event loop before a fork, in the child, and in the parent."""

    async def change(text: str) -> Token | None:
        async with store.lock_async("key", PATIENCE) as fence:
            found: Token | None = await store.load_async("key")
            await store.save_async("key", Token(text), fence=fence)
        return found

    async def main() -> None:
        await change("of the parent")
        child = os.fork()
        if not child:
            status = 1
            try:
                if asyncio.run(change("of the child")) == Token("of the parent"):
                    status = 0
            finally:
                os._exit(status)
        _child, status = os.waitpid(child, 0)  # noqa: ASYNC222 - nothing else runs on this loop
        seen = await change("of the parent")
        line.send((status, seen, await store.load_async("key")))

    asyncio.run(main())


def first_use(store: Store, line: Connection) -> None:
    """Wait for a message, and then use the store for the first time."""
    line.send("up")
    line.recv()
    line.send(store.load("key"))
