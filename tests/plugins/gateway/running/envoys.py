"""Messages and methods of Envoy's gRPC services, as Envoy sends and calls them."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from typing import Any

import grpc

from grantway_plugins.gateway._envoy.messages import (
    CheckRequest,
    CheckResponse,
    DiscoveryRequest,
    DiscoveryResponse,
    Secret,
)

SECRET_TYPE = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"


def http_request(
    method: str, host: str, path: str, *headers: tuple[str, str], raw: bool = True
) -> Any:
    """Return a ``CheckRequest``.

    Args:
        method: HTTP method.
        host: ``Host`` header.
        path: Path with the query.
        headers: Names and values.
        raw: Whether Envoy is configured with ``encode_raw_headers``.
    """
    request = CheckRequest()
    http = request.attributes.request.http
    http.method, http.host, http.path, http.scheme = method, host, path, "http"
    pseudo = [(":method", method), (":authority", host), (":path", path)]
    for name, value in [*pseudo, *headers]:
        if raw:
            http.header_map.headers.add(key=name, raw_value=value.encode("utf-8"))
        else:
            http.headers.add(key=name, value=value)
    return request


def check_method(channel: grpc.Channel) -> Any:
    """Return the method that ``ext_authz`` calls."""
    return channel.unary_unary(
        "/envoy.service.auth.v3.Authorization/Check",
        request_serializer=CheckRequest.SerializeToString,
        response_deserializer=CheckResponse.FromString,
    )


class Subscription:
    """A stream of secrets, which accepts each response.

    Args:
        channel: Channel to the gateway.
        names: Names of the secrets.
        seconds: Longest life of the stream.
    """

    def __init__(self, channel: grpc.Channel, *names: str, seconds: float = 60.0) -> None:
        self._requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        method = channel.stream_stream(
            "/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets",
            request_serializer=DiscoveryRequest.SerializeToString,
            response_deserializer=DiscoveryResponse.FromString,
        )
        self.call: Any = method(iter(self._requests.get, None), timeout=seconds)
        self.subscribe(*names)

    def subscribe(self, *names: str, **fields: Any) -> None:
        """Send a request.

        Args:
            names: Names of the secrets.
            fields: More fields of the request.
        """
        self._names = names
        request = DiscoveryRequest(resource_names=names, type_url=SECRET_TYPE, **fields)
        request.node.id = "test-envoy"
        self._requests.put(request)

    def reject(self, response: Any, reason: str) -> None:
        """Report that a response is invalid."""
        error = {"code": 3, "message": reason}
        self.subscribe(*self._names, response_nonce=response.nonce, error_detail=error)

    def receive(self) -> Any:
        """Return the next response."""
        response = next(self.call)
        self.last = response
        return response

    def values(self) -> dict[str, str]:
        """Accept the next response, and return its secrets by name."""
        response = self.receive()
        assert response.type_url == SECRET_TYPE
        self.subscribe(
            *self._names, version_info=response.version_info, response_nonce=response.nonce
        )
        return dict(_secrets(response))

    def close(self) -> None:
        """End the stream."""
        self._requests.put(None)
        self.call.cancel()


def _secrets(response: Any) -> Iterator[tuple[str, str]]:
    for resource in response.resources:
        assert resource.type_url == SECRET_TYPE
        secret = Secret.FromString(resource.value)
        yield secret.name, secret.generic_secret.secret.inline_bytes.decode()
