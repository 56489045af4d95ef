"""One piece of work a key at a time: whoever comes while it runs waits for the same result.

The work runs in a thread of its own, and not in that of the caller who came first. So a caller
whose deadline ends, or who is interrupted, leaves without taking with it a refresh token that is
on its way; and a caller in an event loop waits like any other.
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

#: Pieces of work at once, each with a thread. Only a process with very many tokens comes near it,
#: when most of them are asked for in one moment and the provider or the store does not answer.
_MOST = 1024
#: Seconds after which who came too much may come again.
_LATER = 1.0
_flights: dict[Hashable, Future[Token]] = {}


def join(key: Hashable, work: Callable[[], Token]) -> Future[Token]:
    """The result of the work that runs under this key; it is started if none does.

    The thread is no daemon: a process that ends waits for it, so that a new refresh token is
    stored and not thrown away between its arrival and its saving.

    Args:
        key: Equal for what must not run twice at once.
        work: Called without arguments, in the context (``contextvars``) of who started it.
    """
    with _lock:
        found = _flights.get(key)
        if found is not None:
            return found
    return _start(key, work)


def _start(key: Hashable, work: Callable[[], Token]) -> Future[Token]:
    context = contextvars.copy_context()
    flight: Future[Token] = Future()
    thread = threading.Thread(
        target=context.run, args=(_fly, key, flight, work), name="grantway-refresh"
    )
    try:
        with _lock:
            if len(_flights) >= _MOST and key not in _flights:
                return _grounded(flight)
            found = _flights.setdefault(key, flight)
        if found is not flight:
            return found
        try:
            thread.start()
        except RuntimeError:
            # No thread is to be had: the interpreter is ending, or the system is out of them.
            if _in_event_loop():  # where nobody else could do anything meanwhile
                _land(key, flight)
                return _grounded(flight)
            _fly(key, flight, work)
    except BaseException:
        # As by Ctrl-C. Where the thread has not begun it must not, and nobody may wait for it.
        if flight.cancel():
            _land(key, flight)
        raise
    return flight


def _grounded(flight: Future[Token]) -> Future[Token]:
    flight.set_running_or_notify_cancel()
    flight.set_exception(
        ProviderPausedError(
            "Nothing was sent: this process has too many renewals under way. Ask again in "
            f"{_LATER:g} s.",
            retry_after=_LATER,
        )
    )
    return flight


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def under_way(key: Hashable) -> bool:
    """Whether work runs under this key."""
    return key in _flights


def is_mine(flight: Future[Token]) -> bool:
    """Whether it is the caller's own thread that does this work, so that it cannot wait for it."""
    return getattr(_mine, "flight", None) is flight


def _fly(key: Hashable, flight: Future[Token], work: Callable[[], Token]) -> None:
    if not flight.set_running_or_notify_cancel():
        return
    _mine.flight = flight
    try:
        token = work()
    except BaseException as error:  # noqa: BLE001 - it belongs to those who wait
        _land(key, flight)
        flight.set_exception(error)
    else:
        _land(key, flight)
        flight.set_result(token)
    finally:
        _mine.flight = None


def _land(key: Hashable, flight: Future[Token]) -> None:
    # Before the result is set: who is told of it and comes again must find no flight that is over.
    with _lock:
        if _flights.get(key) is flight:
            del _flights[key]


def _after_fork() -> None:
    # The child has none of its parent's threads, so nothing that it inherits would ever land.
    global _lock, _flights
    _lock, _flights = threading.Lock(), {}


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork)
