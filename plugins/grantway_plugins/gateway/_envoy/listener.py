"""The gRPC listener of ``[authorize]``, for Envoy."""

from __future__ import annotations

import grpc.aio

from grantway._exceptions import ConfigurationError
from grantway_plugins.gateway._config.limits import GatewayLimits
from grantway_plugins.gateway._running.gateway import Gateway

from .check import check_service
from .secrets import Secrets

#: Largest request: Envoy sends a request's headers, of at most 60 KiB unless configured otherwise.
_LARGEST = 1_048_576


class GrpcListener:
    """Serves Envoy's ``ext_authz`` and SDS. Create it in a running event loop.

    Args:
        gateway: The gateway.
        address: Host and port; port 0 picks a free one.
        limits: Limits of the gateway.
        shared: Whether other workers of this gateway listen on the same address.

    Raises:
        ConfigurationError: The address cannot be used.

    Attributes:
        address: Host and port on which it listens.
    """

    def __init__(
        self,
        gateway: Gateway,
        address: tuple[str, int],
        limits: GatewayLimits,
        *,
        shared: bool = False,
    ) -> None:
        host = f"[{address[0]}]" if ":" in address[0] else address[0]
        self._server = grpc.aio.server(
            # The gateway limits requests itself; each Envoy keeps a stream open for each secret.
            maximum_concurrent_rpcs=limits.requests + limits.connections,
            options=[
                # Otherwise a second gateway would share the port and get some of the calls.
                ("grpc.so_reuseport", int(shared)),
                ("grpc.max_receive_message_length", _LARGEST),
                # Streams of secrets are idle for long: notice that an Envoy is gone, and let Envoys
                # check as often as the printed configuration does. By default, gRPC closes
                # connections with more than one ping in five minutes.
                ("grpc.keepalive_time_ms", 60_000),
                ("grpc.keepalive_timeout_ms", 20_000),
                ("grpc.keepalive_permit_without_calls", 1),
                ("grpc.http2.min_ping_interval_without_data_ms", 500),
            ],
        )
        self._secrets = Secrets(gateway.shared_token, gateway.admits)
        self._server.add_generic_rpc_handlers(
            (check_service(gateway.decide, gateway.admits), self._secrets.service())
        )
        try:
            port = self._server.add_insecure_port(f"{host}:{address[1]}")
        except RuntimeError:
            port = 0
        if not port:
            raise ConfigurationError(
                f"Cannot listen on {host}:{address[1]} for gRPC; choose a free port and an address "
                "of this machine",
                errors={"grpc_listen": ["must be available"]},
            )
        self.address = f"{host}:{port}"

    async def start(self) -> None:
        """Start to accept calls."""
        await self._server.start()

    async def stop(self, seconds: float) -> None:
        """Reject new calls, end the streams of secrets, and wait for other calls in progress.

        Args:
            seconds: The longest wait.
        """
        self._secrets.close()
        await self._server.stop(seconds)
