"""The gateway's process: listeners, signals and shutdown."""

from __future__ import annotations

import asyncio
import logging
import signal
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from grantway._plugins.default_registry import register_plugin, unregister
from grantway_plugins.gateway._config import ConfigFile
from grantway_plugins.server._listening.address import address_of, listen
from grantway_plugins.server._listening.listener import Listener
from grantway_plugins.server._tls.certificate import ServerCertificate

from .gateway import App, Gateway, NamedEvents

if TYPE_CHECKING:
    from grantway_plugins.gateway._envoy.listener import GrpcListener

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
    listeners = _Listeners(gateway, config)
    await gateway.start()
    await listeners.start_grpc()
    waiting = len(listeners.http)

    def ready() -> None:
        nonlocal waiting
        waiting -= 1
        if not waiting:
            print(", ".join(listeners.shown), flush=True)  # noqa: T201

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
    serving = [asyncio.create_task(each.listen(ready)) for each in listeners.http]
    try:
        await asyncio.wait(
            [asyncio.create_task(stop.wait()), *serving], return_when=asyncio.FIRST_COMPLETED
        )
    finally:
        gateway.stopping = True
        _log.info("stopping")
        await listeners.stop(serving)
        await gateway.stop()


class _Listeners:
    """The listeners of a gateway. Creating them reserves their addresses.

    Args:
        gateway: The gateway.
        config: Its file.

    Raises:
        ConfigurationError: An address cannot be used.

    Attributes:
        http: The listeners for HTTP.
        shown: Names and addresses of all listeners.
    """

    def __init__(self, gateway: Gateway, config: ConfigFile) -> None:
        self._table = config.gateway
        self.http: list[Listener] = []
        self.shown: list[str] = []
        self._grpc: GrpcListener | None = None
        try:
            self._open(gateway, config)
        except BaseException:
            for each in self.http:
                each.close()
            raise

    def _open(self, gateway: Gateway, config: ConfigFile) -> None:
        # Each request may open a connection to an upstream.
        name = "grantway gateway listening on"
        certificate = gateway.certificate
        self._open_http(
            name, gateway.front, self._table["listen"], files_each=2, certificate=certificate
        )
        self._admin = self._open_http("admin", gateway.health, self._table["admin"])
        if config.authorize is None:
            return
        self._open_http("authorize", gateway.authorize, config.authorize["listen"])
        if "grpc_listen" in config.authorize:
            # Not earlier: gRPC is an extra, and its import takes 0.1 seconds.
            from grantway_plugins.gateway._envoy.listener import GrpcListener  # noqa: PLC0415

            address = config.authorize["grpc_listen"]
            self._grpc = GrpcListener(gateway, address, self._table["limits"])
            self.shown.append(f"grpc {self._grpc.address}")

    def _open_http(
        self,
        name: str,
        app: App,
        address: tuple[str, int],
        *,
        files_each: int = 1,
        certificate: ServerCertificate | None = None,
    ) -> Listener:
        listening = listen(*address)
        scheme = "http" if certificate is None else "https"
        self.shown.append(f"{name} {address_of(address[0], listening, scheme)}")
        listener = Listener(
            app,
            listening,
            self._table["limits"],
            trusted=self._table["trusted_proxies"],
            files_each=files_each,
            certificate=certificate,
        )
        self.http.append(listener)
        return listener

    async def start_grpc(self) -> None:
        """Start the gRPC listener, if there is one."""
        if self._grpc is not None:
            await self._grpc.start()

    async def stop(self, serving: list[asyncio.Task[None]]) -> None:
        """Finish the requests in progress, within the grace period.

        The admin listener stops last, so that operators can watch.

        Args:
            serving: The tasks of ``http``.
        """
        others = [each for each in self.http if each is not self._admin]
        for each in others:
            each.stop()
        if self._grpc is not None:
            await self._grpc.stop(self._table["limits"].grace_seconds)
        await asyncio.gather(
            *[task for task, each in zip(serving, self.http, strict=True) if each in others]
        )
        self._admin.stop()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*serving)


def _on(loop: asyncio.AbstractEventLoop, name: str, act: object) -> None:
    number = getattr(signal, name, None)
    if number is not None:  # Windows has no SIGHUP and no signal handlers in event loops
        with suppress(NotImplementedError):
            loop.add_signal_handler(number, act)  # type: ignore[arg-type]
