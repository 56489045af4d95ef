"""Run the issuer in a thread of a program, or as a separate process."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

from grantway._exceptions import ConfigurationError
from grantway._plugins.registry import Registry
from grantway._processes.copies import OneProcess
from grantway_plugins.server._listening.address import address_of, listen
from grantway_plugins.server._listening.limits import Limits
from grantway_plugins.server._listening.listener import Listener

from ._decisions.issuer import Issuer, offered_grants
from ._http.app import App
from ._http.exposure import resolve_settings
from ._settings import IssuerSettings
from ._storage.database import Durability
from ._storage.store import IssuerStore

_log = logging.getLogger("grantway.issuer")


class IssuerServer(OneProcess):
    """An issuer that listens in a background thread.

    ::

        with IssuerServer() as server:
            requests.get(f"{server.url}/.well-known/oauth-authorization-server")

    Args:
        settings: The operator's choices.
        database: A path, ``:memory:``, or an SQLAlchemy URL with ``://``.
        host: Address to listen on.
        port: Port to listen on; 0 picks a free one.
        durability: What an answered token survives: ``process`` or ``power``.
        registry: Where grants and the issuer's sides of them come from; by default all installed
            plugins.
        clock: Seconds since the epoch; tests can hold it still.
        trusted_proxies: Addresses whose ``X-Forwarded-*`` headers are believed.
        insecure_http: Listen beyond this machine without TLS, because something in front has it.
        limits: What callers may take: connections, and the size and time of requests.

    Raises:
        ConfigurationError: the settings do not go together, or the address cannot be used.
        StoreError: the database cannot be used. Nothing was changed.
    """

    stays = "it listens on a socket; send its url"

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
    ) -> None:
        settings = settings or IssuerSettings()
        limits = limits or Limits()
        settings = resolve_settings(host, settings, trusted_proxies, insecure_http=insecure_http)
        issued = offered_grants(registry)
        self._socket = listen(host, port)
        try:
            #: The address it listens on.
            self.address: str = address_of(host, self._socket)
            #: The URL that clients use, and the issuer's name.
            self.url: str = settings.issuer or self.address
            #: The operator's choices, with the issuer's URL filled in.
            self.settings = replace(settings, issuer=self.url)
            #: The database.
            self.store = IssuerStore(
                database,
                durability=durability,
                clock=clock,
                unused_registration=settings.lifetimes.unused_registration,
            )
        except BaseException:
            self._socket.close()
            raise
        self._ready = threading.Event()
        self._server = Listener(
            App(Issuer(self.settings, issued, clock), self.store, body_seconds=limits.body_seconds),
            self._socket,
            limits,
            trusted=trusted_proxies,
            forwarded=True,
            date=True,
        )
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Listen in a background thread; returns when requests are answered."""
        if self.settings.approve == "auto":
            _warn_of_auto_approval()
        self._thread = threading.Thread(target=self._run, name="grantway-issuer", daemon=True)
        self._thread.start()
        self._ready.wait()
        if not self._server.started:
            self.stop()
            raise ConfigurationError(f"The issuer could not start on {self.address}; see the log")

    def stop(self) -> None:
        """Answer what is in flight, stop listening, close the database. May be called twice."""
        self._server.stop()
        if self._thread is not None:
            self._thread.join()
        self._socket.close()
        self.store.close()

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
        """Listen in this thread until ``stop_soon``; then finish as ``stop`` does.

        Args:
            on_ready: Called when requests are answered.
        """
        if self.settings.approve == "auto":
            _warn_of_auto_approval()
        try:
            self._run(on_ready)
        finally:
            self._socket.close()
            self.store.close()

    def stop_soon(self) -> None:
        """Ask ``run`` to end; safe in a signal handler."""
        self._server.stop()

    def _run(self, on_ready: Callable[[], None] | None = None) -> None:
        try:
            asyncio.run(self._server.listen(on_ready or self._ready.set))
        finally:
            self._ready.set()


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
) -> None:
    """Run an issuer in the main thread until SIGTERM or SIGINT, and end cleanly.

    Prints ``grantway issuer listening on <address>`` when it is ready.

    Args:
        settings: The operator's choices.
        database: A path, ``:memory:``, or an SQLAlchemy URL with ``://``.
        host: Address to listen on.
        port: Port to listen on; 0 picks a free one.
        durability: What an answered token survives: ``process`` or ``power``.
        trusted_proxies: Addresses whose ``X-Forwarded-*`` headers are believed.
        insecure_http: Listen beyond this machine without TLS, because something in front has it.
        limits: What callers may take: connections, and the size and time of requests.

    Raises:
        ConfigurationError: the settings do not go together, or the address cannot be used.
        StoreError: the database cannot be used. Nothing was changed.
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
    )

    def stop(_number: int, _frame: FrameType | None) -> None:
        server.stop_soon()

    previous = {each: signal.signal(each, stop) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        server.run(
            lambda: print(f"grantway issuer listening on {server.address}", flush=True)  # noqa: T201
        )
    finally:
        for each, handler in previous.items():
            signal.signal(each, handler)


def _warn_of_auto_approval() -> None:
    _log.warning("approve=auto: every request is approved without asking the user; for tests only")
