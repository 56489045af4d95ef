"""Run the issuer in a background thread or as a process."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

from grantway._exceptions import ConfigurationError
from grantway._plugins.default_registry import default_registry
from grantway._plugins.registry import Registry
from grantway._processes.copies import OneProcess
from grantway._secrets.hidden_arguments import hides_arguments, hides_construction
from grantway_plugins.server._listening.address import address_of, listen
from grantway_plugins.server._listening.limits import Limits
from grantway_plugins.server._listening.listener import Listener
from grantway_plugins.server._service_manager import notify
from grantway_plugins.server._tls.certificate import server_certificate

from ._decisions.issuer import Issuer
from ._extensions.loading import offered_extensions
from ._http.app import App
from ._http.exposure import resolve_settings
from ._keys.opening import database_ring
from ._metrics_listener import MetricsListener
from ._settings import IssuerSettings
from ._storage.database import Durability
from ._storage.store import IssuerStore

_log = logging.getLogger("grantway.issuer")


@hides_construction  # the database's URL may contain a password
class IssuerServer(OneProcess):
    """Runs an issuer in a background thread.

    ::

        with IssuerServer() as server:
            requests.get(f"{server.url}/.well-known/oauth-authorization-server")

    Args:
        settings: Settings of the issuer.
        database: A path, ``:memory:``, or an SQLAlchemy URL with ``://``.
        host: Address to listen on.
        port: Port to listen on; 0 picks a free one.
        durability: ``process`` keeps issued tokens if the process crashes; ``power`` also keeps
            them after a power failure.
        registry: Registered grants; by default those of all installed plugins.
        clock: Returns seconds since the epoch.
        trusted_proxies: Addresses of proxies whose ``X-Forwarded-*`` headers are trusted.
        insecure_http: Allow other machines to connect without TLS, because a proxy in front has it.
        limits: Limits on connections and on the size and time of requests.
        tls_certificate: PEM file with the certificate for TLS, followed by those of intermediate
            authorities; None serves plain HTTP. The files are read again when they change.
        tls_key: PEM file with its private key; by default the same file.
        metrics_port: Port of a separate listener for Prometheus metrics; 0 picks a free one, and
            None disables metrics.
        metrics_host: Address of that listener.

    Raises:
        ConfigurationError: the settings contradict each other, the address cannot be used, or a
            signing key cannot be used.
        DatabaseError: the database cannot be used. Nothing was changed.
    """

    stays = "it listens on a socket; send its url instead"

    def __init__(
        self,
        settings: IssuerSettings | None = None,
        *,
        database: str | Path = ":memory:",
        host: str = "127.0.0.1",
        port: int = 0,
        durability: Durability = "process",
        registry: Registry | None = None,
        clock: Callable[[], float] = time.time,
        trusted_proxies: Sequence[str] = (),
        insecure_http: bool = False,
        limits: Limits | None = None,
        tls_certificate: str | Path | None = None,
        tls_key: str | Path | None = None,
        metrics_port: int | None = None,
        metrics_host: str = "127.0.0.1",
    ) -> None:
        settings = settings or IssuerSettings()
        limits = limits or Limits()
        certificate = server_certificate(tls_certificate, tls_key)
        settings = resolve_settings(
            host,
            settings,
            trusted_proxies,
            insecure_http=insecure_http,
            tls=certificate is not None,
        )
        registry = registry or default_registry()
        # Fails before the socket and the database are opened.
        built = Issuer.of(registry, settings, clock)
        self._socket = listen(host, port)
        self._metrics: MetricsListener | None = None
        try:
            if metrics_port is not None:
                self._metrics = MetricsListener(metrics_host, metrics_port)
            #: Address that the server listens on, as a URL.
            self.address: str = address_of(
                host, self._socket, "http" if certificate is None else "https"
            )
            #: The issuer's URL, which clients use.
            self.url: str = settings.issuer or self.address
            #: Settings, including the issuer's URL.
            self.settings = replace(settings, issuer=self.url)
            #: The database.
            self.store = IssuerStore(
                database,
                durability=durability,
                clock=clock,
                unused_registration=settings.lifetimes.unused_registration,
            )
        except BaseException:
            self._close_sockets()
            raise
        self._ready = threading.Event()
        metrics = None if self._metrics is None else self._metrics.metrics
        try:
            keys = built.keys or database_ring(self.settings, self.store)
            app = App(
                replace(built, settings=self.settings, keys=keys),
                self.store,
                extensions=offered_extensions(registry),
                body_seconds=limits.body_seconds,
                metrics=metrics,
            )
        except BaseException:
            self._close_sockets()
            self.store.close()
            raise
        self._app = app
        self._health = app.ready
        certificates = self.settings.client_certificates
        self._server = Listener(
            app if metrics is None else metrics.metered(app, app.endpoint_of),
            self._socket,
            limits,
            trusted=trusted_proxies,
            forwarded=True,
            date=True,
            certificate=certificate,
            direct=app,
            proxy_only=() if certificates is None else (certificates.header,),
        )
        if metrics is not None:
            metrics.watch_store(self.store)
            metrics.watch_connections(self._server.connections)
            if certificate is not None:
                metrics.watch_certificate(certificate)
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the background thread; return when the server is ready."""
        if self.settings.approve == "auto":
            _warn_of_auto_approval()
        self._thread = threading.Thread(target=self._run, name="grantway-issuer", daemon=True)
        self._thread.start()
        self._ready.wait()
        if not self._server.started:
            self.stop()
            raise ConfigurationError(f"The issuer could not start on {self.address}; check the log")

    def stop(self) -> None:
        """Finish requests in progress, then close the socket and the database. Safe to repeat."""
        self._server.stop()
        if self._thread is not None:
            self._thread.join()
        self._close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def run(self, on_ready: Callable[[], None]) -> None:
        """Run the server in this thread until ``stop_soon`` is called; then stop as ``stop`` does.

        Args:
            on_ready: Called when the server is ready.
        """
        if self.settings.approve == "auto":
            _warn_of_auto_approval()
        try:
            self._run(on_ready)
        finally:
            self._close()

    def stop_soon(self) -> None:
        """Make ``run`` return; safe in a signal handler."""
        self._server.stop()

    @property
    def metrics_address(self) -> str | None:
        """URL of the metrics, or None if they are disabled."""
        return None if self._metrics is None else self._metrics.address

    def _close(self) -> None:
        self._close_sockets()
        self._app.close()
        self.store.close()

    def _close_sockets(self) -> None:
        self._socket.close()
        if self._metrics is not None:
            self._metrics.close()

    def _run(self, on_ready: Callable[[], None] | None = None) -> None:
        try:
            asyncio.run(self._listen(on_ready or self._ready.set))
        finally:
            self._ready.set()

    async def _listen(self, on_ready: Callable[[], None]) -> None:
        metrics = nullcontext() if self._metrics is None else self._metrics.serving(self._health)
        async with metrics:
            await self._server.listen(on_ready)


