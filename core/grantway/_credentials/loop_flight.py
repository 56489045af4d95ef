"""Single flight on an event loop.

``asyncio.run`` and many programs cancel all tasks before they close the loop. A request for a
token must not be cancelled, because its response may have the only valid refresh token. Therefore
the task of a refresh is hidden from ``asyncio.all_tasks``, and a second task, which ignores being
cancelled, waits for it and so keeps the loop running until the token is stored.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Hashable
from contextlib import suppress
from typing import Any

from grantway._processes.hidden_task import hidden_task
from grantway._processes.per_loop import PerLoop
from grantway._transport.deadline import Deadline
from grantway._types.token import Token

from .single_flight import LONGEST_WAIT, Flight, enter, find, finish, waits_for_itself

Work = Callable[[], Awaitable[Token]]


def join_async(key: Hashable, work: Work, seconds: float) -> Flight:
    """Return the future of the work that runs under this key, and start it here if none does.

    Args:
        key: Identifies work that must not run twice at once, in threads or event loops.
        work: Returns a coroutine, which runs in the context (``contextvars``) of the first caller.
        seconds: Longest duration of the work, after which it is cancelled.
    """
    found = find(key)
    if found is None:
        flight = LoopFlight(key, asyncio.get_running_loop(), seconds)
        found = enter(key, flight)
        if found is flight and not flight.done():
            flight.start(work)
    return found


async def wait_async(flight: Flight, deadline: Deadline) -> bool:
    """Wait for work, and return whether it ended in time. Cancelling the wait does not cancel it.

    Raises:
        ConfigurationError: The calling task does this work, and would wait for itself.
    """
    loop = asyncio.get_running_loop()
    if isinstance(flight, LoopFlight) and flight.loop is loop:
        if asyncio.current_task() is flight.task:
            raise waits_for_itself()
        if not flight.done():
            await flight.wait(max(0.0, min(deadline.remaining(), LONGEST_WAIT)))
        return flight.done()
    ended = asyncio.Event()

    def wake(_flight: object) -> None:
        with suppress(RuntimeError):  # the loop was closed meanwhile
            loop.call_soon_threadsafe(ended.set)

    flight.add_done_callback(wake)
    while not flight.done() and deadline.remaining() > 0:
        with suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), flight.wait_time(deadline))
        if not flight.done():
            flight.abandoned()
    return flight.done()


class LoopFlight(Flight):
    """The result of work in a separate task.

    Args:
        key: Identifies the work.
        loop: The running event loop.
        seconds: Longest duration of the work.

    Attributes:
        task: The task that does the work.
    """

    task: asyncio.Task[None]

    def __init__(self, key: Hashable, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        super().__init__()
        self._key = key
        self._loop = loop
        self._waiting_tasks: set[asyncio.Future[None]] = set()
        self._deadline = Deadline(seconds)

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """See ``Flight.loop``."""
        return self._loop

    def start(self, work: Work) -> None:
        """Start the work, a function that returns a coroutine."""
        self.task = hidden_task(self._run(work), "grantway-refresh")
        self._guard = _Uncancellable(self._outlast(), loop=self.loop, name="grantway-refresh-guard")
        # A task that a closing loop cancels may start work, too late for the guard.
        unfinished = _unfinished.get()
        unfinished.add(self.task)
        self.task.add_done_callback(unfinished.discard)

    @property
    def problem(self) -> str:
        """See ``Flight.problem``."""
        return "" if self.loop.is_running() else "waits for its event loop, which is not running"

    def abandoned(self) -> bool:
        """Return whether the work cannot end any more; if so, cancel this future.

        That is the case if its loop was closed, or has not run until the deadline.
        """
        closed = self.loop.is_closed()
        if not closed and self._deadline.remaining() > 0:
            return False
        if closed:
            # Release the locks that the work holds, and record that its request was interrupted.
            coroutine: Coroutine[Any, Any, None] = self.task.get_coro()  # type: ignore[assignment]
            with suppress(RuntimeError, ValueError):  # it awaits again, or another thread closes it
                coroutine.close()
        finish(self._key, self)
        self.cancel()
        return True

    async def wait(self, seconds: float) -> None:
        """Wait on the same loop until the work ends, at most for some seconds.

        ``asyncio.wait`` needs more memory and time, which counts when 1,000 tasks wait.
        """
        waiter: asyncio.Future[None] = self._loop.create_future()
        timer = self._loop.call_later(seconds, _wake, waiter)
        self._waiting_tasks.add(waiter)
        try:
            await waiter
        finally:
            timer.cancel()
            self._waiting_tasks.discard(waiter)

    async def _run(self, work: Work) -> None:
        result: Token | BaseException
        try:
            result = await work()
        except BaseException as error:  # noqa: BLE001 - the waiting callers get it
            result = error
        finish(self._key, self)
        if isinstance(result, (asyncio.CancelledError, GeneratorExit)):
            self.cancel()  # no response is awaited any more; callers start again
        elif not self.set_running_or_notify_cancel():
            pass  # callers have given up waiting for this loop
        elif isinstance(result, BaseException):
            self.set_exception(result)
        else:
            self.set_result(result)
        if not self._loop.is_closed():
            for waiter in self._waiting_tasks:
                _wake(waiter)
        del result  # an exception refers to this frame, and so to all that the frame refers to

    async def _outlast(self) -> None:
        await asyncio.wait([self.task], timeout=max(0.0, self._deadline.remaining()))
        if not self.task.done():
            self.task.cancel()
            await asyncio.wait([self.task])


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


class _Uncancellable(asyncio.Task[None]):
    def cancel(self, msg: Any | None = None) -> bool:
        """Do nothing."""
        return False


async def _wait_for(tasks: set[asyncio.Task[None]]) -> None:
    while tasks:
        await asyncio.wait(tasks)


_unfinished: PerLoop[set[asyncio.Task[None]]] = PerLoop(set, _wait_for)
