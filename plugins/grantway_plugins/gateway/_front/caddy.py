"""The configuration of Caddy, which gets tokens from the gateway with ``forward_auth``."""

from __future__ import annotations

import json
from collections.abc import Iterator

from .plan import EVENTS_BODY_BYTES, ORIGIN_HEADERS, FrontRoute, Plan, Site

_HEAD = """\
# Created by: grantway gateway config caddy --config {source}
# Create it again after changes of routes, [authorize] or timeouts in that file.
#
# Use Caddy 2.11.2 or newer: older versions keep the caller's header if there is no token. Caddy
# does not cache responses of forward_auth: it asks the gateway for each request. For TLS, replace
# http:// in the addresses of sites.
"""


def caddy(plan: Plan) -> str:
    """Return the configuration of Caddy, as a Caddyfile.

    Raises:
        ConfigurationError: A route forwards encoded paths, which Caddy changes.
    """
    plan.check_unchanged_paths("Caddy")
    return "\n".join(_lines(plan)) + "\n"


def _lines(plan: Plan) -> Iterator[str]:
    yield _HEAD.format(source=plan.source)
    for site in plan.sites:
        yield from _site(plan, site)


def _site(plan: Plan, site: Site) -> Iterator[str]:
    host, port = plan.listen
    named = "|".join(plan.token_headers)
    yield f"http://{site.host}:{port} {{"
    yield f"\tbind {host}"
    yield "\troute {"
    if plan.certificate_header:
        mode = "verify_if_given" if plan.certificate_callers else "request"
        yield "\t\t# For certificates of callers, add TLS to the site, with client_auth and mode"
        yield f"\t\t# {mode}. This replaces the caller's header, also without a certificate."
        certificate = "{http.request.tls.client.certificate_der_base64}"
        yield f'\t\trequest_header {plan.certificate_header} "{certificate}"'
    yield "\t\t# Caddy removes headers that Connection lists, which could remove the token."
    yield f"\t\t@drops header_regexp Connection (?i)({named})"
    yield "\t\trespond @drops 400"
    yield f"\t\trequest_body {{\n\t\t\tmax_size {plan.body_bytes}\n\t\t}}"
    if plan.metadata_path:
        yield "\t\t# Where callers get a token (RFC 9728). The fixed path reaches nothing else."
        yield f"\t\thandle {plan.metadata_path} {{"
        yield f"\t\t\trewrite * {plan.metadata_path}"
        yield f"\t\t\treverse_proxy {plan.authorize} {{\n\t\t\t\theader_up Host {plan.authorize}"
        yield "\t\t\t}\n\t\t}"
    if plan.pages_path:
        yield "\t\t# The pages on which users connect accounts. The gateway itself serves them."
        yield f"\t\t@pages path {plan.pages_path} {plan.pages_path}/*"
        yield f"\t\thandle @pages {{\n\t\t\treverse_proxy {plan.gateway}\n\t\t}}"
    if site.routes:
        yield "\t\t# Requests whose responses may be event streams. Caddy reads their bodies first:"
        yield "\t\t# Go's HTTP/1.1 server closes a body that is still being forwarded when the"
        yield "\t\t# response begins, and Caddy then cuts off the response."
        yield "\t\t@events {\n\t\t\tmethod POST"
        yield "\t\t\theader_regexp Accept (?i)text/event-stream\n\t\t}"
    for number, route in enumerate(site.routes):
        yield from _route(plan, route, number)
    yield "\t\trespond 404"
    yield "\t}"
    yield "}"


def _route(plan: Plan, route: FrontRoute, number: int) -> Iterator[str]:
    matcher = f"@route{number} " if route.path else ""
    if route.path:
        yield f"\t\t@route{number} path {route.path} {route.path}/*"
    yield f"\t\thandle {matcher}{{"
    yield "\t\t\t# Headers of callers that upstreams may trust."
    for name in ORIGIN_HEADERS:
        yield f"\t\t\trequest_header -{name}"
    yield f"\t\t\tforward_auth {plan.authorize} {{"
    yield f"\t\t\t\turi {plan.forward_auth_path}"
    yield "\t\t\t\t# The gateway gives no token if the request belongs to another route."
    yield f"\t\t\t\theader_up X-Grantway-Route {route.name}"
    yield f"\t\t\t\tcopy_headers {' '.join(plan.token_headers)}"
    yield f"\t\t\t\ttransport http {{\n\t\t\t\t\tresponse_header_timeout {plan.token_timeout}s"
    yield "\t\t\t\t}"
    yield "\t\t\t}"
    for events in (True, False):
        yield from _forwarding(plan, route, events=events)
    yield "\t\t}"


def _forwarding(plan: Plan, route: FrontRoute, *, events: bool) -> Iterator[str]:
    matcher = "@events " if events else ""
    yield f"\t\t\treverse_proxy {matcher}{route.upstream.scheme}://{route.upstream.address} {{"
    if events:
        yield f"\t\t\t\trequest_buffers {EVENTS_BODY_BYTES}"
    if not route.keep_host:
        yield f"\t\t\t\theader_up Host {route.upstream.authority}"
    for name in plan.ended_headers:
        yield f"\t\t\t\theader_up -{name}"
    yield "\t\t\t\ttransport http {"
    yield f"\t\t\t\t\tdial_timeout {route.connect_timeout:g}s"
    yield f"\t\t\t\t\tresponse_header_timeout {route.answer_timeout:g}s"
    if route.upstream.ca_bundle:
        yield f"\t\t\t\t\ttls_trust_pool file {json.dumps(route.upstream.ca_bundle)}"
    yield "\t\t\t\t}"
    yield "\t\t\t}"
