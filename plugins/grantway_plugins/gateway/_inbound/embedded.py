"""Token requests settled by the embedded issuer, in the same process and without a socket."""

from __future__ import annotations

import time
from collections.abc import Callable

from grantway._plugins.default_registry import default_registry
from grantway._plugins.registry import Registry
from grantway._processes.copies import OneProcess
from grantway_plugins.issuer._decisions.issuer import Issuer, offered_grants
from grantway_plugins.issuer._http.endpoints.token import create_token
from grantway_plugins.issuer._settings import IssuerSettings
from grantway_plugins.issuer._storage.store import IssuerStore
from grantway_plugins.issuer._storage.unit_of_work import failure_response, guarded
from grantway_plugins.server._http.denial import Denial
from grantway_plugins.server._http.wire import WireRequest, WireResponse


class EmbeddedIssuer(OneProcess):
    """Issues the tokens itself. Its clients are those registered in the store.

    Args:
        store: Where it keeps everything; an ``IssuerServer`` has one in ``store``.
        settings: The operator's choices; an ``IssuerServer`` has them in ``settings``.
        registry: Where grants and its issuer grant come from; by default this process's,
            whose changes it follows.
        clock: Seconds since the epoch.

    Raises:
        ConfigurationError: there is no grant to offer.
    """

    def __init__(
        self,
        store: IssuerStore,
        settings: IssuerSettings,
        *,
        registry: Registry | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._settings = settings
        self._clock = clock
        self._registry = registry
        self._made = self._make(registry or default_registry())

    @property
    def repeatable(self) -> frozenset[str]:
        """Parameters that may be repeated, of the currently registered grants."""
        return self._issuer.repeatable

    def settle(self, request: WireRequest) -> WireResponse | Denial:
        """Decide, and wait for the commit.

        Raises:
            DenialError: it was refused without asking the database.
        """
        work = guarded(create_token(self._issuer, request))
        try:
            return self._store.run(work)
        except Exception as error:  # noqa: BLE001 - the last line: an answer, and no secret in it
            return failure_response(error, request.dialect)

    async def asettle(self, request: WireRequest) -> WireResponse | Denial:
        """Decide; the store's own thread does what blocks.

        Raises:
            DenialError: it was refused without asking the database.
        """
        work = guarded(create_token(self._issuer, request))
        try:
            return await self._store.arun(work)
        except Exception as error:  # noqa: BLE001 - the same
            return failure_response(error, request.dialect)

    @property
    def _issuer(self) -> Issuer:
        base, issuer = self._made
        if self._registry is not None or base is (current := default_registry()):
            return issuer
        # Two threads may both build it: the results are equal, and the last one stays.
        self._made = made = self._make(current)
        return made[1]

    def _make(self, registry: Registry) -> tuple[Registry, Issuer]:
        return registry, Issuer(self._settings, offered_grants(registry), self._clock)

    def __repr__(self) -> str:
        return f"EmbeddedIssuer({self._settings.issuer!r})"
