"""Single flight: run one refresh per key at a time, and share its result.

The refresh runs in a separate thread, not in the first caller's. A caller that times out or is
interrupted therefore cancels nothing, and no refresh token is lost; a caller in an event loop waits
like any other.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future

from grantway._exceptions import ProviderPausedError
from grantway._types.token import Token

_lock = threading.Lock()
_mine = threading.local()

#: Most refreshes at once, each in a thread. Only a process with very many tokens reaches this, if
#: most of them expire together and the provider or the store does not respond.
_MOST = 1024
#: Retry delay for rejected callers, in seconds.
_LATER = 1.0
_running: dict[Hashable, Future[Token]] = {}


def join(key: Hashable, work: Callable[[], Token]) -> Future[Token]:
    """Return the future of the work that runs under this key, and start it if none does.

    The thread is not a daemon: a process that ends waits for it, so that a new refresh token is
    stored.

    Args:
        key: Identifies work that must not run twice at once.
        work: Called without arguments, in the context (``contextvars``) of the first caller.
    """
    with _lock:
        found = _running.get(key)
        if found is not None:
            return found
    return _start(key, work)


def _start(key: Hashable, work: Callable[[], Token]) -> Future[Token]:
    context = contextvars.copy_context()
    future: Future[Token] = Future()
    thread = threading.Thread(
        target=context.run, args=(_run, key, future, work), name="grantway-refresh"
    )
    try:
        with _lock:
            if len(_running) >= _MOST and key not in _running:
                return _reject(future)
            found = _running.setdefault(key, future)
        if found is not future:
            return found
        try:
            thread.start()
        except RuntimeError:
            # The interpreter is ending, or the system has no thread left.
            if _in_event_loop():  # running the work here would block every task
                _finish(key, future)
                return _reject(future)
            _run(key, future, work)
    except BaseException:
        # Such as Ctrl-C. If the thread has not started, cancel it so that no caller waits for it.
        if future.cancel():
            _finish(key, future)
        raise
    return future


def _reject(future: Future[Token]) -> Future[Token]:
    future.set_running_or_notify_cancel()
    future.set_exception(
        ProviderPausedError(
            f"Nothing was sent: {_MOST} refreshes are already running in this process. Try again "
            f"in {_LATER:g} s.",
            retry_after=_LATER,
        )
    )
    return future


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def under_way(key: Hashable) -> bool:
    """Return whether work runs under this key."""
    return key in _running


def is_mine(future: Future[Token]) -> bool:
    """Return whether the calling thread runs this work and so cannot wait for it."""
    return getattr(_mine, "future", None) is future


def _run(key: Hashable, future: Future[Token], work: Callable[[], Token]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    _mine.future = future
    try:
        token = work()
    except BaseException as error:  # noqa: BLE001 - the waiting callers get it
        _finish(key, future)
        future.set_exception(error)
    else:
        _finish(key, future)
        future.set_result(token)
    finally:
        _mine.future = None


def _finish(key: Hashable, future: Future[Token]) -> None:
    # Before the result is set: a caller that gets it and comes again must not find this work.
    with _lock:
        if _running.get(key) is future:
            del _running[key]


def _after_fork() -> None:
    # The child has none of its parent's threads, so inherited work would never end.
    global _lock, _running
    _lock, _running = threading.Lock(), {}


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork)
