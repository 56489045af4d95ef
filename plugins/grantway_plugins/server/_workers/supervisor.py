"""Start worker processes, and replace those that end."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Container, Mapping, Sequence
from functools import partial
from typing import Any

from grantway._exceptions import ConfigurationError
from grantway._processes.copies import OneProcess
from grantway._secrets.params import Params

from .channel import SupervisorEnd
from .handover import Dispatcher, Queue

#: First and longest delay in seconds before a worker is replaced; it doubles each time.
_FIRST_DELAY, _LONGEST_DELAY = 1.0, 30.0
#: A worker that ran for this many seconds is replaced after the first delay again.
_STEADY = 60.0
#: Seconds that a worker may take to end after its grace period.
_MARGIN = 5.0
#: Would combine the metrics of all processes of the user in each worker.
_SHARED_METRICS = "PROMETHEUS_MULTIPROC_DIR"

_log = logging.getLogger("grantway.server")


class Supervisor(OneProcess):
    """Runs a module in several processes, and hands connections over to them.

    A worker gets its settings as the first request, ``start``, and responds with null once it is
    ready, or with the reason why it cannot start. ``listening`` in the settings has the numbers of
    the open files for ``HandedOver``, in the order of the listening sockets. A worker must end on
    SIGTERM, and when its connection to the supervisor ends.

    Args:
        module: The module that workers run, as ``python -m MODULE FILE``; ``FILE`` is the number
            of the open socket for ``WorkerEnd``.
        count: Number of workers.
        settings: Returns the settings for ``start``, as JSON. If they have changed while a worker
            started, it gets the new ones with a request ``update``, and responds as to ``start``.
        listening: The listening sockets.
        files: More open files that workers inherit, under the same numbers.
        grace_seconds: Maximum time in seconds that a worker may take to end after SIGTERM.
        ended: Called with the position, counted from 0, of a worker that has ended and is replaced.
    """

    stays = "it has child processes; create one in the process that starts them"

    def __init__(
        self,
        module: str,
        count: int,
        *,
        settings: Callable[[], Mapping[str, Any]],
        listening: Sequence[socket.socket],
        files: Sequence[int] = (),
        grace_seconds: float,
        ended: Callable[[int], None],
    ) -> None:
        self.count = count
        self._module, self._settings = module, settings
        self._listening, self._files = tuple(listening), tuple(files)
        self._grace, self._ended = grace_seconds, ended
        self._workers = [
            _Worker(position, [Queue() for _ in listening]) for position in range(count)
        ]
        self._watching: list[asyncio.Task[None]] = []
        self._dispatchers: list[Dispatcher] = []

    @property
    def running(self) -> int:
        """Number of workers that are ready."""
        return sum(each.ready for each in self._workers)

    async def start(self) -> None:
        """Start all workers, and return when they are ready.

        Raises:
            ConfigurationError: A worker cannot start; gives its reason. Call ``stop`` then.
        """
        problems = await asyncio.gather(*[self._start(each) for each in self._workers])
        for problem in filter(None, problems):
            raise ConfigurationError(problem)
        self._watching = [asyncio.create_task(self._replace(each)) for each in self._workers]
        self._dispatchers = [
            Dispatcher(each, partial(self._queues, number))
            for number, each in enumerate(self._listening)
        ]

    def _queues(self, number: int) -> list[Queue]:
        """Return the queues of the workers that take connections."""
        ready = [each for each in self._workers if each.ready]
        return [each.queues[number] for each in ready if each.responds] or [
            each.queues[number] for each in ready
        ]

    def _redistribute(self, worker: _Worker) -> None:
        """Give the connections that a worker has not taken to others, if there are any."""
        if not any(each.ready and each.responds for each in self._workers if each is not worker):
            return
        for dispatcher, queue in zip(self._dispatchers, worker.queues, strict=False):
            for connection in queue.take_back():
                dispatcher.hand_over(connection)

    async def stop(self) -> None:
        """Close the listening sockets, and end all workers; safe to repeat.

        New connections are refused at once. Workers get SIGTERM, and SIGKILL after the grace
        period.
        """
        for dispatcher in self._dispatchers:
            dispatcher.stop()
        self._dispatchers = []
        for each in self._listening:
            each.close()
        for task in self._watching:
            task.cancel()
        await asyncio.gather(*self._watching, return_exceptions=True)
        await asyncio.gather(*[each.stop(self._grace + _MARGIN) for each in self._workers])

    async def ask(
        self,
        name: str,
        argument: Any = None,
        *,
        seconds: float,
        skipped: Container[int] = (),
        arrived: Callable[[int, Any], None] = lambda _position, _response: None,
    ) -> dict[int, Any]:
        """Ask all ready workers, and return the responses by position.

        Workers that end, or do not respond in time, are missing. The latter get no connections
        until they respond again.

        Args:
            name: Name of the request.
            argument: Its argument, as JSON.
            seconds: Time limit.
            skipped: Positions of workers that are not asked.
            arrived: Called with the position and the response as soon as it arrives, in the order
                of the requests, and never after ``ended`` for this worker.
        """
        responses: dict[int, Any] = {}

        async def ask(worker: _Worker) -> None:
            process = worker.process
            response = await worker.ask(name, argument, seconds)
            if not worker.responds:
                self._redistribute(worker)
            if response is not None and worker.ready and worker.process is process:
                responses[worker.position] = response[0]
                arrived(worker.position, response[0])

        asked = [each for each in self._workers if each.ready and each.position not in skipped]
        await asyncio.gather(*[ask(each) for each in asked])
        return dict(sorted(responses.items()))

    async def _start(self, worker: _Worker) -> str | None:
        """Start a worker with the current settings; return why it cannot start, or None."""
        settings = self._settings()
        problem = await worker.start(self._module, self._files, settings)
        while problem is None and (current := self._settings()) != settings:
            problem, settings = await worker.update(current), current
        worker.ready = problem is None
        return problem

    async def _replace(self, worker: _Worker) -> None:
        """Replace a worker each time that it ends."""
        loop = asyncio.get_running_loop()
        delay, began, problem = _FIRST_DELAY, loop.time(), None
        while True:
            ended = await worker.wait()
            self._ended(worker.position)
            self._redistribute(worker)
            if loop.time() - began > _STEADY:
                delay = _FIRST_DELAY
            _log.error(
                "Worker %d of %d %s; starting another in %g s",
                worker.position + 1,
                self.count,
                ended if problem is None else f"cannot start: {problem}",
                delay,
            )
            await asyncio.sleep(delay)
            began, delay = loop.time(), min(_LONGEST_DELAY, 2 * delay)
            problem = await self._start(worker)


class _Worker:
    """One of the workers, and its current process.

    Args:
        position: Its position, counted from 0.
        queues: Its connections, for each listening socket.
    """

    def __init__(self, position: int, queues: Sequence[Queue]) -> None:
        self.position, self.queues = position, queues
        self.ready, self.responds = False, True
        self.process: asyncio.subprocess.Process | None = None
        self._end: SupervisorEnd | None = None

    async def start(
        self, module: str, files: Sequence[int], settings: Mapping[str, Any]
    ) -> str | None:
        """Start a process; return None when it is ready, or the reason why it cannot start."""
        ours, theirs = socket.socketpair()
        self._end = SupervisorEnd(ours)
        listening = [each.fileno() for each in self.queues]
        environment = {**os.environ}
        environment.pop(_SHARED_METRICS, None)
        with theirs:
            # In its own process group, so that Ctrl-C reaches only the supervisor.
            self.process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",  # as for the command, the working directory is not searched for modules
                "-m",
                module,
                str(theirs.fileno()),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=[theirs.fileno(), *listening, *files],
                env=environment,
                process_group=0,
            )
        await self._end.open()
        self.responds = True
        return await self._configure("start", Params(settings, listening=listening))

    async def update(self, settings: Mapping[str, Any]) -> str | None:
        """Let the process use other settings; return as ``start`` does."""
        return await self._configure("update", settings)

    async def _configure(self, name: str, settings: Mapping[str, Any]) -> str | None:
        assert self._end is not None
        assert self.process is not None
        try:
            problem: str | None = await self._end.ask(name, settings)
        except ConnectionError:
            return f"it {await self.wait()}"
        if problem is not None:
            if self.process.returncode is None:
                self.process.terminate()
            await self.wait()
        return problem

    async def wait(self) -> str:
        """Wait until the process has ended; return how, for messages."""
        assert self.process is not None
        assert self._end is not None
        status = await self.process.wait()
        self.ready = False
        await self._end.close()
        if status < 0:
            return f"was ended by {signal.Signals(-status).name}"
        return f"ended with status {status}"

    async def ask(self, name: str, argument: Any, seconds: float) -> tuple[Any] | None:
        """Return the response to a request, or None if there is none."""
        assert self._end is not None
        try:
            async with asyncio.timeout(seconds):
                response = (await self._end.ask(name, argument),)
        except TimeoutError:
            self.responds = False
            return None
        except ConnectionError:
            return None
        self.responds = True
        return response

    async def stop(self, seconds: float) -> None:
        """End the process; kill it after a time in seconds."""
        if self.process is not None:
            if self.process.returncode is None:
                self.process.terminate()
            try:
                async with asyncio.timeout(seconds):
                    await self.process.wait()
            except TimeoutError:
                _log.error("Worker %d did not end in time; killing it", self.position + 1)
                self.process.kill()
            await self.wait()
        for each in self.queues:
            each.close()
