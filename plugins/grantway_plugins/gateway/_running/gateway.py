"""The running gateway, whose runtime is replaced on a reload."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry

from grantway._credentials.credential import Credential
from grantway._exceptions import ConfigurationError, GrantwayError
from grantway._processes.copies import OneProcess
from grantway._types.event import Event
from grantway.hookspecs import hookimpl
from grantway_plugins._config.partial_table import InvalidKeyError
from grantway_plugins.gateway._config import ConfigFile
from grantway_plugins.gateway._config.config_file import FIXED
from grantway_plugins.gateway._config.cross_checks import device_path
from grantway_plugins.gateway._config.limits import GatewayLimits
from grantway_plugins.gateway._connections._background.worker import ConnectionWorker
from grantway_plugins.gateway._forwarding.error_responses import no_route, too_many
from grantway_plugins.gateway._forwarding.forwarder import Forwarder
from grantway_plugins.gateway._forwarding.upstream_pool import UpstreamPool
from grantway_plugins.gateway._metrics import GatewayMetrics
from grantway_plugins.gateway.upstream._rejection import RequestRejectedError, response_for
from grantway_plugins.gateway.upstream._tenant import EVERYBODY
from grantway_plugins.gateway.upstream._upstream_token import UpstreamToken
from grantway_plugins.resource import SharedProofs
from grantway_plugins.resource.asgi import ResourceMetadata
from grantway_plugins.server._http.asgi import Receive, Scope, Send, send_response
from grantway_plugins.server._http.wire import WireResponse
from grantway_plugins.server._listening.peers import Shares

from .admission import Admission, Admitted
from .authorize import Authorize
from .browser_rule import BrowserRule
from .building import build_runtime
from .decision import Decision
from .file_watch import log_reload, reload_on_change
from .health import Health
from .readiness import Found, health_of, readiness
from .runtime import Runtime
from .shared_token import SharedToken, is_shared

if TYPE_CHECKING:
    from grantway_plugins.gateway._connections._web.app import ConnectionsApp

App = Callable[[Scope, Receive, Send], Awaitable[None]]

#: First and longest delay in seconds before a missing provider is discovered again.
_FIRST_DELAY, _LONGEST_DELAY = 1.0, 60.0
#: Settings that only a restart can change.
_FIXED = ("listen", "admin", "limits", "telemetry", "tls")

_log = logging.getLogger("grantway.gateway")


class _ActiveConfiguration:
    """A runtime with the applications that use it."""

    def __init__(
        self, runtime: Runtime, pool: UpstreamPool, admission: Admission, tenants: Shares
    ) -> None:
        gateway = runtime.config.gateway
        url = None if runtime.connections is None else runtime.connections.settings.url
        self.runtime = runtime
        browsers = BrowserRule(gateway, runtime.config.routes, url)
        self.forwarder = Forwarder(
            runtime.upstream,
            runtime.targets,
            pool,
            browsers,
            gateway["trusted_proxies"],
            gateway["limits"],
            admission,
            tenants,
        )
        self.decision: Decision | None = None
        self.authorize: App | None = None
        if (table := runtime.config.authorize) is not None:
            self.decision = Decision(runtime.upstream, table["allow"], browsers)
            self.authorize = Authorize(self.decision, runtime.upstream, table)
        self.shared = {
            each.name: each
            for each in runtime.upstream.routes
            if is_shared(
                tenant=each.tenant,
                incoming=each.incoming,
                verified=runtime.inbound is not None and not each.anonymous,
                preflight=each.forward_preflight,
                encoded=each.encoded_paths,
            )
        }
        self.pages: ConnectionsApp | None = None
        if runtime.connections is not None:
            from .connection_pages import make_app  # noqa: PLC0415 - most gateways have no pages

            self.pages = make_app(runtime)
        #: Endpoints of both listeners: the proxies in front forward these requests, too.
        self.public: dict[bytes, App] = {}
        if runtime.inbound is not None:
            path = runtime.inbound.metadata_path
            self.public[path.encode()] = ResourceMetadata(runtime.inbound)
        self.endpoints = dict(self.public)
        if runtime.endpoint is not None and runtime.config.token_endpoint is not None:
            path = runtime.config.token_endpoint["path"]
            self.endpoints[path.encode()] = runtime.endpoint.asgi
            if runtime.device_endpoint is not None:
                self.endpoints[device_path(path).encode()] = runtime.device_endpoint.asgi

    @contextlib.contextmanager
    def used(self) -> Iterator[None]:
        """Keep the components open for the block."""
        self.forwarder.calls.enter()
        try:
            yield
        finally:
            self.forwarder.calls.leave()

    def own(self, path: bytes) -> App | None:
        """Return the endpoint or the pages at a path, or None if requests are forwarded."""
        if self.pages is not None and self.pages.serves(path.decode("latin-1")):
            return self.pages
        return self.endpoints.get(path)


class Gateway(OneProcess):
    """The gateway that ``grantway gateway`` runs. All methods run in one event loop.

    Args:
        config: The configuration file.
        follows_file: Whether to reload the file when it changes, as ``reload_every`` says.
        used_proofs: Used DPoP proofs that worker processes share, or None.

    Raises:
        ConfigurationError: The file has mistakes, or a component cannot be created.
    """

    def __init__(
        self,
        config: ConfigFile,
        *,
        follows_file: bool = True,
        used_proofs: SharedProofs | None = None,
    ) -> None:
        self._follows_file = follows_file
        self.metrics = GatewayMetrics(CollectorRegistry())
        self._build = partial(build_runtime, metrics=self.metrics, used_proofs=used_proofs)
        self._first: Runtime | None = self._build(config)
        #: Certificate of the listener for requests; None without TLS. A reload keeps it.
        self.certificate = self._first.certificate
        if self.certificate is not None:
            self.metrics.watch_certificate(self.certificate)
        self._active: _ActiveConfiguration | None = None
        self._pool = UpstreamPool()
        self._changing = asyncio.Lock()
        self._background: set[asyncio.Task[Any]] = set()
        self.stopping = False
        limits: GatewayLimits = config.gateway["limits"]
        self._admission = Admission(
            limits.requests, limits.requests_per_peer, config.gateway["trusted_proxies"]
        )
        self._tenants = Shares(limits.requests_per_tenant)
        self.health = Health(self._readiness, self.reload, self._render)

    async def start(self) -> None:
        """Prepare to handle requests."""
        assert self._first is not None
        self._active, self._first = self._configuration(self._first), None
        self._in_background(self._discover_missing_providers())
        self._in_background(ConnectionWorker(lambda: self._current.runtime.connections).run())
        if self._follows_file:
            path = self._current.runtime.config.path
            self._in_background(
                reload_on_change(path, lambda: self._gateway.get("reload_every"), self.reload)
            )

    async def stop(self) -> None:
        """Close all components. The gateway must not receive requests any more."""
        for task in [*self._background]:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        self._pool.close()
        if self._active is not None:
            await self._active.runtime.components.close_async()

    def discard(self) -> None:
        """Close the components of a gateway that was never started."""
        if self._first is not None:
            self._first.components.close()

    # --- Requests ---------------------------------------------------------------------------------

    def forwarder(self, path: bytes) -> Forwarder | None:
        """Return what to forward a request with, or None if `front` handles it.

        Args:
            path: Path of the request.
        """
        active = self._current
        return None if active.own(path) else active.forwarder

    async def front(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request to one of the gateway's own endpoints and pages."""
        active = self._current
        app = active.own(scope["raw_path"])
        try:
            # The pages check forms themselves, and logins return to them from other sites.
            active.forwarder.browsers.check(scope["headers"], origin=app is not active.pages)
        except RequestRejectedError as error:
            await send_response(send, response_for(error))
            return
        if app is None:  # a reload has removed the endpoint
            await send_response(send, no_route())
            return
        await self._in(active, app, scope, receive, send)

    async def authorize(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle an authorization request of another proxy, or a request that it forwards here."""
        active = self._current
        assert active.authorize is not None  # this listener runs only if the file has the table
        app = active.public.get(scope["raw_path"], active.authorize)
        await self._in(active, app, scope, receive, send)

    def admits(self, peer: str) -> bool:
        """Return whether an address may use the listeners of ``[authorize]``."""
        decision = self._current.decision
        return decision is not None and decision.admits(peer)

    async def shared_token(self, name: str, seconds: float) -> SharedToken | None:
        """Return the token of a route that gives all requests the same one.

        Args:
            name: Name of the route.
            seconds: Longest wait.

        Returns:
            The token; None if there is no such route.

        Raises:
            Exception: There is no token.
        """
        active = self._current
        route = active.shared.get(name)
        if route is None:
            return None
        with active.used():
            source = route.source(EVERYBODY)
            token = await source.token_async(seconds)
            value = route.bearer.value(token)
        refreshing = isinstance(source, Credential) and source.refreshing()
        return SharedToken(token, value, source.fresh_for, refreshing)

    async def decide(self, scope: Scope) -> UpstreamToken | WireResponse:
        """Return the token of a request that Envoy sent by gRPC, or the response to its caller."""
        active = self._current
        assert active.decision is not None  # as for authorize()
        with self._admitted(active, scope, _no_body) as admitted:
            return too_many() if admitted is None else await active.decision.decide(scope)

    async def _in(
        self, active: _ActiveConfiguration, app: App, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Handle a request, or reject it immediately if too many are in progress."""
        with self._admitted(active, scope, receive) as admitted:
            if admitted is None:
                await send_response(send, too_many())
            else:
                await app(scope, admitted.receive, send)

    @contextlib.contextmanager
    def _admitted(
        self, active: _ActiveConfiguration, scope: Scope, receive: Receive
    ) -> Iterator[Admitted | None]:
        """Count a request that uses a configuration, or yield None if too many are in progress."""
        admitted = self._admission.admit(scope, receive)
        if admitted is None:
            yield None
            return
        try:
            with active.used():
                yield admitted
        finally:
            self._admission.leave(admitted)

    # --- Reloading --------------------------------------------------------------------------------

    async def reload(self) -> str | None:
        """Read the file again and use it for new requests, and log the outcome.

        Requests in progress end with the old configuration.

        Returns:
            The mistakes in the file, or None. With mistakes, nothing changes.
        """
        problem = await self.use()
        log_reload(self._current.runtime.config.path, problem)
        return problem

    async def use(self, content: bytes | None = None) -> str | None:
        """Use another content of the file for new requests.

        Args:
            content: The content; by default, the file is read again.

        Returns:
            The mistakes in it, or None. With mistakes, nothing changes.
        """
        async with self._changing:
            before = self._current.runtime
            try:
                runtime = await asyncio.to_thread(self._read, content, before)
            except GrantwayError as error:
                return str(error)
            self._activate(runtime)
        return None

    def _read(self, content: bytes | None, before: Runtime) -> Runtime:
        config = ConfigFile(before.config.path, content, require_valid=False, before=before.config)
        for name in _FIXED:
            with contextlib.suppress(InvalidKeyError):
                if config.gateway.get(name) != before.config.gateway.get(name):
                    config.mistakes.append((("gateway", name), FIXED))
        old, new = before.config.authorize, config.authorize
        with contextlib.suppress(InvalidKeyError):
            for name in ("listen", "grpc_listen"):
                if (old and old.get(name)) != (new and new.get(name)):
                    config.mistakes.append((("authorize", name), FIXED))
        return self._build(config, before=before)

    def _activate(self, runtime: Runtime) -> None:
        before, self._active = self._current, self._configuration(runtime)
        self._in_background(_retire(before, runtime))

    async def _discover_missing_providers(self) -> None:
        """Discover missing providers repeatedly, and use them once they are found."""
        pause = _FIRST_DELAY
        while True:
            await asyncio.sleep(pause)
            missing = self._current.runtime.undiscovered
            if not missing:
                pause = _FIRST_DELAY
                continue
            async with self._changing:
                before = self._current.runtime
                try:
                    runtime = await asyncio.to_thread(self._build, before.config, before=before)
                except ConfigurationError as error:
                    _log.error("%s", error)
                    continue
                self._activate(runtime)
            found = {each.name for each in missing} - {e.name for e in runtime.undiscovered}
            if found:
                _log.warning("Discovered: %s", ", ".join(sorted(found)))
            pause = _FIRST_DELAY if found else min(_LONGEST_DELAY, pause * 2)

    # --- Current state ----------------------------------------------------------------------------

    async def health_of_parts(self) -> Found:
        """Return the health of the providers, the store and the certificate."""
        return await health_of(self._current.runtime)

    async def _readiness(self) -> Mapping[str, Any]:
        found, rule = await self.health_of_parts(), self._gateway["ready"]
        return readiness(found, rule, stopping=self.stopping)

    async def _render(self, accept: str) -> tuple[bytes, str]:
        return self.metrics.render(accept)

    def _configuration(self, runtime: Runtime) -> _ActiveConfiguration:
        return _ActiveConfiguration(runtime, self._pool, self._admission, self._tenants)

    @property
    def _current(self) -> _ActiveConfiguration:
        assert self._active is not None  # requests arrive only after the start
        return self._active

    @property
    def names(self) -> dict[str, str]:
        """Names of the providers in the file, by host."""
        runtime = self._first or self._current.runtime
        return {
            each.found.host: name
            for name, each in runtime.providers.items()
            if each.found is not None
        }

    @property
    def _gateway(self) -> dict[str, Any]:
        return self._current.runtime.config.gateway

    def _in_background(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)


class NamedEvents:
    """A plugin that counts calls by provider name instead of by host.

    Args:
        gateway: The gateway that counts the calls.
    """

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    @hookimpl
    def grantway_observe(self, event: Event) -> None:
        """Count a call."""
        name = self._gateway.names.get(event.provider, event.provider)
        self._gateway.metrics.grantway_observe(replace(event, provider=name))


async def _no_body() -> MutableMapping[str, Any]:
    """Receive the end of a body."""
    return {"type": "http.request", "body": b"", "more_body": False}


async def _retire(active: _ActiveConfiguration, after: Runtime) -> None:
    """Close the components that the new runtime does not reuse, once no request uses them."""
    await active.forwarder.calls.wait_until_idle()
    with contextlib.suppress(GrantwayError):
        await active.runtime.components.close_async(after.components)
