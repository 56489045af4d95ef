"""Token backend that calls the embedded issuer in the same process."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from grantway._plugins.default_registry import default_registry
from grantway._plugins.registry import Registry
from grantway._processes.copies import OneProcess
from grantway_plugins._jose.errors import KeysUnavailableError
from grantway_plugins.issuer._decisions.issuer import Issuer
from grantway_plugins.issuer._http.endpoints.token import create_token
from grantway_plugins.issuer._http.trusted_tokens import keys_unavailable, trusted_tokens
from grantway_plugins.issuer._settings import IssuerSettings
from grantway_plugins.issuer._storage.store import IssuerStore
from grantway_plugins.issuer._storage.unit_of_work import failure_response, guarded
from grantway_plugins.server._http.denial import Denial, DenialError
from grantway_plugins.server._http.wire import WireRequest, WireResponse


class EmbeddedIssuer(OneProcess):
    """Issues tokens in this process, for the clients that are registered in its store.

    Args:
        store: Storage of the issuer; ``IssuerServer.store``, for example.
        settings: Settings of the issuer; ``IssuerServer.settings``, for example.
        registry: Registry of the grants and their issuer grants; by default this process's current
            default registry.
        clock: Returns the Unix time in seconds.

    Raises:
        ConfigurationError: No registered grant can be issued.
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
        self._built = self._build(registry or default_registry())
        self._trusted = trusted_tokens(self._built[1])

    @property
    def repeatable(self) -> frozenset[str]:
        """Parameters that may be repeated, of the currently registered grants."""
        return self._issuer.repeatable

    def respond(self, request: WireRequest) -> WireResponse | Denial:
        """Respond after the decision is committed; may block.

        Raises:
            DenialError: The request was rejected without a database query.
        """
        try:
            if self._trusted is not None:
                request = replace(request, trusted=self._trusted.of(request.params))
            return self._store.run(guarded(create_token(self._issuer, request)))
        except DenialError:
            raise
        except KeysUnavailableError as error:
            return keys_unavailable(error, request.dialect)
        except Exception as error:  # noqa: BLE001 - turned into a response without secrets
            return failure_response(error, request.dialect)

    async def arespond(self, request: WireRequest) -> WireResponse | Denial:
        """Respond after the decision is committed; the store's thread makes blocking calls.

        Raises:
            DenialError: The request was rejected without a database query.
        """
        try:
            if self._trusted is not None:
                trusted = await self._trusted.of_async(request.params)
                request = replace(request, trusted=trusted)
            return await self._store.arun(guarded(create_token(self._issuer, request)))
        except DenialError:
            raise
        except KeysUnavailableError as error:
            return keys_unavailable(error, request.dialect)
        except Exception as error:  # noqa: BLE001 - turned into a response without secrets
            return failure_response(error, request.dialect)

    @property
    def _issuer(self) -> Issuer:
        base, issuer = self._built
        if self._registry is not None or base is (current := default_registry()):
            return issuer
        # Two threads may build it at once. The results are equal, so either may win.
        self._built = built = self._build(current)
        return built[1]

    def _build(self, registry: Registry) -> tuple[Registry, Issuer]:
        return registry, Issuer.of(registry, self._settings, self._clock)

    def __repr__(self) -> str:
        return f"EmbeddedIssuer({self._settings.issuer!r})"
