"""Authorization server metadata (RFC 8414)."""

from __future__ import annotations

import json

from grantway_plugins.issuer._decisions.authentication import METHODS
from grantway_plugins.issuer._decisions.authorization import RESPONSE_MODES
from grantway_plugins.issuer._decisions.issuer import Issuer
from grantway_plugins.server._http.wire import WireResponse


def metadata(issuer: Issuer) -> WireResponse:
    """Return the metadata document, which lists only available features."""
    url = issuer.settings.url
    with_secret = [method for method in METHODS if method != "none"]
    content = {
        "issuer": url,
        "authorization_endpoint": f"{url}/authorize",
        "token_endpoint": f"{url}/token",
        "device_authorization_endpoint": f"{url}/device_authorization",
        "introspection_endpoint": f"{url}/introspect",
        "revocation_endpoint": f"{url}/revoke",
        "response_types_supported": ["code"],
        "response_modes_supported": list(RESPONSE_MODES),
        "grant_types_supported": sorted(issuer.grants),
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": list(METHODS),
        "introspection_endpoint_auth_methods_supported": with_secret,
        "revocation_endpoint_auth_methods_supported": list(METHODS),
        "authorization_response_iss_parameter_supported": True,
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,  # the default is true
    }
    if issuer.settings.registration != "off":
        content["registration_endpoint"] = f"{url}/register"
    return WireResponse(
        200, ((b"content-type", b"application/json"),), json.dumps(content).encode()
    )
