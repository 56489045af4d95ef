"""Objects that all requests forwarded with one configuration share."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from grantway_plugins.gateway._config.limits import GatewayLimits
from grantway_plugins.gateway.upstream._upstream_auth import UpstreamAuth
from grantway_plugins.server._http.peer_networks import Networks, is_one_of
from grantway_plugins.server._listening.peers import Shares

from .headers import Sender
from .target import Target
from .upstream_pool import UpstreamPool

if TYPE_CHECKING:
    from grantway_plugins.gateway._running.admission import Admission
    from grantway_plugins.gateway._running.browser_rule import BrowserRule


class Calls:
    """The number of requests that use a configuration."""

    def __init__(self) -> None:
        self._count = 0
        self._idle = asyncio.Event()

    def enter(self) -> None:
        """Count a request."""
        self._count += 1

    def leave(self) -> None:
        """Stop counting a request."""
        self._count -= 1
        if not self._count:
            self._idle.set()

    async def wait_until_idle(self) -> None:
        """Wait until no request is counted."""
        while self._count:
            self._idle.clear()
            await self._idle.wait()


@dataclass(eq=False)
class Forwarder:
    """Objects that all requests forwarded with one configuration share.

    Attributes:
        upstream: Finds the route and token of a request.
        targets: Upstreams by route name.
        pool: Connections to the upstreams.
        browsers: Rejects requests of web pages.
        trusted: Peers whose ``X-Forwarded-*`` headers are trusted.
        limits: Limits on the size and duration of a request's body.
        admission: Number of requests in progress.
        tenants: Number of requests in progress by tenant.
        calls: Number of requests that use this configuration.
    """

    upstream: UpstreamAuth
    targets: Mapping[str, Target]
    pool: UpstreamPool
    browsers: BrowserRule
    trusted: Networks
    limits: GatewayLimits
    admission: Admission
    tenants: Shares
    calls: Calls = field(default_factory=Calls)

    def __post_init__(self) -> None:
        #: Returns the sender of a request by its address and scheme.
        self.sender = lru_cache(1024)(self._sender)

    def _sender(self, address: str, scheme: str) -> Sender:
        return Sender(address.encode(), scheme.encode(), is_one_of(address, self.trusted))
