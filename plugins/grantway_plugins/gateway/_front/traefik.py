"""The configuration of Traefik, which gets tokens from the gateway with ForwardAuth."""

from __future__ import annotations

import json
from collections.abc import Iterator

from .plan import EVENTS_BODY_BYTES, ORIGIN_HEADERS, FrontRoute, Plan, Site

_HEAD = """\
# Created by: grantway gateway config traefik --config {source}
# Create it again after changes of routes, [authorize] or timeouts in that file.
#
# Use Traefik 3.7 or newer: older versions reject the middleware that reads bodies (retry, status).
# This is the dynamic configuration. The static one names it and the address:
#   [entryPoints.web]
#   address = "{listen}"
#   [providers.file]
#   filename = "dynamic.toml"
#
# Traefik does not cache responses of ForwardAuth: it asks the gateway for each request. Do not set
# trustForwardHeader, unless another proxy is in front of Traefik and sets X-Forwarded-*: callers
# would choose the host and path that the gateway checks.

# The response has the token; without one, Traefik removes the caller's header.
[http.middlewares.grantway.forwardAuth]
address = "http://{authorize}{path}"
authResponseHeaders = {headers}

# Reads the body of a request before it is forwarded: Go's HTTP/1.1 server closes a body that is
# still being forwarded when the response begins, and Traefik then cuts off the response. No
# response has the status 0, so that no request is sent again.
[http.middlewares.grantway-body.retry]
attempts = 2
status = ["0"]
disableRetryOnNetworkError = true
retryNonIdempotentMethod = true
maxRequestBodyBytes = {body}

# After the check: headers that are for the gateway only.
[http.middlewares.grantway-end.headers.customRequestHeaders]
"""
_METADATA = """\
# Where callers get a token (RFC 9728). The fixed path reaches nothing else.
[http.routers.grantway-metadata]
entryPoints = ["web"]
rule = "Path(`{path}`)"
priority = 1_000_000
service = "grantway-metadata"
middlewares = ["grantway-metadata"]

[http.middlewares.grantway-metadata.replacePath]
path = "{path}"

[http.services.grantway-metadata.loadBalancer]
passHostHeader = false
[[http.services.grantway-metadata.loadBalancer.servers]]
url = "http://{authorize}"
"""
_PAGES = """\
# The pages on which users connect accounts. The gateway itself serves them.
[http.routers.grantway-pages]
entryPoints = ["web"]
rule = "Path(`{path}`) || PathPrefix(`{path}/`)"
priority = 1_000_000
service = "grantway-pages"

[http.services.grantway-pages.loadBalancer]
[[http.services.grantway-pages.loadBalancer.servers]]
url = "http://{gateway}"
"""


def traefik(plan: Plan) -> str:
    """Return the dynamic configuration of Traefik, as TOML.

    Raises:
        ConfigurationError: A route forwards encoded paths, which Traefik changes, or the file has
            ``client_certificate_header``.
    """
    plan.check_unchanged_paths("Traefik")
    plan.check_no_certificates("Traefik")
    return "\n".join(_lines(plan)) + "\n"


def _lines(plan: Plan) -> Iterator[str]:
    head = _HEAD.format(
        source=plan.source,
        listen="{}:{}".format(*plan.listen),
        authorize=plan.authorize,
        path=plan.forward_auth_path,
        headers=json.dumps(plan.token_headers),
        body=EVENTS_BODY_BYTES,
    )
    yield head.rstrip("\n")
    yield from (f'{name} = ""' for name in plan.ended_headers)
    yield ""
    for route in plan.routes:
        yield from _middleware(route)
    for site in plan.sites:
        for route in site.routes:
            for events in (True, False):
                yield from _router(site, route, events=events)
    for route in plan.routes:
        yield from _service(route)
    if plan.metadata_path:
        yield _METADATA.format(path=plan.metadata_path, authorize=plan.authorize).rstrip("\n")
    if plan.pages_path:
        yield _PAGES.format(path=plan.pages_path, gateway=plan.gateway).rstrip("\n")


def _middleware(route: FrontRoute) -> Iterator[str]:
    yield f"[http.middlewares.{json.dumps(f'grantway-{route.name}')}.headers.customRequestHeaders]"
    yield "# The gateway gives no token if the request belongs to another route."
    yield f"X-Grantway-Route = {json.dumps(route.name)}"
    yield "# Headers of callers that upstreams may trust."
    for name in ORIGIN_HEADERS:
        yield f'{name} = ""'
    yield ""


def _router(site: Site, route: FrontRoute, *, events: bool) -> Iterator[str]:
    path = f"(Path(`{route.path}`) || PathPrefix(`{route.path}/`))" if route.path else ""
    host = f"Host(`{site.host}`)" if site.host else ""
    sent = "Method(`POST`) && HeaderRegexp(`Accept`, `(?i)text/event-stream`)" if events else ""
    rule = " && ".join(filter(None, (host, path, sent))) or "PathPrefix(`/`)"
    name = f"{route.name} {site.host}" if site.host else route.name
    if events:
        yield "# Requests whose responses may be event streams."
        name += " (events)"
    yield f"[http.routers.{json.dumps(name)}]"
    yield 'entryPoints = ["web"]'
    yield f"rule = {json.dumps(rule)}"
    # Routes of a host come first, then the longest path, then requests for event streams.
    yield f"priority = {2 * (1 + len(route.path) + (100_000 if site.host else 0)) + events}"
    yield f"service = {json.dumps(route.name)}"
    middlewares = [f"grantway-{route.name}", "grantway", "grantway-end"]
    yield f"middlewares = {json.dumps([*middlewares, *['grantway-body'] * events])}"
    yield ""


def _service(route: FrontRoute) -> Iterator[str]:
    name = json.dumps(route.name)
    yield f"[http.services.{name}.loadBalancer]"
    yield f"passHostHeader = {'true' if route.keep_host else 'false'}"
    yield f"serversTransport = {name}"
    yield f"[[http.services.{name}.loadBalancer.servers]]"
    yield f"url = {json.dumps(route.upstream.url)}"
    yield f"[http.serversTransports.{name}]"
    if route.upstream.ca_bundle:
        yield f"rootCAs = {json.dumps([route.upstream.ca_bundle])}"
    yield f"[http.serversTransports.{name}.forwardingTimeouts]"
    yield f'dialTimeout = "{route.connect_timeout:g}s"'
    yield f'responseHeaderTimeout = "{route.answer_timeout:g}s"'
    yield ""
