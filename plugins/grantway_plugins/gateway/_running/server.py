"""The gateway's process: listeners, signals and shutdown."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from grantway._plugins.default_registry import register_plugin, unregister
from grantway_plugins.gateway._config import ConfigFile
from grantway_plugins.gateway._config.shared_store import needs_shared_store
from grantway_plugins.server._listening.serving import serving
from grantway_plugins.server._signals import on_signal

from .connections import connection_warnings
from .gateway import Gateway, NamedEvents
from .inbound import trusted_callers
from .logs import LogSettings
from .sockets import Sockets, admin_listener, serving_requests
from .workers import serve_workers

_PLUGIN = "gateway metrics"

_log = logging.getLogger("grantway.gateway")


def check(path: str | Path, *, workers: int = 1) -> str:
    """Check a file by creating its components, without listening.

    Args:
        path: The configuration file.
        workers: Number of worker processes that will run it.

    Returns:
        A one-line summary of the file, and a line for each warning.

    Raises:
        ConfigurationError: Lists every mistake with file, line and reason.
    """
    config = ConfigFile(path, require_valid=False)
    if workers > 1:
        config.mistakes += needs_shared_store(config)
    gateway = Gateway(config)
    gateway.discard()
    counted = (("route", config.routes), ("provider", config.providers), ("tenant", config.tenants))
    shown = ", ".join(
        f"{len(each)} {name}{'' if len(each) == 1 else 's'}" for name, each in counted
    )
    warnings = (f"Warning: {each}" for each in connection_warnings(config))
    return "\n".join([f"{config.path} is valid: {shown}", *warnings])


def serve(path: str | Path, *, workers: int = 1, logs: LogSettings | None = None) -> None:
    """Run a gateway in the main thread until SIGTERM or SIGINT. SIGHUP reloads the file.

    It prints ``grantway gateway listening on <address>`` when it is ready.

    Args:
        path: The configuration file.
        workers: Number of processes that handle requests. With 1, this process handles them.
        logs: Settings of the log; with None, the log of this process is not changed.

    Raises:
        ConfigurationError: The file has mistakes, all listed with line and reason, or an address
            cannot be used.
    """
    if logs is not None:
        logs.apply()
    config = ConfigFile(path, require_valid=False)
    if workers > 1:
        serve_workers(config, workers, logs or LogSettings())
        return
    gateway = Gateway(config)
    with ExitStack() as ending:
        ending.callback(gateway.discard)
        ending.enter_context(plugins_of(gateway, config))
        asyncio.run(_run(gateway, config))


@contextmanager
def plugins_of(gateway: Gateway, config: ConfigFile) -> Iterator[None]:
    """Register the plugins that observe a gateway's calls, for the duration of a block.

    Raises:
        ConfigurationError: The file enables telemetry, and its library is missing.
    """
    plugins: dict[str, object] = {_PLUGIN: NamedEvents(gateway)}
    if config.gateway["telemetry"]:
        plugins[f"{_PLUGIN}.telemetry"] = _telemetry(config)
    with ExitStack() as ending:
        for name, plugin in plugins.items():
            register_plugin(name, plugin)
            ending.callback(unregister, name)
        yield


def _telemetry(config: ConfigFile) -> object:
    try:
        from grantway_plugins.telemetry import Telemetry  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as missing:
        rule = f"requires {missing.name}; install it with: pip install 'grantway[telemetry]'"
    else:
        return Telemetry()
    raise config.toml.wrong([(("gateway", "telemetry"), rule)])


async def _run(gateway: Gateway, config: ConfigFile) -> None:
    sockets = Sockets.open(config)
    with sockets:
        for warning in (*trusted_callers(config), *connection_warnings(config)):
            _log.warning("%s", warning)
        await gateway.start()
        stop = asyncio.Event()
        reloads: set[asyncio.Task[str | None]] = set()

        def reload() -> None:
            task = asyncio.create_task(gateway.reload())
            reloads.add(task)
            task.add_done_callback(reloads.discard)

        on_signal("SIGINT", stop.set)
        on_signal("SIGTERM", stop.set)
        on_signal("SIGHUP", reload)
        try:
            # The admin listener stops last, so that operators can watch requests finish.
            async with (
                serving(admin_listener(gateway.health, sockets, config), stop=stop),
                serving_requests(gateway, sockets, config, stop=stop) as grpc,
            ):
                said = [*sockets.addresses, *([f"grpc {grpc}"] if grpc else [])]
                print(", ".join(said), flush=True)  # noqa: T201
                await stop.wait()
                gateway.stopping = True
                _log.info("stopping")
        finally:
            await gateway.stop()
