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


async def wait_elsewhere(flight: Flight, deadline: Deadline) -> bool:
    """Wait for work that a thread or another event loop does; see ``Flight.wait_async``."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()

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
        #: A future for each waiting task -> when the task stops waiting, on the loop's clock.
        self._waiting_tasks: dict[asyncio.Future[bool], float] = {}
        self._timer: asyncio.TimerHandle | None = None
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
        closed = self._loop.is_closed()
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

    async def wait_async(self, deadline: Deadline) -> bool:
        """See ``Flight.wait_async``.

        ``asyncio.wait``, or a timer for each task, would take most of the time when 1,000 tasks
        wait.
        """
        loop = self._loop
        if asyncio.get_running_loop() is not loop:
            return await wait_elsewhere(self, deadline)
        if asyncio.current_task() is self.task:
            raise waits_for_itself()
        if self.done():
            return True
        waiter: asyncio.Future[bool] = loop.create_future()
        end = loop.time() + min(deadline.remaining(), LONGEST_WAIT)
        self._waiting_tasks[waiter] = end
        if self._timer is None or end < self._timer.when():
            self._set_timer(end)
        try:
            return await waiter or self.done()
        finally:
            del self._waiting_tasks[waiter]

    def _set_timer(self, end: float) -> None:
        """Set a timer that wakes the tasks whose timeout is at this time."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(end, self._time_out)

    def _time_out(self) -> None:
        self._timer, now = None, self._loop.time()
        for waiter, end in self._waiting_tasks.items():
            if end <= now:
                _wake(waiter, ended=False)
        left = [end for waiter, end in self._waiting_tasks.items() if not waiter.done()]
        if left:
            self._set_timer(min(left))

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
            if self._timer is not None:
                self._timer.cancel()
            for waiter in self._waiting_tasks:
                _wake(waiter, ended=True)
        del result  # an exception refers to this frame, and so to all that the frame refers to

    async def _outlast(self) -> None:
        await asyncio.wait([self.task], timeout=max(0.0, self._deadline.remaining()))
        if not self.task.done():
            self.task.cancel()
            await asyncio.wait([self.task])


def _wake(waiter: asyncio.Future[bool], *, ended: bool) -> None:
    if not waiter.done():
        waiter.set_result(ended)


class _Uncancellable(asyncio.Task[None]):
    def cancel(self, msg: Any | None = None) -> bool:
        """Do nothing."""
        return False


async def _wait_for(tasks: set[asyncio.Task[None]]) -> None:
    while tasks:
        await asyncio.wait(tasks)


_unfinished: PerLoop[set[asyncio.Task[None]]] = PerLoop(set, _wait_for)
