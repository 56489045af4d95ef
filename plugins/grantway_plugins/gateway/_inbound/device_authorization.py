"""Device authorization endpoint (RFC 8628 section 3.1, AWS StartDeviceAuthorization)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from grantway._exceptions import RequestInvalidError
from grantway._secrets.params import Params
from grantway._types.fields import Scope
from grantway._wire.dialect import Dialect as UpstreamDialect
from grantway_plugins.server._http.denial import Denial, DenialError
from grantway_plugins.server._http.wire import BODY_TIME, WireRequest, WireResponse

from .token_endpoint import TokenEndpoint

if TYPE_CHECKING:
    from .broker import Broker

_AWS = "aws-sso-oidc"


class DeviceAuthorization:
    """Backend of a device authorization endpoint; responds with device codes.

    Args:
        broker: Broker of the provider.
    """

    #: Parameters that a form may repeat.
    repeatable = frozenset({"resource"})

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def respond(self, request: WireRequest) -> WireResponse | Denial:
        """See ``TokenBackend``."""
        return self._broker.authorize_device(request)

    async def arespond(self, request: WireRequest) -> WireResponse | Denial:
        """See ``TokenBackend``."""
        return await self._broker.aauthorize_device(request)

    def __repr__(self) -> str:
        return f"DeviceAuthorization({self._broker!r})"


class DeviceAuthorizationEndpoint(TokenEndpoint):
    """A device authorization endpoint, to mount next to a ``TokenEndpoint`` in the same way.

    The device code in its response is bound to the caller: no other caller can redeem it.

    Args:
        broker: Broker of the provider.
        body_seconds: Time limit in seconds for receiving a request body, under ASGI.

    Raises:
        ConfigurationError: An argument is invalid; the error names it.
    """

    def __init__(self, broker: Broker, *, body_seconds: float = BODY_TIME) -> None:
        super().__init__(broker.device_authorization, body_seconds=body_seconds)

    def _check(self, request: WireRequest) -> None:
        """Accept a request without a grant type."""


def device_params(request: WireRequest, upstream: UpstreamDialect) -> Params:
    """Return the parameters for the provider; others are ignored.

    Raises:
        DenialError: A parameter is invalid.
    """
    params = Params()
    scope: Any = request.params.get("scope")
    if scope is not None:
        try:
            params["scope"] = Scope().names(scope)
        except RequestInvalidError:
            raise DenialError(
                "invalid_request", "scope must be a list of scopes separated by spaces"
            ) from None
    resource = request.params.get("resource")
    if resource is not None:
        if not isinstance(resource, list) or not all(isinstance(each, str) for each in resource):
            raise DenialError("invalid_request", "resource must be a URI")
        params["resource"] = resource
    if upstream.name == _AWS and (start_url := request.text("start_url")) is not None:
        params["start_url"] = start_url
    return params
