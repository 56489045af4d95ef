"""Token backend that calls the embedded issuer in the same process."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from grantway._exceptions import ConfigurationError
from grantway._plugins.default_registry import default_registry
from grantway._plugins.registry import Registry
from grantway._processes.copies import OneProcess
from grantway_plugins._jose.errors import KeysUnavailableError
from grantway_plugins.issuer._clients.client_of_assertion import PARAMETER, client_of_assertion
from grantway_plugins.issuer._decisions.issuer import Issuer
from grantway_plugins.issuer._http.endpoints.token import create_token
from grantway_plugins.issuer._http.trusted_tokens import keys_unavailable, trusted_tokens
from grantway_plugins.issuer._keys.opening import database_ring
from grantway_plugins.issuer._settings import IssuerSettings
from grantway_plugins.issuer._storage.store import IssuerStore
from grantway_plugins.issuer._storage.unit_of_work import failure_response, guarded
from grantway_plugins.issuer._trust.trusted_token import TrustedToken
from grantway_plugins.server._http.denial import Denial, DenialError
from grantway_plugins.server._http.wire import WireRequest, WireResponse


class EmbeddedIssuer(OneProcess):
    """Issues tokens in this process, for the clients that are registered in its store.

    It knows neither its own URL nor the connection of the client, so it verifies no DPoP proofs,
    client certificates or assertions of ``private_key_jwt``, and reads no documents of clients.
    Such clients use the issuer's own token endpoint.

    Args:
        store: Storage of the issuer; ``IssuerServer.store``, for example.
        settings: Settings of the issuer; ``IssuerServer.settings``, for example.
        registry: Registry of the grants and their issuer grants; by default this process's current
            default registry.
        clock: Returns the Unix time in seconds.

    Raises:
        ConfigurationError: No registered grant can be issued, the signing keys that the settings
            require cannot be used, or the settings require bound tokens.
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
        if settings.require_bound_tokens:
            rule = "must be false: EmbeddedIssuer cannot bind tokens to keys"
            raise ConfigurationError(
                f"require_bound_tokens {rule}; use the token endpoint of the issuer",
                errors={"require_bound_tokens": [rule]},
            )
        self._keys = database_ring(settings, store) if not settings.signing_keys else None
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
            _check_supported(self._issuer, request)
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
            _check_supported(self._issuer, request)
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
        issuer = Issuer.of(registry, self._settings, self._clock)
        return registry, replace(issuer, keys=issuer.keys or self._keys)

    def __repr__(self) -> str:
        return f"EmbeddedIssuer({self._settings.issuer!r})"


def _check_supported(issuer: Issuer, request: WireRequest) -> None:
    """Reject a request that the issuer's own token endpoint would treat differently.

    Raises:
        DenialError: The request has a DPoP proof, or an assertion of ``private_key_jwt``.
    """
    if "dpop" in request.headers:
        raise DenialError(
            "invalid_request",
            "DPoP is not supported here; use the token endpoint of the issuer, or omit the proof",
        )
    if (
        not isinstance(request.trusted.get(PARAMETER), TrustedToken)
        and not issuer.client_auth  # otherwise it may be for the method of a plugin
        and client_of_assertion(request.params) is not None
    ):
        raise DenialError(
            "invalid_client",
            "private_key_jwt is not supported here; use the token endpoint of the issuer",
        )
