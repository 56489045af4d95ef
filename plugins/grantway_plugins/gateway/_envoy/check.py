"""The service ``envoy.service.auth.v3.Authorization``, which Envoy's ``ext_authz`` calls."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Any

import grpc

from grantway_plugins.gateway._running.decision import removed_by_envoy
from grantway_plugins.gateway.upstream._upstream_token import UpstreamToken
from grantway_plugins.server._http.asgi import Scope
from grantway_plugins.server._http.wire import WireResponse

from .messages import CheckRequest, CheckResponse
from .peer import NOT_ALLOWED, peer_of

#: Returns the token of a request, given as an ASGI scope, or the response to its caller.
Decide = Callable[[Scope], Awaitable[UpstreamToken | WireResponse]]

_SERVICE = "envoy.service.auth.v3.Authorization"
_PERMISSION_DENIED = grpc.StatusCode.PERMISSION_DENIED.value[0]
#: ``OVERWRITE_IF_EXISTS_OR_ADD`` of ``HeaderAppendAction``.
_OVERWRITE = 2


def check_service(decide: Decide, admits: Callable[[str], bool]) -> grpc.GenericRpcHandler:
    """Return the handler of the service.

    Args:
        decide: Decides about a request.
        admits: Returns whether an address may send requests.
    """

    async def check(request: Any, context: Any) -> Any:
        peer = peer_of(context)
        if not admits(peer):
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, NOT_ALLOWED)
        found = await decide(_scope(request.attributes.request.http, peer))
        return _denied(found) if isinstance(found, WireResponse) else _granted(found)

    method = grpc.unary_unary_rpc_method_handler(
        check,
        request_deserializer=CheckRequest.FromString,
        response_serializer=CheckResponse.SerializeToString,
    )
    return grpc.method_handlers_generic_handler(_SERVICE, {"Check": method})


def _scope(http: Any, peer: str) -> Scope:
    """Return the ASGI scope of a request.

    With ``encode_raw_headers``, the headers are as Envoy got them. Otherwise Envoy has joined
    repeated headers with commas, which no tenant and no credentials may contain.
    """
    if http.HasField("header_map"):
        pairs = [(each.key, each.raw_value) for each in http.header_map.headers]
    else:
        pairs = [(each.key, each.value.encode()) for each in http.headers]
    headers = [(name.encode(), value) for name, value in pairs if name[:1] not in {":", ""}]
    headers = [each for each in headers if each[0] != b"host"]
    target = http.path.encode()
    return {
        "type": "http",
        "method": http.method,
        "scheme": http.scheme,
        "path": http.path.partition("?")[0],
        "raw_path": target.partition(b"?")[0],
        "query_string": target.partition(b"?")[2],
        "headers": [(b"host", http.host.encode()), *headers],
        "client": (peer, 0),
    }


def _granted(token: UpstreamToken) -> Any:
    response = CheckResponse()
    response.CopyFrom(_removing(removed_by_envoy(token)))
    if token.header is not None:
        name, value = token.header
        option = response.ok_response.headers.add(append_action=_OVERWRITE)
        option.header.key, option.header.value = name.lower(), value
    return response


@lru_cache
def _removing(names: tuple[bytes, ...]) -> Any:
    """Return a response that removes headers, of which routes have few different lists."""
    response = CheckResponse()
    response.ok_response.headers_to_remove.extend(each.decode() for each in names)
    return response


def _denied(denial: WireResponse) -> Any:
    response = CheckResponse()
    response.status.code = _PERMISSION_DENIED
    denied = response.denied_response
    denied.status.code = denial.status
    denied.body = denial.body.decode()
    for name, value in denial.headers:
        option = denied.headers.add(append_action=_OVERWRITE)
        option.header.key, option.header.value = name.decode(), value.decode("latin-1")
    return response
