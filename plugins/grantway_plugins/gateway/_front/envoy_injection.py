"""The parts of Envoy's configuration that add the tokens of routes without ``ext_authz``.

The gateway sends such a token in advance (SDS), and the credential injector of the route's cluster
adds it. Envoy chooses the route, so the token can reach no other upstream.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from grantway_plugins.gateway._running.cached_responses import ROUTE

from .plan import ORIGIN_HEADERS, FrontRoute

_TYPES = "type.googleapis.com/envoy.extensions"
#: Does not even create a filter for the requests of a route.
_FILTER_CONFIG = "type.googleapis.com/envoy.config.route.v3.FilterConfig"
#: The rest of a path that all servers read alike: no empty or dot segments, and nothing encoded.
_SEGMENT = "[A-Za-z0-9_~!$&'()*+,=:@-][A-Za-z0-9._~!$&'()*+,=:@-]*"
_PLAIN = f"(/{_SEGMENT})*/?"

#: Replaces the injector's 401, which callers would take for their own mistake.
NO_TOKEN = """\
# No token for a route with on_failure = "closed": the gateway's response instead of a 401.
local_reply_config:
  mappers:
  - filter:
      extension_filter:
        name: envoy.access_loggers.extension_filters.cel
        typed_config:
          "@type": TYPES.access_loggers.filters.cel.v3.ExpressionFilter
          expression: response.code_details == "failed_to_inject_credential"
    status_code: 503
    headers_to_add: [{header: {key: cache-control, value: no-store}}]
    body_format_override:
      json_format:
        error: temporarily_unavailable
        error_description: The gateway has no token for this request now
""".replace("TYPES", _TYPES).splitlines()


def injected_route(route: FrontRoute, forwarding: str, header: str) -> Iterator[str]:
    """Yield the lines of the route for requests to which Envoy adds the token.

    Args:
        route: The route.
        forwarding: The options of forwarded requests.
        header: A further condition on the headers of a request, or empty.
    """
    pattern = f"{re.escape(route.path)}{_PLAIN}"
    yield "# Paths that all servers read alike. The gateway decides about others."
    yield "- match:"
    yield f"    safe_regex: {{regex: {json.dumps(pattern)}}}"
    yield "    headers:"
    yield '    - {name: ":method", string_match: {exact: TRACE}, invert_match: true}'
    if header:
        yield f"    - {header}"
    yield f"  route: {{cluster: grantway_injected_{route.name}, {forwarding}}}"
    yield "  # The caller's credentials, and headers of callers that upstreams may trust."
    yield "  request_headers_to_remove:"
    removed = {"authorization", "dpop", route.header.lower(), ROUTE.decode()}
    for name in sorted(removed.union(each.lower() for each in ORIGIN_HEADERS)):
        yield f"  - {name}"
    yield "  typed_per_filter_config:"
    yield "    envoy.filters.http.ext_authz:"
    yield f'      "@type": {_FILTER_CONFIG}'
    yield "      disabled: true"
    yield "    envoy.filters.http.header_mutation:"
    if "-" not in route.header:
        yield f'      "@type": {_FILTER_CONFIG}'
        yield "      disabled: true"
        return
    spellings = json.dumps(route.header.lower().replace("-", "[^a-z0-9]"))
    yield f'      "@type": {_TYPES}.filters.http.header_mutation.v3.HeaderMutationPerRoute'
    yield "      mutations:"
    yield "        request_mutations:"
    yield "        # Other spellings, which some servers read as the token's header."
    yield "        - remove_on_match:"
    yield f"            key_matcher: {{safe_regex: {{regex: {spellings}}}}}"


def injector(route: FrontRoute) -> Iterator[str]:
    """Yield the lines of the injector, for the cluster of a route."""
    yield "http_filters:"
    yield "- name: envoy.filters.http.credential_injector"
    yield "  typed_config:"
    yield f'    "@type": {_TYPES}.filters.http.credential_injector.v3.CredentialInjector'
    yield "    overwrite: true"
    yield f"    # on_failure = {json.dumps('open' if route.opens else 'closed')}"
    yield f"    allow_request_without_credential: {json.dumps(route.opens)}"
    yield "    credential:"
    yield "      name: envoy.http.injected_credentials.generic"
    yield "      typed_config:"
    yield f'        "@type": {_TYPES}.http.injected_credentials.generic.v3.Generic'
    yield f"        header: {route.header}"
    yield "        credential:"
    yield f"          name: {json.dumps(route.name)}"
    yield "          sds_config:"
    yield "            resource_api_version: V3"
    yield "            api_config_source:"
    yield "              api_type: GRPC"
    yield "              transport_api_version: V3"
    yield "              grpc_services:"
    yield "              - envoy_grpc:"
    yield "                  cluster_name: grantway_grpc"
    yield "                  # Connect again soon after the gateway has restarted."
    yield "                  retry_policy:"
    yield "                    retry_back_off: {base_interval: 0.2s, max_interval: 1s}"
    yield "- name: envoy.filters.http.upstream_codec"
    yield "  typed_config:"
    yield f'    "@type": {_TYPES}.filters.http.upstream_codec.v3.UpstreamCodec'
