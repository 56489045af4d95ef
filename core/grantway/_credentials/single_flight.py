"""Single flight: run one refresh per key at a time, and share its result.

The refresh runs in a separate thread, not in the first caller's. A caller that times out or is
interrupted therefore cancels nothing, and no refresh token is lost. Callers in threads and in event
loops wait for the same thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import copy
import os
import threading
from collections.abc import Callable, Hashable
from concurrent.futures import CancelledError, Future

from grantway._exceptions import ConfigurationError, ProviderPausedError
from grantway._transport.deadline import Deadline
from grantway._types.token import Token

_lock = threading.Lock()
_mine = threading.local()

#: Most refreshes at once, each in a thread. Only a process with very many tokens reaches this, if
#: most of them expire together and the provider or the store does not respond.
_MOST = 1024
#: Retry delay for rejected callers, in seconds.
_LATER = 1.0
#: Longest wait that the operating system accepts, halved for safety.
_LONGEST_WAIT = threading.TIMEOUT_MAX / 2
_running: dict[Hashable, Future[Token]] = {}


def join(key: Hashable, work: Callable[[], Token]) -> Future[Token]:
    """Return the future of the work that runs under this key, and start it if none does.

    The thread is not a daemon: a process waits for it before it exits, so that a new refresh token
    is stored.

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
            # The interpreter is shutting down, or the system cannot start another thread.
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


def is_running(key: Hashable) -> bool:
    """Return whether work runs under this key."""
    return key in _running


def wait(future: Future[Token], deadline: Deadline) -> bool:
    """Wait for work, and return whether it ended in time. Timing out does not cancel it.

    Raises:
        ConfigurationError: The calling thread runs this work, and would wait for itself.
    """
    if getattr(_mine, "future", None) is future:
        raise ConfigurationError(
            "on_token called token() of the credential that called on_token, which would wait for "
            "itself; use the token that on_token gets as its argument."
        )
    with contextlib.suppress(CancelledError, TimeoutError):
        future.exception(_wait_time(deadline))
    return future.done()


async def wait_async(future: Future[Token], deadline: Deadline) -> bool:
    """Wait for work in an event loop, and return whether it ended in time; see ``wait``."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()

    def wake(_future: Future[Token]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
            loop.call_soon_threadsafe(ended.set)

    future.add_done_callback(wake)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(ended.wait(), _wait_time(deadline))
    return future.done()


def raise_copy(future: Future[Token]) -> None:
    """Raise a copy of the error of finished work, if it has one and was not cancelled.

    Raising changes an exception's traceback, so each waiting caller gets its own copy.
    """
    error = None if future.cancelled() else future.exception()
    if error is not None:
        raise copy_of(error)


def copy_of(error: BaseException) -> BaseException:
    """Return a copy of an error with the same cause, or the error if it cannot be copied."""
    try:
        copied = copy.copy(error)
    except Exception:  # noqa: BLE001 - an error of the program may not be copyable
        return error
    if type(copied) is not type(error):
        return error
    copied.__cause__, copied.__context__ = error.__cause__, error.__context__
    copied.__suppress_context__ = error.__suppress_context__
    return copied.with_traceback(error.__traceback__)


def _wait_time(deadline: Deadline) -> float:
    return max(0.0, min(deadline.remaining(), _LONGEST_WAIT))


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
    # Before the result is set: a caller that then calls again must not join this work.
    with _lock:
        if _running.get(key) is future:
            del _running[key]


def _after_fork() -> None:
    # The child has none of its parent's threads, so inherited work would never end.
    global _lock, _running
    _lock, _running = threading.Lock(), {}


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork)
