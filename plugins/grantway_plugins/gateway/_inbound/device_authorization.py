"""Device logins that begin at the gateway (RFC 8628 section 3.1, AWS StartDeviceAuthorization)."""

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
    """A broker's second settlement: gives device codes instead of tokens.

    Args:
        broker: Asks the provider.
    """

    #: Parameters that a form may repeat.
    repeatable = frozenset({"resource"})

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def settle(self, request: WireRequest) -> WireResponse | Denial:
        """See ``TokenBackend``."""
        return self._broker.authorize_device(request)

    async def asettle(self, request: WireRequest) -> WireResponse | Denial:
        """See ``TokenBackend``."""
        return await self._broker.aauthorize_device(request)

    def __repr__(self) -> str:
        return f"DeviceAuthorization({self._broker!r})"


class DeviceAuthorizationEndpoint(TokenEndpoint):
    """A device authorization endpoint to mount beside a ``TokenEndpoint``, in the same ways.

    The device code in its answer is bound to the caller: no other caller can redeem it.

    Args:
        broker: Asks the provider.
        body_seconds: How long a sender may take for its body, under ASGI.

    Raises:
        ConfigurationError: an argument cannot work; names it.
    """

    def __init__(self, broker: Broker, *, body_seconds: float = BODY_TIME) -> None:
        super().__init__(broker.device_authorization, body_seconds=body_seconds)

    def _check(self, request: WireRequest) -> None:
        """Accept a request without a grant type."""


def device_params(request: WireRequest, upstream: UpstreamDialect) -> Params:
    """Return the parameters that go to the provider; the rest is ignored.

    Raises:
        DenialError: one of them is invalid.
    """
    params = Params()
    scope: Any = request.params.get("scope")
    if scope is not None:
        try:
            params["scope"] = Scope().names(scope)
        except RequestInvalidError:
            raise DenialError(
                "invalid_request", "scope must be names of scopes, separated by spaces"
            ) from None
    resource = request.params.get("resource")
    if resource is not None:
        if not isinstance(resource, list) or not all(isinstance(each, str) for each in resource):
            raise DenialError("invalid_request", "resource must be a URI")
        params["resource"] = resource
    if upstream.name == _AWS and (start_url := request.text("start_url")) is not None:
        params["start_url"] = start_url
    return params
