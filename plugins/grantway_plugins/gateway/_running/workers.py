"""Run the gateway in several worker processes, with one admin listener for all of them."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.exposition import choose_encoder

from grantway._exceptions import ConfigurationError
from grantway._processes.copies import OneProcess
from grantway._secrets.params import Params
from grantway_plugins.gateway._config import ConfigFile
from grantway_plugins.gateway._config.shared_store import needs_shared_store
from grantway_plugins.gateway._metrics import COMBINED_GAUGES
from grantway_plugins.resource import SharedProofs
from grantway_plugins.server._listening.serving import serving
from grantway_plugins.server._metrics.combined import CombinedMetrics
from grantway_plugins.server._signals import on_signal
from grantway_plugins.server._workers.supervisor import Supervisor

from .connections import connection_warnings
from .file_watch import log_reload, reload_on_change
from .gateway import Gateway
from .health import Health
from .inbound import trusted_callers
from .logs import LogSettings
from .readiness import combined, readiness
from .sockets import Sockets, admin_listener

#: The module that a worker runs.
_MODULE = "grantway_plugins.gateway._running.worker"
#: Time limit in seconds for responses of workers; a check of the store takes up to two seconds.
_PATIENCE = 5.0
#: Time limit for a reload, which may discover providers.
_RELOAD_PATIENCE = 120.0
#: Interval in seconds at which counters are read, in case a worker crashes.
_COUNTED_EVERY = 5.0
#: First and longest pause in seconds before a reload is repeated; it doubles each time.
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0

_log = logging.getLogger("grantway.gateway")


def serve_workers(config: ConfigFile, count: int, logs: LogSettings) -> None:
    """Run a gateway in several processes until SIGTERM or SIGINT. SIGHUP reloads the file.

    Args:
        config: The file.
        count: Number of workers.
        logs: Settings of the log.

    Raises:
        ConfigurationError: The file has mistakes, an address cannot be used, or this system cannot
            share sockets between processes.
    """
    if os.name != "posix":
        rule = "must be 1 on this system; run one process for each port instead"
        raise ConfigurationError(f"--workers {rule}", errors={"workers": [rule]})
    config.mistakes += needs_shared_store(config)
    if config.mistakes:
        Gateway(config).discard()  # raises an error with all mistakes
    with Sockets.open(config, workers=True) as sockets:
        asyncio.run(Workers(config, count, sockets, logs).run())


class Workers(OneProcess):
    """The workers of a gateway as one: their health, metrics and reloads.

    Args:
        config: The file.
        count: Number of workers.
        sockets: The listening sockets.
        logs: Settings of the workers' log.
    """

    stays = "it has child processes; create one in the process that starts them"

    def __init__(self, config: ConfigFile, count: int, sockets: Sockets, logs: LogSettings) -> None:
        self._config, self._sockets, self._logs = config, sockets, logs
        self._changing, self._started = asyncio.Lock(), asyncio.Event()
        self._background: set[asyncio.Task[Any]] = set()
        self._stopping = False
        #: Whether some workers still have to use the file, for a reason that may pass.
        self._incomplete = False
        self._metrics = CombinedMetrics(COMBINED_GAUGES)
        self._used_proofs = SharedProofs()
        self._supervisor = Supervisor(
            _MODULE,
            count,
            settings=self._settings,
            listening=sockets.listening,
            files=[self._used_proofs.fileno()],
            grace_seconds=config.gateway["limits"].grace_seconds,
            ended=self._ended,
        )
        self._registry = CollectorRegistry()
        self._registry.register(self._metrics)
        running = Gauge("grantway_workers", "Running worker processes", registry=self._registry)
        running.set_function(lambda: self._supervisor.running)
        self._exits = Counter(
            "grantway_worker_exits",
            "Worker processes that had to be replaced",
            registry=self._registry,
        )

    async def run(self) -> None:
        """Run the workers until SIGTERM or SIGINT.

        Raises:
            ConfigurationError: The file has mistakes.
        """
        stop = asyncio.Event()
        on_signal("SIGINT", stop.set)
        on_signal("SIGTERM", stop.set)
        on_signal("SIGHUP", lambda: self._in_background(self.reload()))
        starting = asyncio.create_task(self._supervisor.start())
        stopped = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait([starting, stopped], return_when=asyncio.FIRST_COMPLETED)
            if stop.is_set():
                starting.cancel()
                return
            await starting
            await self._serve(stop)
        finally:
            stopped.cancel()
            await self._supervisor.stop()
            for task in self._background:
                task.cancel()

    async def _serve(self, stop: asyncio.Event) -> None:
        for warning in (*trusted_callers(self._config), *connection_warnings(self._config)):
            _log.warning("%s", warning)
        self._started.set()
        self._in_background(
            reload_on_change(
                self._config.path, lambda: self._config.gateway.get("reload_every"), self.reload
            )
        )
        self._in_background(self._keep_counters())
        health = Health(self.readiness, self.reload, self.render)
        async with serving(admin_listener(health, self._sockets, self._config), stop=stop):
            print(", ".join(self._sockets.addresses), flush=True)  # noqa: T201
            await stop.wait()
            self._stopping = True
            _log.info("stopping")
            await self._supervisor.stop()

    async def reload(self) -> str | None:
        """Read the file again, and let all workers use it for new requests; log the outcome.

        If workers are missing, or some cannot use the file, it is repeated in the background.

        Returns:
            The mistakes in the file, or None. With mistakes, nothing changes.
        """
        await self._started.wait()
        async with self._changing:
            repeats = self._incomplete
            problem = await self._reload()
        log_reload(self._config.path, problem, again=self._incomplete)
        if self._incomplete and not repeats:
            self._in_background(self._repeat(problem))
        return problem

    async def _repeat(self, reported: str | None) -> None:
        """Repeat a reload until all workers use the file, and log other problems than before."""
        pause = _FIRST_PAUSE
        while self._incomplete:
            await asyncio.sleep(pause)
            pause = min(_LONGEST_PAUSE, 2 * pause)
            async with self._changing:
                problem = await self._reload() if self._incomplete else reported
            if problem != reported:
                log_reload(self._config.path, problem, again=self._incomplete)
                reported = problem

    async def _reload(self) -> str | None:
        before, self._incomplete = self._incomplete, False
        try:
            config = await asyncio.to_thread(
                ConfigFile, self._config.path, require_valid=False, before=self._config
            )
        except ConfigurationError as error:
            return str(error)
        if mistakes := list(needs_shared_store(config)):
            return str(config.toml.wrong(mistakes))
        responses: dict[int, str | None] = {}
        # Also workers that have started meanwhile, with the old content.
        while more := await self._supervisor.ask(
            "update",
            {"content": config.toml.text},
            seconds=_RELOAD_PATIENCE,
            skipped=responses.keys(),
        ):
            responses |= more
        if not responses:
            self._incomplete = True
            return "No worker is ready, so none could check it"
        problems = {number: each for number, each in responses.items() if each is not None}
        if len(problems) == len(responses):
            # Some workers may use the file already, and those that failed before may fail again.
            self._incomplete = before and config.toml.text == self._config.toml.text
            return next(iter(problems.values()))
        # Workers that are started later use the same content.
        self._config, self._incomplete = config, bool(problems)
        return (
            "\n".join(
                f"Worker {number + 1} keeps the old configuration: {each}"
                for number, each in problems.items()
            )
            or None
        )

    async def readiness(self) -> Mapping[str, Any]:
        """Return the members of ``/readyz``."""
        found = await self._supervisor.ask("health", seconds=_PATIENCE)
        processes = len(found), self._supervisor.count
        return {
            **readiness(
                combined(found.values()),
                self._config.gateway["ready"],
                stopping=self._stopping,
                processes=processes,
            ),
            "workers": {"running": processes[0], "intended": processes[1]},
        }

    async def render(self, accept: str) -> tuple[bytes, str]:
        """Return the metrics of all workers and their content type.

        Args:
            accept: The scraper's ``Accept`` header.
        """
        await self._read_counters()
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type

    async def _read_counters(self) -> None:
        await self._supervisor.ask("metrics", seconds=_PATIENCE, arrived=self._metrics.update)

    async def _keep_counters(self) -> None:
        while True:
            await asyncio.sleep(_COUNTED_EVERY)
            await self._read_counters()

    def _ended(self, position: int) -> None:
        self._metrics.end(position)
        self._exits.inc()

    def _settings(self) -> Mapping[str, Any]:
        return Params(
            path=str(self._config.path),
            content=self._config.toml.text,
            logs=asdict(self._logs),
            used_proofs=self._used_proofs.fileno(),
            grpc=self._sockets.grpc and self._sockets.grpc.getsockname()[:2],
        )

    def _in_background(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
