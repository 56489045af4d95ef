"""The service ``envoy.service.secret.v3.SecretDiscoveryService``: tokens for Envoy's injector.

Envoy subscribes to a secret with the name of a route, and gets the value of the header that carries
the route's token: at once, and whenever it changes. An empty secret means that there is no token;
the injector then rejects requests or forwards them without one, as configured.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import grpc

from .kept_token import Find, KeptToken
from .messages import DiscoveryRequest, DiscoveryResponse, Secret
from .peer import NOT_ALLOWED, peer_of

_log = logging.getLogger("grantway.gateway")

_SERVICE = "envoy.service.secret.v3.SecretDiscoveryService"
_TYPE = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"
#: Most secrets of one stream. Envoy opens a stream for each secret.
_MOST_NAMES = 1000
#: Longest text of Envoy's reason to reject a secret that is logged.
_MOST_REASON = 300


class Secrets:
    """Serves the tokens of routes as secrets.

    A token is kept fresh while at least one stream is subscribed to it.

    Args:
        find: Returns the token of a route by its name.
        admits: Returns whether an address may subscribe.
    """

    def __init__(self, find: Find, admits: Callable[[str], bool]) -> None:
        self._find, self._admits = find, admits
        self._kept: dict[str, KeptToken] = {}
        self._streams: set[_Stream] = set()

    def service(self) -> grpc.GenericRpcHandler:
        """Return the handler of the service."""
        method = grpc.stream_stream_rpc_method_handler(
            self._stream,
            request_deserializer=DiscoveryRequest.FromString,
            response_serializer=DiscoveryResponse.SerializeToString,
        )
        return grpc.method_handlers_generic_handler(_SERVICE, {"StreamSecrets": method})

    def close(self) -> None:
        """End all streams. Envoys keep their secrets, and connect again."""
        for stream in self._streams:
            stream.end()

    async def _stream(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        await self._check_peer(context)
        stream = _Stream(self)
        self._streams.add(stream)
        reading = asyncio.create_task(stream.read(requests))
        try:
            async for response in stream.responses():
                await self._check_peer(context)  # again, because of reloads
                yield response
            if stream.problem:
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, stream.problem)
        finally:
            reading.cancel()
            self._streams.discard(stream)
            stream.subscribe(())

    async def _check_peer(self, context: Any) -> None:
        if not self._admits(peer_of(context)):
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, NOT_ALLOWED)

    def keep(self, name: str, wake: Callable[[], None]) -> KeptToken:
        """Return the token of a route, and keep it fresh until `release`."""
        kept = self._kept.get(name)
        if kept is None:
            kept = self._kept[name] = KeptToken(name, self._find)
        kept.wakes.add(wake)
        return kept

    def release(self, kept: KeptToken, wake: Callable[[], None]) -> None:
        """Stop keeping a token fresh, if no other stream is subscribed to it."""
        kept.wakes.discard(wake)
        if not kept.wakes:
            kept.close()
            del self._kept[kept.name]


class _Stream:
    """One stream of an Envoy.

    Attributes:
        problem: The reason to end the stream; empty if there is none.
    """

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets
        self.problem = ""
        self._kept: dict[str, KeptToken] = {}
        self._sent: dict[str, int] = {}
        self._woken = asyncio.Event()
        self._ended = False

    async def read(self, requests: AsyncIterator[Any]) -> None:
        """Read subscriptions, and Envoy's reports about responses, until Envoy ends the stream."""
        try:
            async for request in requests:
                names = request.resource_names
                if request.type_url not in {"", _TYPE} or len(names) > _MOST_NAMES:
                    self.problem = f"only up to {_MOST_NAMES} secrets are served"
                    break
                if request.HasField("error_detail"):
                    self._log_rejection(request)
                self.subscribe(names)
        finally:
            self.end()

    def subscribe(self, names: Iterable[str]) -> None:
        """Replace the subscriptions."""
        wanted = set(names)
        for name in self._kept.keys() - wanted:
            self._secrets.release(self._kept.pop(name), self._woken.set)
            self._sent.pop(name, None)
        for name in wanted - self._kept.keys():
            self._kept[name] = self._secrets.keep(name, self._woken.set)
            self._woken.set()

    async def responses(self) -> AsyncIterator[Any]:
        """Yield a response whenever secrets change, until the stream ends."""
        for number in itertools.count(1):
            await self._woken.wait()
            self._woken.clear()
            if self._ended:
                return
            changed = {
                name: kept
                for name, kept in self._kept.items()
                if kept.value is not None and self._sent.get(name) != kept.version
            }
            if changed:
                self._sent |= {name: kept.version for name, kept in changed.items()}
                yield _response(changed.values(), str(number))

    def end(self) -> None:
        """End the stream."""
        self._ended = True
        self._woken.set()

    def _log_rejection(self, request: Any) -> None:
        reason = request.error_detail.message
        for kept in self._kept.values():
            # Envoy's message may quote the secret, or only the part after the scheme.
            for part in (kept.value or "").split(" "):
                reason = reason.replace(part, "***") if part else reason
        _log.warning(
            "Envoy %r rejected the secrets %s: %s",
            request.node.id,
            ", ".join(request.resource_names),
            reason[:_MOST_REASON],
        )


def _response(changed: Iterable[KeptToken], number: str) -> Any:
    response = DiscoveryResponse(version_info=number, type_url=_TYPE, nonce=number)
    for kept in changed:
        secret = Secret(name=kept.name)
        secret.generic_secret.secret.inline_bytes = (kept.value or "").encode()
        response.resources.add(type_url=_TYPE, value=secret.SerializeToString())
    return response