@hides_arguments
def serve(
    settings: IssuerSettings | None = None,
    *,
    database: str | Path,
    host: str = "127.0.0.1",
    port: int = 0,
    durability: Durability = "process",
    trusted_proxies: Sequence[str] = (),
    insecure_http: bool = False,
    limits: Limits | None = None,
    tls_certificate: str | Path | None = None,
    tls_key: str | Path | None = None,
    metrics_port: int | None = None,
    metrics_host: str = "127.0.0.1",
) -> None:
    """Run an issuer in the main thread until SIGTERM or SIGINT.

    Prints ``grantway issuer listening on <address>`` when the server is ready, and the address of
    the metrics if they are enabled. Tells systemd when the server is ready and when it stops.

    Args:
        settings: Settings of the issuer.
        database: A path, ``:memory:``, or an SQLAlchemy URL with ``://``.
        host: Address to listen on.
        port: Port to listen on; 0 picks a free one.
        durability: ``process`` keeps issued tokens if the process crashes; ``power`` also keeps
            them after a power failure.
        trusted_proxies: Addresses of proxies whose ``X-Forwarded-*`` headers are trusted.
        insecure_http: Allow other machines to connect without TLS, because a proxy in front has it.
        limits: Limits on connections and on the size and time of requests.
        tls_certificate: PEM file with the certificate for TLS, followed by those of intermediate
            authorities; None serves plain HTTP. The files are read again when they change.
        tls_key: PEM file with its private key; by default the same file.
        metrics_port: Port of a separate listener for Prometheus metrics; 0 picks a free one, and
            None disables metrics.
        metrics_host: Address of that listener.

    Raises:
        ConfigurationError: the settings contradict each other, or the address cannot be used.
        DatabaseError: the database cannot be used. Nothing was changed.
    """
    server = IssuerServer(
        settings,
        database=database,
        host=host,
        port=port,
        durability=durability,
        trusted_proxies=trusted_proxies,
        insecure_http=insecure_http,
        limits=limits,
        tls_certificate=tls_certificate,
        tls_key=tls_key,
        metrics_port=metrics_port,
        metrics_host=metrics_host,
    )

    def stop(_number: int, _frame: FrameType | None) -> None:
        notify("STOPPING=1")
        server.stop_soon()

    previous = {each: signal.signal(each, stop) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        server.run(lambda: _announce(server))
    finally:
        for each, handler in previous.items():
            signal.signal(each, handler)


def _announce(server: IssuerServer) -> None:
    """Print the addresses, and tell the service manager that the server is ready."""
    line = f"grantway issuer listening on {server.address}"
    if server.metrics_address is not None:
        line += f", metrics {server.metrics_address}"
    print(line, flush=True)  # noqa: T201
    notify("READY=1")


def _warn_of_auto_approval() -> None:
    _log.warning(
        "approve=auto: every request is approved without asking the user; use it for tests only"
    )
