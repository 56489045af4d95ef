"""Authorization server metadata (RFC 8414)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from grantway_plugins.grants.token_exchange import ID_JAG
from grantway_plugins.issuer._decisions.authorization_request import RESPONSE_MODES
from grantway_plugins.issuer._decisions.interaction import PROMPTS
from grantway_plugins.issuer._decisions.issuer import Issuer
from grantway_plugins.issuer._decisions.openid import provider_metadata
from grantway_plugins.issuer._security import proof_algorithms
from grantway_plugins.issuer._trust.trusted_token import FEDERATED
from grantway_plugins.server._http.wire import WireResponse

from .jwks import JWKS

#: Entries that extensions cannot add, in addition to those of ``metadata``.
RESERVED = frozenset(
    {
        "authorization_grant_profiles_supported",
        "end_session_endpoint",
        "identity_chaining_requested_token_types_supported",
        "prompt_values_supported",
        "registration_endpoint",
    }
)
#: The profile of the JWT bearer grant for identity assertions (ID-JAG).
ID_JAG_PROFILE = "urn:ietf:params:oauth:grant-profile:id-jag"


def metadata(issuer: Issuer) -> dict[str, Any]:
    """Return the members of the metadata document, which lists only available features."""
    url = issuer.settings.url
    federated = any(each.clients for each in issuer.settings.trusted_issuers)
    methods = [method for method in issuer.auth_methods if method != FEDERATED or federated]
    with_secret = [method for method in methods if method != "none"]
    content = {
        "issuer": url,
        "authorization_endpoint": f"{url}/authorize",
        "token_endpoint": f"{url}/token",
        "device_authorization_endpoint": f"{url}/device_authorization",
        "pushed_authorization_request_endpoint": f"{url}/par",
        "introspection_endpoint": f"{url}/introspect",
        "revocation_endpoint": f"{url}/revoke",
        "response_types_supported": ["code"],
        "response_modes_supported": list(RESPONSE_MODES),
        "grant_types_supported": sorted(issuer.grants),
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": methods,
        "introspection_endpoint_auth_methods_supported": with_secret,
        "revocation_endpoint_auth_methods_supported": methods,
        "authorization_response_iss_parameter_supported": True,
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,  # the default is true
    }
    if issuer.settings.client_certificates is not None:
        content["tls_client_certificate_bound_access_tokens"] = True
    if issuer.settings.client_documents is not None:
        content["client_id_metadata_document_supported"] = True
    if issuer.keys is not None:
        content["jwks_uri"] = f"{url}{JWKS}"
        content["introspection_signing_alg_values_supported"] = list(issuer.keys.algorithms)
        content |= provider_metadata(issuer)
    content |= _identity_assertions(issuer)
    if issuer.settings.require_pushed_authorization_requests:
        content["require_pushed_authorization_requests"] = True
    algorithms = list(proof_algorithms(fapi2=issuer.settings.fapi2))
    if algorithms:
        for name in ("token", "introspection", "revocation"):
            content[f"{name}_endpoint_auth_signing_alg_values_supported"] = algorithms
        content["dpop_signing_alg_values_supported"] = algorithms
    if issuer.login is not None:
        content["end_session_endpoint"] = f"{url}/session/end"
        content["prompt_values_supported"] = list(PROMPTS)
    if issuer.settings.registration != "off":
        content["registration_endpoint"] = f"{url}/register"
    return content


def _identity_assertions(issuer: Issuer) -> dict[str, Any]:
    """Return the members of draft-ietf-oauth-identity-assertion-authz-grant."""
    content = {}
    if issuer.settings.identity_assertions:
        content["identity_chaining_requested_token_types_supported"] = [ID_JAG]
    if any(each.users for each in issuer.settings.trusted_issuers):
        content["authorization_grant_profiles_supported"] = [ID_JAG_PROFILE]
    return content


def metadata_response(content: Mapping[str, Any]) -> WireResponse:
    """Return the response with the metadata document."""
    return WireResponse(
        200, ((b"content-type", b"application/json"),), json.dumps(content).encode()
    )
