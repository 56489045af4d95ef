"""The configuration of nginx, which caches tokens of the gateway for a few seconds."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from grantway_plugins.gateway._running.cached_responses import CACHED, WEBSOCKET

from .nginx_maps import maps
from .plan import ORIGIN_HEADERS, FrontRoute, Plan, Site


def nginx(plan: Plan) -> str:
    """Return the configuration of nginx, for its ``http`` block."""
    return "\n".join(_lines(plan)) + "\n"


def _lines(plan: Plan) -> Iterator[str]:
    yield from maps(plan)
    yield ""
    yield "# The names of upstreams are resolved when nginx starts or reloads."
    yield from _upstream("authorize", plan.authorize)
    if plan.pages_path:
        yield from _upstream("pages", plan.gateway)
    for route in plan.routes:
        yield from _upstream(f"to_{route.name}", route.upstream.address)
    for site in plan.sites:
        yield from _server(plan, site)


def _upstream(name: str, address: str) -> Iterator[str]:
    yield f"upstream grantway_{name} {{"
    yield f"    server {address};"
    yield "    keepalive 32;"
    yield "}"


def _server(plan: Plan, site: Site) -> Iterator[str]:
    host, port = plan.listen
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    yield ""
    yield "server {"
    yield f"    listen {address}{'' if site.host else ' default_server'};"
    yield f"    server_name {site.host or '_'};"
    yield f"    client_max_body_size {plan.body_bytes};"
    yield "    # Drop headers such as X_Tenant, which some servers read as X-Tenant."
    yield "    ignore_invalid_headers on;"
    yield "    underscores_in_headers off;"
    if plan.metadata_path:
        yield ""
        yield from _indented(_metadata(plan))
    if plan.pages_path:
        yield ""
        yield from _indented(_pages(plan))
    for route in site.routes:
        yield ""
        yield from _indented(_forwarding(plan, route))
    if all(route.path for route in site.routes):
        yield ""
        yield "    location / {"
        yield "        return 404;"
        yield "    }"
    for route in site.routes:
        for websocket in (False, True):
            yield ""
            yield from _indented(_authorization(plan, route, websocket=websocket))
    yield ""
    yield "    # nginx turns statuses other than 2xx, 401 and 403 into 500: there is no token now."
    yield "    location @grantway_no_token {"
    yield "        return 503;"
    yield "    }"
    yield "}"


def _metadata(plan: Plan) -> Iterator[str]:
    yield "# Where callers get a token (RFC 9728). The fixed path reaches nothing else."
    yield f"location = {plan.metadata_path} {{"
    yield f"    proxy_pass http://grantway_authorize{plan.metadata_path};"
    yield "    proxy_http_version 1.1;"
    yield "    proxy_pass_request_body off;"
    yield "    proxy_pass_request_headers off;"
    yield '    proxy_set_header Content-Length "";'
    yield '    proxy_set_header Connection "";'
    yield f"    proxy_set_header Host {plan.authorize};"
    yield "}"


def _pages(plan: Plan) -> Iterator[str]:
    yield "# The pages on which users connect accounts. The gateway itself serves them."
    yield f'location ~ "^{re.escape(plan.pages_path)}(?:/|$)" {{'
    yield "    proxy_pass http://grantway_pages;"
    yield "    proxy_http_version 1.1;"
    yield '    proxy_set_header Connection "";'
    yield "    proxy_set_header Host $http_host;"
    yield "    proxy_set_header X-Forwarded-For $remote_addr;"
    yield "    proxy_set_header X-Forwarded-Host $host;"
    yield "    proxy_set_header X-Forwarded-Proto $scheme;"
    yield from _certificate(plan)
    yield "}"


def _certificate(plan: Plan) -> Iterator[str]:
    if plan.certificate_header:
        source = "grantway_certificate" if plan.certificate_callers else "ssl_client_escaped_cert"
        yield "    # Replaces the caller's header, also without a certificate."
        yield f"    proxy_set_header {plan.certificate_header} ${source};"


def _forwarding(plan: Plan, route: FrontRoute) -> Iterator[str]:
    # Regular expressions are tried in this order, so the longest path comes first.
    pattern = f'~ "^{re.escape(route.path)}(?:/|$)"' if route.path else "/"
    yield f"location {pattern} {{"
    yield "    if ($grantway_websocket) {"
    yield "        return 419;"
    yield "    }"
    yield f"    error_page 419 = @grantway_websocket_{route.name};"
    yield "    if ($grantway_events) {"
    yield "        return 418;"
    yield "    }"
    yield f"    error_page 418 = @grantway_events_{route.name};"
    yield f"    proxy_read_timeout {route.answer_timeout:g}s;"
    yield from _common(plan, route)
    yield "}"
    yield f"location @grantway_events_{route.name} {{"
    yield "    recursive_error_pages on;"
    yield "    proxy_buffering off;"
    yield f"    proxy_read_timeout {route.idle_timeout:g}s;"
    yield from _common(plan, route)
    yield "}"
    yield f"location @grantway_websocket_{route.name} {{"
    yield "    recursive_error_pages on;"
    yield f"    proxy_read_timeout {route.idle_timeout:g}s;"
    yield f"    proxy_set_header Upgrade {WEBSOCKET};"
    yield from _common(plan, route, websocket=True)
    yield "}"


def _common(plan: Plan, route: FrontRoute, *, websocket: bool = False) -> Iterator[str]:
    """Yield what is the same for all requests of a route."""
    upstream = route.upstream
    yield f"    auth_request {_check(route, websocket=websocket)};"
    yield f"    auth_request_set $grantway_token $upstream_http_{_variable(route.header)};"
    if route.verified:
        yield "    # nginx itself returns only the challenge of a 401."
        yield "    auth_request_set $grantway_challenge $upstream_http_www_authenticate;"
        yield "    add_header WWW-Authenticate $grantway_forbidden always;"
        if plan.nonces:
            yield "    auth_request_set $grantway_nonce $upstream_http_dpop_nonce;"
            yield "    add_header DPoP-Nonce $grantway_nonce always;"
    if route.connects:
        yield "    # Where a user without a connection connects an account."
        yield "    auth_request_set $grantway_connect $upstream_http_connect_url;"
        yield "    add_header Connect-URL $grantway_connect always;"
    yield "    error_page 500 = @grantway_no_token;"
    yield f"    proxy_pass {upstream.scheme}://grantway_to_{route.name};"
    yield "    proxy_http_version 1.1;"
    yield f"    proxy_connect_timeout {route.connect_timeout:g}s;"
    if upstream.scheme == "https":
        bundle = upstream.ca_bundle or "/etc/ssl/certs/ca-certificates.crt"
        yield "    proxy_ssl_verify on;"
        yield "    proxy_ssl_server_name on;"
        yield f"    proxy_ssl_name {upstream.host.strip('[]')};"
        yield f"    proxy_ssl_trusted_certificate {_quoted(bundle)};"
    yield f"    proxy_set_header Connection {'upgrade' if websocket else _quoted('')};"
    yield f"    proxy_set_header Host {'$host' if route.keep_host else upstream.authority};"
    yield "    # Without a token the value is empty, and nginx omits the header."
    yield f"    proxy_set_header {route.header} $grantway_token;"
    if route.header.lower() != "authorization":
        yield '    proxy_set_header Authorization "";'
    if route.tenant_header and route.tenant_header != route.header.lower():
        yield "    # Callers choose the tenant unless something trusted sets or checks this header."
        yield f"    proxy_set_header {_title(route.tenant_header)} {_tenant(route)};"
    yield "    proxy_set_header X-Forwarded-For $remote_addr;"
    yield "    proxy_set_header X-Forwarded-Host $host;"
    yield "    proxy_set_header X-Forwarded-Proto $scheme;"
    yield "    # Remove other headers of callers that the upstream trusts."
    for name in (*ORIGIN_HEADERS, *plan.ended_headers):
        yield f'    proxy_set_header {name} "";'


def _check(route: FrontRoute, *, websocket: bool) -> str:
    """Return the path of the subrequest that gets the token."""
    return f"/.grantway/{f'{WEBSOCKET}/' if websocket else ''}{route.name}"


def _authorization(plan: Plan, route: FrontRoute, *, websocket: bool) -> Iterator[str]:
    cached = (route.cacheable or route.per_caller) and plan.cache_seconds > 0 and not websocket
    per_caller = route.per_caller and cached
    suffix = "$grantway_cached" if per_caller else CACHED
    yield f"location = {_check(route, websocket=websocket)} {{"
    yield "    internal;"
    yield f"    proxy_pass http://grantway_authorize{plan.nginx_path}{suffix if cached else ''};"
    yield "    proxy_http_version 1.1;"
    yield f"    proxy_read_timeout {plan.token_timeout}s;"
    yield "    proxy_pass_request_body off;"
    if cached:
        yield "    # The gateway gets only what is part of the cache's key."
        yield "    proxy_pass_request_headers off;"
    elif websocket:
        yield "    # Not cached: the gateway checks the Origin of each handshake."
    elif plan.cache_seconds > 0:
        yield "    # Not cached: the token depends on other headers of the request."
    yield '    proxy_set_header Content-Length "";'
    yield '    proxy_set_header Connection "";'
    yield f"    proxy_set_header Host {plan.authorize};"
    name = _quoted(f"{route.name} {WEBSOCKET}") if websocket else route.name
    yield f"    proxy_set_header X-Grantway-Route {name};"
    yield "    proxy_set_header X-Original-URI $request_uri;"
    yield "    proxy_set_header X-Original-Method $request_method;"
    yield f"    proxy_set_header X-Forwarded-Host $host{'$grantway_port' if websocket else ''};"
    yield from _certificate(plan)
    if route.tenant_header:
        yield f"    proxy_set_header {_title(route.tenant_header)} {_tenant(route)};"
    if per_caller:
        yield "    proxy_set_header Authorization $http_authorization;"
        yield "    # Nothing is cached if there is one."
        yield "    proxy_set_header DPoP $http_dpop;"
        yield "    # A cached response begins with its key, which contains the caller's token."
        yield "    proxy_buffer_size 16k;"
        yield "    proxy_buffers 4 16k;"
    if route.preflight:
        yield "    proxy_set_header Origin $http_origin;"
        yield (
            "    proxy_set_header Access-Control-Request-Method"
            " $http_access_control_request_method;"
        )
    if cached:
        yield from _caching(route)
    yield "}"


def _caching(route: FrontRoute) -> Iterator[str]:
    uncached = " ".join(
        ["$grantway_preflight"] * route.preflight + ["$http_dpop"] * route.per_caller
    )
    if uncached:
        yield f"    proxy_cache_bypass {uncached};"
        yield f"    proxy_no_cache {uncached};"
    yield "    proxy_cache grantway;"
    yield f'    proxy_cache_key "{" ".join(_key(route))}";'
    yield "    # The key contains the values of these headers."
    yield "    proxy_ignore_headers Vary;"
    yield "    # The gateway itself sends one token request for all that wait for a token, and"
    yield "    # allows one second of use while nginx asks again. With a lock, waiting requests"
    yield "    # would look for the response only every 500 ms."
    yield "    proxy_cache_lock off;"
    yield "    proxy_cache_use_stale off;"
    yield "    # nginx opens a new file for each response, so this never shows an old one."
    yield "    open_file_cache max=10000 inactive=10s;"


def _key(route: FrontRoute) -> Iterator[str]:
    """Return the parts of a cache key: only the last ones can contain spaces."""
    yield route.name
    yield "$request_method $host $grantway_path"
    if route.tenant_segment:
        yield f"$grantway_segment_{route.tenant_segment}"
    if route.tenant_header:
        yield _tenant(route)
    if route.per_caller:
        # A request with an equal key has this token, whatever the parts before it contain.
        yield "$http_authorization"


def _tenant(route: FrontRoute) -> str:
    return f"$http_{_variable(route.tenant_header)}"


def _variable(header: str) -> str:
    return header.lower().replace("-", "_")


def _title(header: str) -> str:
    return "-".join(word.capitalize() for word in header.split("-"))


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _indented(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        yield f"    {line}"
