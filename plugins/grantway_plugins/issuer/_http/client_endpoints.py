"""The issuer's endpoints for clients, by path."""

from __future__ import annotations

from grantway_plugins.issuer._decisions.issuer import Issuer
from grantway_plugins.issuer._decisions.registration_policy import RegistrationPolicy
from grantway_plugins.issuer._extensions.additions import Endpoint
from grantway_plugins.server._http.incoming_request import BOTH
from grantway_plugins.server._http.wire import WireFormat

from .endpoints.client_configuration import client_configuration
from .endpoints.device_authorization import device_authorization
from .endpoints.introspection import introspection
from .endpoints.pushed_authorization import push_authorization
from .endpoints.registration import register, register_client
from .endpoints.revocation import revocation
from .endpoints.token import create_token
from .endpoints.userinfo import USERINFO
from .execution import Execution, Prepare
from .post_endpoint import PostEndpoint
from .served_endpoint import ServedEndpoint

_JSON = frozenset({WireFormat.AWS})
_FORM = frozenset({WireFormat.RFC})


class ClientEndpoints(dict[str, PostEndpoint | ServedEndpoint]):
    """The endpoints of an issuer by path. Those of extensions are added later.

    Args:
        issuer: The issuer.
        execution: Runs the work of requests.
        body_seconds: Time limit for a request body, in seconds.
    """

    def __init__(self, issuer: Issuer, execution: Execution, body_seconds: float) -> None:
        super().__init__()
        self._issuer = issuer
        self._execution = execution
        self._body_seconds = body_seconds
        registration = RegistrationPolicy(issuer.settings)
        self._post("/token", create_token, BOTH)
        self._post("/par", push_authorization, _FORM, WireFormat.RFC)
        self._post("/device_authorization", device_authorization, BOTH)
        self._post(
            "/client/register", registration.admitting(register_client), _JSON, WireFormat.AWS
        )
        self._post("/register", registration.admitting(register), _JSON, WireFormat.RFC)
        self.serve(introspection(issuer))
        self.serve(revocation(issuer))
        self.serve(client_configuration(issuer))
        if issuer.keys is not None:
            self.serve(USERINFO)

    def serve(
        self, endpoint: Endpoint, extension: str = "grantway", plugin: str = "grantway"
    ) -> None:
        """Add an endpoint that is defined like those of extensions.

        Args:
            endpoint: The endpoint.
            extension: The extension, for errors.
            plugin: Its plugin.
        """
        self[endpoint.path] = ServedEndpoint(
            endpoint, extension, plugin, self._execution, body_seconds=self._body_seconds
        )

    def _post(
        self,
        path: str,
        prepare: Prepare,
        accepts: frozenset[WireFormat],
        response_dialect: WireFormat | None = None,
    ) -> None:
        self[path] = PostEndpoint(
            path,
            prepare,
            accepts,
            response_dialect,
            execution=self._execution,
            repeatable=self._issuer.repeatable,
            body_seconds=self._body_seconds,
        )
