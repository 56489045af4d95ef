"""The listener for metrics, separate from that of the clients."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

from grantway._exceptions import ConfigurationError
from grantway._processes.copies import OneProcess
from grantway_plugins.server._http.wire import WireResponse
from grantway_plugins.server._listening.address import address_of, listen
from grantway_plugins.server._listening.limits import Limits
from grantway_plugins.server._listening.listener import Listener
from grantway_plugins.server._listening.serving import serving

if TYPE_CHECKING:
    from ._metrics import IssuerMetrics

_CONNECTIONS = 64


def check_metrics_library() -> None:
    """Check that the library for metrics is installed.

    Raises:
        ConfigurationError: It is not; ``errors`` names ``metrics_port``.
    """
    if find_spec("prometheus_client") is None:
        rule = "requires prometheus_client; install it with: pip install 'grantway[operation]'"
        raise ConfigurationError(f"metrics_port {rule}", errors={"metrics_port": [rule]})


class MetricsListener(OneProcess):
    """Serves the metrics of an issuer at ``/metrics``, and its health at ``/readyz``.

    Args:
        host: Address to listen on.
        port: Port; 0 picks a free one.

    Raises:
        ConfigurationError: The address cannot be used, or a library is missing; ``errors`` names
            ``metrics_port``.

    Attributes:
        metrics: The metrics.
        address: URL of the metrics.
    """

    stays = "it listens on a socket; send its address instead"

    def __init__(self, host: str, port: int) -> None:
        check_metrics_library()
        from prometheus_client import CollectorRegistry  # noqa: PLC0415 - an extra

        from ._metrics import IssuerMetrics  # noqa: PLC0415

        try:
            self._socket = listen(host, port)
        except ConfigurationError as error:
            rules = [rule for found in error.errors.values() for rule in found]
            raise ConfigurationError(error.message, errors={"metrics_port": rules}) from None
        self.metrics: IssuerMetrics = IssuerMetrics(CollectorRegistry())
        self.address = f"{address_of(host, self._socket)}/metrics"

    @asynccontextmanager
    async def serving(self, health: Callable[[], Awaitable[WireResponse]]) -> AsyncIterator[None]:
        """Serve the metrics for the block.

        Args:
            health: Returns the response of ``/readyz``.
        """
        from grantway_plugins.server._metrics.exposition import MetricsApp  # noqa: PLC0415 - as above

        app = MetricsApp(self.metrics.registry, health)
        listener = Listener(app, self._socket, Limits(connections=_CONNECTIONS))
        async with serving(listener):
            yield

    def close(self) -> None:
        """Close the socket; safe to repeat."""
        self._socket.close()
