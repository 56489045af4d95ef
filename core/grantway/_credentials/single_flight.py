"""Single flight: run one refresh per key at a time, and share its result.

A refresh runs in a separate thread, or in a separate task if an event loop needs it first (see
``loop_flight``). A caller that times out or is interrupted therefore cancels nothing, and no
refresh token is lost. Callers in threads and in any event loop wait for the same refresh.
"""

from __future__ import annotations

import contextlib
import contextvars
import copy
import os
import sys
import threading
from collections.abc import Callable, Hashable
from concurrent.futures import CancelledError, Future

from grantway._exceptions import ConfigurationError, ProviderPausedError
from grantway._transport.deadline import Deadline
from grantway._types.token import Token

_lock = threading.Lock()
_mine = threading.local()

#: Most refreshes at once, each with a connection. Only a process with very many tokens reaches
#: this, if most of them expire together and the provider or the store does not respond.
_MOST = 1024
#: Retry delay for rejected callers, in seconds.
_LATER = 1.0
#: Longest wait that the operating system accepts, halved for safety.
LONGEST_WAIT = threading.TIMEOUT_MAX / 2
#: Seconds between two checks whether the event loop that runs a refresh was closed.
_CHECK = 0.25


class Flight(Future[Token]):
    """The result of a running refresh.

    It is cancelled if the refresh ended without a result; then callers start another one.
    """

    @property
    def loop(self) -> object:
        """The event loop that runs the refresh; None if a thread does."""
        return None

    @property
    def problem(self) -> str:
        """Why the refresh does not continue; empty if it does."""
        return ""

    def abandoned(self) -> bool:
        """Return whether the refresh cannot end any more; if so, cancel this future."""
        return False

    def wait_time(self, deadline: Deadline) -> float:
        """Return the seconds to wait before the next check of ``abandoned``."""
        return max(0.0, min(deadline.remaining(), _CHECK if self.loop else LONGEST_WAIT))

    async def wait_async(self, deadline: Deadline) -> bool:
        """Wait on the running event loop, and return whether the work ended in time.

        Cancelling the wait does not cancel the work.

        Raises:
            ConfigurationError: The calling task does this work, and would wait for itself.
        """
        from .loop_flight import wait_elsewhere  # noqa: PLC0415 - loads asyncio

        return await wait_elsewhere(self, deadline)


_running: dict[Hashable, Flight] = {}


def join(key: Hashable, work: Callable[[], Token]) -> Flight:
    """Return the future of the work that runs under this key, and start it if none does.

    The thread is not a daemon: a process waits for it before it exits, so that a new refresh token
    is stored.

    Args:
        key: Identifies work that must not run twice at once.
        work: Called without arguments, in the context (``contextvars``) of the first caller.
    """
    return find(key) or _start(key, work)


def find(key: Hashable) -> Flight | None:
    """Return the future of the work that runs under this key."""
    found = _running.get(key)
    return None if found is None or found.abandoned() else found


def enter(key: Hashable, flight: Flight) -> Flight:
    """Return the work that runs under a key; if there is none, enter new work and return it.

    If too many refreshes run, the new work gets an error instead.
    """
    if len(_running) >= _MOST:
        for each in list(_running.values()):
            each.abandoned()
    with _lock:
        if len(_running) < _MOST or key in _running:
            return _running.setdefault(key, flight)
    return _reject(flight)


def finish(key: Hashable, flight: Flight) -> None:
    """Remove work before its result is set: a caller that calls again must not join it."""
    with _lock:
        if _running.get(key) is flight:
            del _running[key]


def _start(key: Hashable, work: Callable[[], Token]) -> Flight:
    context = contextvars.copy_context()
    flight = Flight()
    thread = threading.Thread(
        target=context.run, args=(_run, key, flight, work), name="grantway-refresh"
    )
    try:
        found = enter(key, flight)
        if found is not flight or flight.done():
            return found
        try:
            thread.start()
        except RuntimeError:
            # The interpreter is shutting down, or the system cannot start another thread.
            if _running_loop() is not None:  # running the work here would block every task
                finish(key, flight)
                return _reject(flight)
            _run(key, flight, work)
    except BaseException:
        # Such as Ctrl-C. If the thread has not started, cancel it so that no caller waits for it.
        if flight.cancel():
            finish(key, flight)
        raise
    return flight


def _reject(flight: Flight) -> Flight:
    flight.set_running_or_notify_cancel()
    flight.set_exception(
        ProviderPausedError(
            f"Nothing was sent: {_MOST} refreshes are already running in this process. Try again "
            f"in {_LATER:g} s.",
            retry_after=_LATER,
        )
    )
    return flight


def _run(key: Hashable, flight: Flight, work: Callable[[], Token]) -> None:
    if not flight.set_running_or_notify_cancel():
        return
    _mine.flight = flight
    try:
        token = work()
    except BaseException as error:  # noqa: BLE001 - the waiting callers get it
        finish(key, flight)
        flight.set_exception(error)
    else:
        finish(key, flight)
        flight.set_result(token)
    finally:
        _mine.flight = None


# --- For callers ----------------------------------------------------------------------------------


def is_running(key: Hashable) -> bool:
    """Return whether work runs under this key."""
    return key in _running


def waits_for_itself() -> ConfigurationError:
    """Return the error for a caller that is part of the work that it would wait for."""
    return ConfigurationError(
        "on_token called token() of the credential that called on_token, which would wait for "
        "itself; use the token that on_token gets as its argument."
    )


def reject_own_loop(key: Hashable, call: str) -> None:
    """Raise if the calling thread runs the event loop that does the work under this key.

    Args:
        key: As for ``join``.
        call: The blocking method, for the message.

    Raises:
        ConfigurationError: The call would block the event loop that it waits for.
    """
    found = _running.get(key)
    if found is not None and found.loop is not None and found.loop is _running_loop():
        raise ConfigurationError(
            f"{call}() was called on the event loop that is refreshing this token, and would wait "
            f"for itself. In a coroutine, use: await credential.{call}_async(). Call code that "
            "cannot await through asyncio.to_thread()."
        )


def wait(flight: Flight, deadline: Deadline) -> bool:
    """Wait for work, and return whether it ended in time. Timing out does not cancel it.

    Raises:
        ConfigurationError: The calling thread runs this work, and would wait for itself.
    """
    if getattr(_mine, "flight", None) is flight:
        raise waits_for_itself()
    while not flight.done() and deadline.remaining() > 0:
        with contextlib.suppress(CancelledError, TimeoutError):
            flight.exception(flight.wait_time(deadline))
        if not flight.done():
            flight.abandoned()
    return flight.done()


def raise_copy(flight: Flight) -> None:
    """Raise a copy of the error of finished work, if it has one and was not cancelled.

    Raising changes an exception's traceback, so each waiting caller gets its own copy.
    """
    error = None if flight.cancelled() else flight.exception()
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


def _running_loop() -> object:
    asyncio = sys.modules.get("asyncio")  # importing it would slow down programs without it
    try:
        return None if asyncio is None else asyncio.get_running_loop()
    except (AttributeError, RuntimeError):  # another thread is importing it, or no loop runs
        return None


def _after_fork() -> None:
    # The child has none of its parent's threads, so inherited work would never end.
    global _lock, _running
    _lock, _running = threading.Lock(), {}


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork)
