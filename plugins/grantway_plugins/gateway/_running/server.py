"""The gateway's process: listeners, signals and shutdown."""

from __future__ import annotations

import asyncio
import logging
import signal
from contextlib import ExitStack, suppress
from pathlib import Path

from grantway._plugins.default_registry import register_plugin, unregister
from grantway_plugins.gateway._config import ConfigFile
from grantway_plugins.server._listening.address import address_of, listen
from grantway_plugins.server._listening.listener import Listener
from grantway_plugins.server._tls.certificate import ServerCertificate

from .gateway import App, Gateway, NamedEvents

_PLUGIN = "gateway metrics"

_log = logging.getLogger("grantway.gateway")


def check(path: str | Path) -> str:
    """Check a file by creating its components, without listening.

    Returns:
        A one-line summary of the file.

    Raises:
        ConfigurationError: Lists every mistake with file, line and reason.
    """
    config = ConfigFile(path, require_valid=False)
    gateway = Gateway(config)
    gateway.discard()
    counted = (("route", config.routes), ("provider", config.providers), ("tenant", config.tenants))
    shown = ", ".join(
        f"{len(each)} {name}{'' if len(each) == 1 else 's'}" for name, each in counted
    )
    return f"{config.path} is valid: {shown}"


def serve(path: str | Path) -> None:
    """Run a gateway in the main thread until SIGTERM or SIGINT. SIGHUP reloads the file.

    It prints ``grantway gateway listening on <address>`` when it is ready.

    Args:
        path: The configuration file.

    Raises:
        ConfigurationError: The file has mistakes, all listed with line and reason, or an address
            cannot be used.
    """
    config = ConfigFile(path, require_valid=False)
    gateway = Gateway(config)
    with ExitStack() as ending:
        ending.callback(gateway.discard)
        _register(ending, _PLUGIN, NamedEvents(gateway))
        if config.gateway["telemetry"]:
            _register(ending, f"{_PLUGIN}.telemetry", _telemetry(config))
        asyncio.run(_run(gateway, config))


def _register(ending: ExitStack, name: str, plugin: object) -> None:
    register_plugin(name, plugin)
    ending.callback(unregister, name)


def _telemetry(config: ConfigFile) -> object:
    try:
        from grantway_plugins.telemetry import Telemetry  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as missing:
        rule = f"requires {missing.name}; install it with: pip install 'grantway[telemetry]'"
    else:
        return Telemetry()
    raise config.toml.wrong([(("gateway", "telemetry"), rule)])


async def _run(gateway: Gateway, config: ConfigFile) -> None:
    table = config.gateway
    listeners: list[Listener] = []
    addresses: list[str] = []

    def open_listener(
        app: App,
        address: tuple[str, int],
        *,
        files_each: int = 1,
        certificate: ServerCertificate | None = None,
    ) -> Listener:
        listening = listen(*address)
        scheme = "http" if certificate is None else "https"
        addresses.append(address_of(address[0], listening, scheme))
        listeners.append(
            Listener(
                app,
                listening,
                table["limits"],
                trusted=table["trusted_proxies"],
                files_each=files_each,
                certificate=certificate,
            )
        )
        return listeners[-1]

    try:
        # Each request may open a connection to an upstream.
        open_listener(gateway.front, table["listen"], files_each=2, certificate=gateway.certificate)
        admin = open_listener(gateway.health, table["admin"])
        if config.authorize is not None:
            open_listener(gateway.authorize, config.authorize["listen"])
    except BaseException:
        for each in listeners:
            each.close()
        raise
    await gateway.start()
    waiting = len(listeners)

    def ready() -> None:
        nonlocal waiting
        waiting -= 1
        if not waiting:
            names = ("grantway gateway listening on", "admin", "authorize")
            said = ", ".join(f"{name} {where}" for name, where in zip(names, addresses))  # noqa: B905 - the last is optional
            print(said, flush=True)  # noqa: T201

    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    reloads: set[asyncio.Task[str | None]] = set()

    def reload() -> None:
        task = asyncio.create_task(gateway.reload())
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    _on(loop, "SIGINT", stop.set)
    _on(loop, "SIGTERM", stop.set)
    _on(loop, "SIGHUP", reload)
    serving = [asyncio.create_task(each.listen(ready)) for each in listeners]
    try:
        await asyncio.wait(
            [asyncio.create_task(stop.wait()), *serving], return_when=asyncio.FIRST_COMPLETED
        )
    finally:
        gateway.stopping = True
        _log.info("stopping")
        # Stop the admin listener last, so that operators can watch requests finish.
        for each in reversed(listeners):
            if each is not admin:
                each.stop()
        await asyncio.gather(
            *[task for task, each in zip(serving, listeners, strict=True) if each is not admin]
        )
        admin.stop()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*serving)
        await gateway.stop()


def _on(loop: asyncio.AbstractEventLoop, name: str, act: object) -> None:
    number = getattr(signal, name, None)
    if number is not None:  # Windows has no SIGHUP and no signal handlers in event loops
        with suppress(NotImplementedError):
            loop.add_signal_handler(number, act)  # type: ignore[arg-type]
