"""The gateway at work: one assembly answers, until another takes its place."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import aiohttp
from prometheus_client import CollectorRegistry

from grantway._exceptions import ConfigurationError, GrantwayError
from grantway._processes.copies import OneProcess
from grantway._types.event import Event
from grantway.hookspecs import hookimpl
from grantway_plugins._config.file_signature import file_signature
from grantway_plugins._config.partial_table import InvalidKeyError
from grantway_plugins.gateway._config import ConfigFile
from grantway_plugins.gateway._config.config_file import device_path
from grantway_plugins.gateway._config.limits import GatewayLimits
from grantway_plugins.gateway._metrics import GatewayMetrics
from grantway_plugins.gateway.upstream._asgi_middleware import AsgiUpstreamAuth
from grantway_plugins.gateway.upstream._refusal import RequestRefusedError, response_for
from grantway_plugins.server._http.asgi import Receive, Scope, Send, send_response
from grantway_plugins.server._listening.peers import Shares

from .admission import Admission
from .authorize import Authorize
from .browser_rule import BrowserRule
from .health import Health
from .proxy import Proxy, open_session, too_many
from .runtime import Runtime, assemble

App = Callable[[Scope, Receive, Send], Awaitable[None]]

#: Seconds until a provider that was not found is asked again; doubled to the second number.
_AGAIN, _LONGEST = 1.0, 60.0
#: What only a new process can change.
_FIXED = ("listen", "admin", "limits", "telemetry")

_log = logging.getLogger("grantway.gateway")


class _ActiveConfiguration:
    """One assembly and its applications, while calls are in it."""

    def __init__(self, assembly: Runtime, session: aiohttp.ClientSession, tenants: Shares) -> None:
        gateway = assembly.config.gateway
        self.assembly = assembly
        self.calls = 0
        self.idle = asyncio.Event()
        proxy = Proxy(
            assembly.upstream.route_for,
            assembly.targets,
            session,
            trusted=gateway["trusted_proxies"],
            limits=gateway["limits"],
            tenants=tenants,
        )
        self.browsers = BrowserRule(gateway, assembly.config.routes)
        self.front: App = AsgiUpstreamAuth(proxy, assembly.upstream)
        self.authorize: App | None = None
        if assembly.config.authorize is not None:
            self.authorize = Authorize(assembly.upstream, assembly.config.authorize)
        self.endpoints: dict[bytes, App] = {}
        if assembly.endpoint is not None and assembly.config.token_endpoint is not None:
            path = assembly.config.token_endpoint["path"]
            self.endpoints[path.encode()] = assembly.endpoint.asgi
            if assembly.device_endpoint is not None:
                self.endpoints[device_path(path).encode()] = assembly.device_endpoint.asgi


class Gateway(OneProcess):
    """What ``grantway gateway`` runs. Everything but ``__init__`` runs in one event loop.

    Args:
        config: The file, checked.

    Raises:
        ConfigurationError: what the file describes cannot be made.
    """

    def __init__(self, config: ConfigFile) -> None:
        self.metrics = GatewayMetrics(CollectorRegistry())
        self._first: Runtime | None = assemble(config, metrics=self.metrics)
        self._duty: _ActiveConfiguration | None = None
        self._session: aiohttp.ClientSession | None = None
        self._changing = asyncio.Lock()
        self._background: set[asyncio.Task[Any]] = set()
        self.stopping = False
        limits: GatewayLimits = config.gateway["limits"]
        self._admission = Admission(
            limits.requests, limits.requests_per_peer, config.gateway["trusted_proxies"]
        )
        self._tenants = Shares(limits.requests_per_tenant)
        self.health = Health(
            lambda: self._on_duty.assembly,
            lambda: self.stopping,
            self.reload,
            self.metrics,
        )

    async def start(self) -> None:
        """Be ready for requests."""
        assert self._first is not None
        self._session = open_session()
        self._duty, self._first = (
            _ActiveConfiguration(self._first, self._session, self._tenants),
            None,
        )
        self._in_background(self._find_providers())
        self._in_background(self._follow_file())

    async def stop(self) -> None:
        """Close what is open; no request is answered any more."""
        for task in [*self._background]:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        if self._session is not None:
            await self._session.close()
        if self._duty is not None:
            await asyncio.to_thread(self._duty.assembly.inventory.close)

    def close_unstarted(self) -> None:
        """Close what was made, where ``start`` was never reached."""
        if self._first is not None:
            self._first.inventory.close()

    # --- Requests ---------------------------------------------------------------------------------

    async def front(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The proxy, and the gateway's own token endpoint."""
        duty = self._on_duty
        try:
            duty.browsers.check(scope)
        except RequestRefusedError as error:
            await send_response(send, response_for(error))
            return
        app = duty.endpoints.get(scope["raw_path"], duty.front)
        await self._in(duty, app, scope, receive, send)

    async def authorize(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The answers for other proxies."""
        duty = self._on_duty
        assert duty.authorize is not None  # the listener is there only with the table
        await self._in(duty, duty.authorize, scope, receive, send)

    async def _in(
        self, duty: _ActiveConfiguration, app: App, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Answer a request, or say that it is one too many: soon is better than late."""
        admitted = self._admission.admit(scope, receive)
        if admitted is None:
            await send_response(send, too_many())
            return
        duty.calls += 1
        try:
            await app(scope, admitted.receive, send)
        finally:
            self._admission.leave(admitted)
            duty.calls -= 1
            if not duty.calls:
                duty.idle.set()

    # --- Another file -----------------------------------------------------------------------------

    async def reload(self) -> str | None:
        """Read the file again, and put it to work; calls under way end as they began.

        Returns:
            What is wrong with it, or None. Where something is, nothing was changed.
        """
        async with self._changing:
            before = self._on_duty.assembly
            try:
                assembly = await asyncio.to_thread(self._read_again, before)
            except GrantwayError as error:
                _log.error("the new configuration is refused and the old one stays:\n%s", error)
                return str(error)
            self._take_over(assembly)
        _log.warning("configuration reloaded: %s", assembly.config.path)
        return None

    def _read_again(self, before: Runtime) -> Runtime:
        config = ConfigFile(before.config.path, require_valid=False)
        for name in _FIXED:
            with contextlib.suppress(InvalidKeyError):
                if config.gateway[name] != before.config.gateway[name]:
                    rule = "cannot change while the gateway runs; restart it"
                    config.mistakes.append((("gateway", name), rule))
        old, new = before.config.authorize, config.authorize
        with contextlib.suppress(InvalidKeyError):
            if (old and old["listen"]) != (new and new["listen"]):
                rule = "cannot change while the gateway runs; restart it"
                config.mistakes.append((("authorize", "listen"), rule))
        return assemble(config, before=before, metrics=self.metrics)

    def _take_over(self, assembly: Runtime) -> None:
        assert self._session is not None
        before, self._duty = (
            self._on_duty,
            _ActiveConfiguration(assembly, self._session, self._tenants),
        )
        self._in_background(_retire(before, assembly))

    async def _find_providers(self) -> None:
        """Look for the providers that were not there, and put them to work when they come."""
        pause = _AGAIN
        while True:
            await asyncio.sleep(pause)
            missing = self._on_duty.assembly.undiscovered
            if not missing:
                pause = _AGAIN
                continue
            async with self._changing:
                before = self._on_duty.assembly
                try:
                    assembly = await asyncio.to_thread(
                        assemble, before.config, before=before, metrics=self.metrics
                    )
                except ConfigurationError as error:
                    _log.error("%s", error)
                    continue
                self._take_over(assembly)
            found = {each.name for each in missing} - {e.name for e in assembly.undiscovered}
            if found:
                _log.warning("found at last: %s", ", ".join(sorted(found)))
            pause = _AGAIN if found else min(_LONGEST, pause * 2)

    async def _follow_file(self) -> None:
        """Reload when the file was written, looking now and then."""
        seen = await asyncio.to_thread(file_signature, self._on_duty.assembly.config.path)
        while True:
            await asyncio.sleep(self._gateway.get("reload_every", _AGAIN))
            if "reload_every" not in self._gateway:
                continue  # a later version of the file may set it
            stamp = await asyncio.to_thread(file_signature, self._on_duty.assembly.config.path)
            if stamp != seen:
                seen = stamp
                await self.reload()

    # --- Its own ----------------------------------------------------------------------------------

    @property
    def _on_duty(self) -> _ActiveConfiguration:
        assert self._duty is not None  # no request comes before start
        return self._duty

    @property
    def names(self) -> dict[str, str]:
        """The hosts of the providers, with their names in the file."""
        assembly = self._first or self._on_duty.assembly
        return {
            each.found.host: name
            for name, each in assembly.providers.items()
            if each.found is not None
        }

    @property
    def _gateway(self) -> dict[str, Any]:
        return self._on_duty.assembly.config.gateway

    def _in_background(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)


class NamedEvents:
    """A plugin that counts calls by the providers' names in the file, and not by their hosts.

    Args:
        gateway: Whose.
    """

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    @hookimpl
    def grantway_observe(self, event: Event) -> None:
        """Count a call."""
        name = self._gateway.names.get(event.provider, event.provider)
        self._gateway.metrics.grantway_observe(replace(event, provider=name))


async def _retire(duty: _ActiveConfiguration, after: Runtime) -> None:
    """Close what an assembly leaves behind, once no call is in it."""
    while duty.calls:
        duty.idle.clear()
        await duty.idle.wait()
    with contextlib.suppress(GrantwayError):
        await asyncio.to_thread(duty.assembly.inventory.close, after.inventory)
