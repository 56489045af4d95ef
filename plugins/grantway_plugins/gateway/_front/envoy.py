"""The configuration of Envoy, which gets tokens from the gateway with ``ext_authz``."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterable, Iterator

from grantway._exceptions import ConfigurationError
from grantway_plugins.gateway._running.cached_responses import ROUTE, WEBSOCKET

from .envoy_injection import NO_TOKEN, injected_route, injector
from .plan import ORIGIN_HEADERS, FrontRoute, Plan, Site, Upstream

_TYPES = "type.googleapis.com/envoy.extensions"
_ROUTE = ROUTE.decode()
#: Finds out that the gateway's machine is gone.
_KEEPALIVE = "connection_keepalive: {interval: 30s, timeout: 10s}"


def envoy(plan: Plan) -> str:
    """Return the configuration of Envoy, as YAML.

    Raises:
        ConfigurationError: The file has ``client_certificate_header``.
    """
    return "\n".join(_lines(plan, "envoy", _http_service(plan))) + "\n"


def envoy_grpc(plan: Plan) -> str:
    """Return the same configuration with ``ext_authz`` over gRPC.

    Raises:
        ConfigurationError: The gateway has no gRPC listener, or the file has
            ``client_certificate_header``.
    """
    if not plan.grpc:
        raise ConfigurationError(
            "authorize.grpc_listen is missing; Envoy connects to this address with gRPC. Add "
            f'grpc_listen = "127.0.0.1:8413" to [authorize] in {plan.source}',
            errors={"grpc_listen": ["is missing"]},
        )
    return "\n".join(_lines(plan, "envoy-grpc", _grpc_service(plan))) + "\n"


def _lines(plan: Plan, name: str, service: Iterator[str]) -> Iterator[str]:
    plan.check_no_certificates("Envoy")
    host, port = plan.listen
    injected = [route for route in plan.routes if _is_injected(plan, route)]
    yield f"# Created by: grantway gateway config {name} --config {plan.source}"
    yield "# Create it again after changes of routes, [authorize] or timeouts in that file."
    yield "#"
    yield "# Envoy does not cache responses of ext_authz: it asks the gateway for each request."
    if injected:
        names = ", ".join(route.name for route in injected)
        yield "# The gateway sends it the tokens of these routes in advance (SDS), so that their"
        yield f"# requests do not wait: {names}"
        yield "node: {id: grantway-envoy, cluster: grantway}"
    yield "static_resources:"
    yield "  listeners:"
    yield f"  - address: {{socket_address: {{address: {json.dumps(host)}, port_value: {port}}}}}"
    yield "    filter_chains:"
    yield "    - filters:"
    yield "      - name: envoy.filters.network.http_connection_manager"
    yield "        typed_config:"
    manager = "filters.network.http_connection_manager.v3.HttpConnectionManager"
    yield f'          "@type": {_TYPES}.{manager}'
    yield "          stat_prefix: grantway"
    yield "          # Set X-Forwarded-For to the caller's address."
    yield "          use_remote_address: true"
    yield "          # Drop headers such as X_Tenant, which some servers read as X-Tenant."
    yield "          common_http_protocol_options: {headers_with_underscores_action: DROP_HEADER}"
    if injected:
        yield from _indented(10, NO_TOKEN)
    yield "          route_config:"
    yield "            virtual_hosts:"
    for site in plan.sites:
        yield from _indented(12, _virtual_host(plan, site))
    yield "          http_filters:"
    yield "          # Name the route that Envoy chose: the gateway gives no token for another one."
    yield "          - name: envoy.filters.http.header_mutation"
    yield "            typed_config:"
    yield f'              "@type": {_TYPES}.filters.http.header_mutation.v3.HeaderMutation'
    yield from _indented(10, _authorization(plan, service))
    yield "          - name: envoy.filters.http.router"
    yield "            typed_config:"
    yield f'              "@type": {_TYPES}.filters.http.router.v3.Router'
    yield "  clusters:"
    yield from _indented(2, _clusters(plan, injected))


def _clusters(plan: Plan, injected: Iterable[FrontRoute]) -> Iterator[str]:
    yield from _cluster("grantway", _gateway(plan.authorize), 5.0)
    if plan.grpc:
        yield from _cluster("grantway_grpc", _gateway(plan.grpc), 5.0)
        yield from _indented(2, _protocol(f"http2_protocol_options: {{{_KEEPALIVE}}}"))
    if plan.pages_path:
        yield from _cluster("grantway_pages", _gateway(plan.gateway), 5.0)
    for route in plan.routes:
        name = f"grantway_to_{route.name}"
        yield from _cluster(name, route.upstream, route.connect_timeout)
    for route in injected:
        name = f"grantway_injected_{route.name}"
        yield from _cluster(name, route.upstream, route.connect_timeout)
        yield from _indented(2, _protocol("http_protocol_options: {}"))
        yield from _indented(6, injector(route))


def _gateway(authority: str) -> Upstream:
    host, _, port = authority.rpartition(":")
    return Upstream("http", host, int(port), "")


def _is_injected(plan: Plan, route: FrontRoute) -> bool:
    """Return whether Envoy adds the token of a route by itself."""
    return bool(plan.grpc) and route.shared


def _virtual_host(plan: Plan, site: Site) -> Iterator[str]:
    domains = [site.host, f"{site.host}:*"] if site.host else ["*"]
    yield f"- name: {json.dumps(site.host or 'any')}"
    yield f"  domains: {json.dumps(domains)}"
    yield f"  routes:{'' if site.routes or plan.metadata_path else ' []'}"
    if plan.pages_path:
        yield "  # The pages on which users connect accounts. The gateway itself serves them."
        yield f"  - match: {{path_separated_prefix: {json.dumps(plan.pages_path)}}}"
        yield "    route: {cluster: grantway_pages}"
        yield from _without_authorization()
    if plan.metadata_path:
        yield "  # Where callers get a token (RFC 9728)."
        yield f"  - match: {{path: {json.dumps(plan.metadata_path)}}}"
        host = json.dumps(plan.authorize)
        yield f"    route: {{cluster: grantway, host_rewrite_literal: {host}}}"
        yield from _without_authorization()
    for route in site.routes:
        yield from _indented(2, _websockets(route))
        if _is_injected(plan, route):
            for events in (True, False):
                forwarding = _forwarding(route, events=events)
                yield from _indented(2, injected_route(route, forwarding, _accept(events=events)))
        for events in (True, False):
            yield from _indented(2, _route(route, events=events))


def _without_authorization() -> Iterator[str]:
    yield "    typed_per_filter_config:"
    yield "      envoy.filters.http.ext_authz:"
    yield f'        "@type": {_TYPES}.filters.http.ext_authz.v3.ExtAuthzPerRoute'
    yield "        disabled: true"


def _accept(*, events: bool) -> str:
    """Return the condition for requests for event streams, or for others."""
    text = "{contains: text/event-stream, ignore_case: true}"
    return f"{{name: accept, string_match: {text}}}" if events else ""


def _forwarding(route: FrontRoute, *, events: bool) -> str:
    rewrite = (
        "" if route.keep_host else f", host_rewrite_literal: {json.dumps(route.upstream.authority)}"
    )
    # The other timeout of Envoy limits whole responses, also those that never end.
    idle = route.idle_timeout if events else route.answer_timeout
    return f"timeout: 0s, idle_timeout: {idle:g}s{rewrite}"


def _path(route: FrontRoute) -> str:
    return f"path_separated_prefix: {json.dumps(route.path)}" if route.path else 'prefix: "/"'


def _websockets(route: FrontRoute) -> Iterator[str]:
    """Yield the lines of the route for WebSocket handshakes, the only upgrades that pass."""
    yield "# WebSocket handshakes (RFC 6455), which have no body."
    yield "- match:"
    yield f"    {_path(route)}"
    yield "    headers:"
    yield '    - {name: ":method", string_match: {exact: GET}}'
    yield f"    - {{name: upgrade, string_match: {{exact: {WEBSOCKET}, ignore_case: true}}}}"
    pattern = json.dumps("(?i)(keep-alive *, *)?upgrade")
    yield f"    - {{name: connection, string_match: {{safe_regex: {{regex: {pattern}}}}}}}"
    yield "    - {name: content-length, present_match: true, invert_match: true}"
    upgrade = f"upgrade_configs: [{{upgrade_type: {WEBSOCKET}}}]"
    yield from _forwarded(route, f"{_forwarding(route, events=True)}, {upgrade}", f" {WEBSOCKET}")


def _route(route: FrontRoute, *, events: bool) -> Iterator[str]:
    match = _path(route)
    if events:
        yield "# Event streams may be silent for longer than other responses."
        match += f", headers: [{_accept(events=True)}]"
    yield f"- match: {{{match}}}"
    yield from _forwarded(route, _forwarding(route, events=events))


def _forwarded(route: FrontRoute, forwarding: str, protocol: str = "") -> Iterator[str]:
    yield f"  route: {{cluster: grantway_to_{route.name}, {forwarding}}}"
    yield f"  request_headers_to_remove: [{_ROUTE}]"
    yield "  typed_per_filter_config:"
    yield "    envoy.filters.http.header_mutation:"
    yield f'      "@type": {_TYPES}.filters.http.header_mutation.v3.HeaderMutationPerRoute'
    yield "      mutations:"
    yield "        request_mutations:"
    yield "        - append:"
    yield f"            header: {{key: {_ROUTE}, value: {json.dumps(route.name + protocol)}}}"
    yield "            append_action: OVERWRITE_IF_EXISTS_OR_ADD"
    yield "        # Headers of callers that upstreams may trust."
    for name in ORIGIN_HEADERS:
        yield f"        - remove: {name.lower()}"


def _authorization(plan: Plan, service: Iterator[str]) -> Iterator[str]:
    yield "- name: envoy.filters.http.ext_authz"
    yield "  typed_config:"
    yield f'    "@type": {_TYPES}.filters.http.ext_authz.v3.ExtAuthz'
    yield "    transport_api_version: V3"
    yield "    failure_mode_allow: false"
    yield "    status_on_error: {code: ServiceUnavailable}"
    yield "    # The gateway also gets the method, host, path and Authorization. Callers choose"
    yield "    # their tenant unless something trusted sets or checks the header that names it."
    yield "    allowed_headers:"
    yield "      patterns:"
    if all(route.cacheable or route.keeps for route in plan.routes):
        # The last two are those of WebSocket handshakes.
        names = {"authorization", _ROUTE, *plan.tenant_headers, "origin", "sec-fetch-site"}
        if any(route.preflight for route in plan.routes):
            names.add("access-control-request-method")
        for name in sorted(names):
            yield f"      - {{exact: {name}}}"
    else:
        yield '      - {safe_regex: {regex: ".*"}}'
    yield from _indented(4, service)


def _grpc_service(plan: Plan) -> Iterator[str]:
    yield "# Send repeated headers one by one."
    yield "encode_raw_headers: true"
    yield "grpc_service:"
    yield "  envoy_grpc: {cluster_name: grantway_grpc}"
    yield f"  timeout: {plan.token_timeout}s"


def _http_service(plan: Plan) -> Iterator[str]:
    yield "http_service:"
    yield f"  path_prefix: {json.dumps(plan.envoy_prefix)}"
    yield "  server_uri:"
    yield f"    uri: http://{plan.authorize}"
    yield "    cluster: grantway"
    yield f"    timeout: {plan.token_timeout}s"
    yield "  authorization_response:"
    yield "    allowed_upstream_headers:"
    yield "      patterns:"
    for name in plan.token_headers:
        yield f"      - {{exact: {name.lower()}}}"


def _protocol(version: str) -> Iterator[str]:
    yield "typed_extension_protocol_options:"
    yield "  envoy.extensions.upstreams.http.v3.HttpProtocolOptions:"
    yield f'    "@type": {_TYPES}.upstreams.http.v3.HttpProtocolOptions'
    yield f"    explicit_http_config: {{{version}}}"


def _cluster(name: str, upstream: Upstream, timeout: float) -> Iterator[str]:
    host = upstream.host.strip("[]")
    at = f"{{socket_address: {{address: {json.dumps(host)}, port_value: {upstream.port}}}}}"
    yield f"- name: {name}"
    yield f"  type: {'STATIC' if _is_address(host) else 'STRICT_DNS'}"
    yield f"  connect_timeout: {timeout:g}s"
    yield "  load_assignment:"
    yield f"    cluster_name: {name}"
    yield f"    endpoints: [{{lb_endpoints: [{{endpoint: {{address: {at}}}}}]}}]"
    if upstream.scheme == "https":
        bundle = upstream.ca_bundle or "/etc/ssl/certs/ca-certificates.crt"
        san = "IP_ADDRESS" if _is_address(host) else "DNS"
        yield "  transport_socket:"
        yield "    name: envoy.transport_sockets.tls"
        yield "    typed_config:"
        yield f'      "@type": {_TYPES}.transport_sockets.tls.v3.UpstreamTlsContext'
        if san == "DNS":
            yield f"      sni: {json.dumps(host)}"
        yield "      common_tls_context:"
        yield "        validation_context:"
        yield f"          trusted_ca: {{filename: {json.dumps(bundle)}}}"
        yield "          match_typed_subject_alt_names:"
        yield f"          - {{san_type: {san}, matcher: {{exact: {json.dumps(host)}}}}}"


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _indented(spaces: int, lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        yield f"{' ' * spaces}{line}"
