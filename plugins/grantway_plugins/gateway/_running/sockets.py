"""The listening sockets of a gateway, and the listeners that serve them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from grantway_plugins.gateway._config import ConfigFile
from grantway_plugins.gateway._forwarding.client_protocol import ForwardingProtocol
from grantway_plugins.server._listening.address import address_of, listen, reserve
from grantway_plugins.server._listening.listener import Listener
from grantway_plugins.server._listening.serving import serving
from grantway_plugins.server._workers.handover import HandedOver

if TYPE_CHECKING:
    from grantway_plugins.gateway._envoy.listener import GrpcListener

    from .gateway import Gateway


@dataclass(frozen=True, slots=True)
class Sockets:
    """Listening sockets. They are closed at the end of a ``with`` block.

    Attributes:
        front: For requests.
        authorize: For other proxies, or None.
        admin: For health and metrics; None in a worker process.
        addresses: Names and addresses, to print when the gateway is ready.
        grpc: Keeps the address for gRPC for the workers, or None.
    """

    front: socket.socket
    authorize: socket.socket | None
    admin: socket.socket | None = None
    addresses: tuple[str, ...] = ()
    grpc: socket.socket | None = None

    @classmethod
    def open(cls, config: ConfigFile, *, workers: bool = False) -> Self:
        """Listen on the addresses in a file, except that for gRPC.

        Args:
            config: The file.
            workers: Whether worker processes will use the sockets.

        Raises:
            ConfigurationError: An address cannot be used.
        """
        table = config.gateway
        front, admin = table["listen"], table["admin"]
        scheme = "https" if "tls" in table else "http"
        with ExitStack() as opened:
            sockets = [opened.enter_context(listen(*each)) for each in (front, admin)]
            said = [
                f"grantway gateway listening on {address_of(front[0], sockets[0], scheme)}",
                f"admin {address_of(admin[0], sockets[1])}",
            ]
            authorize = grpc = None
            if config.authorize is not None:
                address = config.authorize["listen"]
                authorize = opened.enter_context(listen(*address))
                said.append(f"authorize {address_of(address[0], authorize)}")
            if workers and (called := grpc_address(config)) is not None:
                grpc = opened.enter_context(reserve(*called))
                said.append(address_of(called[0], grpc, "grpc").replace("://", " "))
            opened.pop_all()
        return cls(sockets[0], authorize, sockets[1], tuple(said), grpc)

    @classmethod
    def handed_over(cls, front: int, authorize: int | None = None) -> Self:
        """Return the sockets of a worker, to which connections are handed over.

        Args:
            front: Number of the open file for requests.
            authorize: The same for other proxies, or None.
        """
        return cls(HandedOver(front), None if authorize is None else HandedOver(authorize))

    @property
    def listening(self) -> list[socket.socket]:
        """The sockets for requests, in the order of the arguments of ``handed_over``."""
        return [each for each in (self.front, self.authorize) if each is not None]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for each in [*self.listening, self.admin, self.grpc]:
            if each is not None:
                each.close()


def grpc_address(config: ConfigFile) -> tuple[str, int] | None:
    """Return host and port for gRPC in a file, or None."""
    return None if config.authorize is None else config.authorize.get("grpc_listen")


@asynccontextmanager
async def serving_requests(
    gateway: Gateway,
    sockets: Sockets,
    config: ConfigFile,
    *,
    stop: asyncio.Event,
    shared_grpc: tuple[str, int] | None = None,
) -> AsyncIterator[str]:
    """Serve requests for the duration of a block, and yield the address for gRPC, or "".

    Args:
        gateway: The gateway, started.
        sockets: The listening sockets.
        config: The file.
        stop: Set if a listener ends before the block.
        shared_grpc: Host and port for gRPC that other workers use too.

    Raises:
        ConfigurationError: The address for gRPC cannot be used.
    """
    grpc: GrpcListener | None = None
    address = shared_grpc or grpc_address(config)
    if address is not None:
        # Not earlier: gRPC is an extra, and its import takes 0.1 seconds.
        from grantway_plugins.gateway._envoy.listener import GrpcListener  # noqa: PLC0415

        limits = config.gateway["limits"]
        grpc = GrpcListener(gateway, address, limits, shared=shared_grpc is not None)
        await grpc.start()

    async def stop_grpc() -> None:
        if grpc is not None:
            await grpc.stop(config.gateway["limits"].grace_seconds)

    listeners = [
        _listener(
            gateway.front,
            sockets.front,
            config,
            files_each=2,  # each request may open a connection to an upstream
            certificate=gateway.certificate,
            protocol=ForwardingProtocol.using(gateway.forwarder),
        )
    ]
    if sockets.authorize is not None:
        listeners.append(_listener(gateway.authorize, sockets.authorize, config))
    async with serving(*listeners, stop=stop, beside=stop_grpc):
        yield "" if grpc is None else grpc.address


def admin_listener(app: Any, sockets: Sockets, config: ConfigFile) -> Listener:
    """Return the listener for health and metrics."""
    assert sockets.admin is not None
    return _listener(app, sockets.admin, config)


def _listener(app: Any, listening: socket.socket, config: ConfigFile, **options: Any) -> Listener:
    table = config.gateway
    return Listener(app, listening, table["limits"], trusted=table["trusted_proxies"], **options)
