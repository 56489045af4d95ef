"""The first part of the configuration of nginx: the cache, and the variables of requests."""

from __future__ import annotations

from collections.abc import Iterator

from grantway_plugins.gateway._running.cached_responses import CACHED

from .plan import Plan

_HEAD = """\
# Created by: grantway gateway config nginx --config {source}
# Create it again after changes of routes, [authorize] or timeouts in that file.
#
# Include it in the http block, for example as /etc/nginx/conf.d/grantway.conf. It needs the module
# auth_request, which Debian and others include. Add TLS to each server: listen 443 ssl, ...
"""
_CACHE = """
# Responses of the gateway contain tokens: keep them in a memory file system that only nginx can
# read. The gateway says how long each may be used: at most {seconds} s (cache_seconds), and not
# after the gateway refreshes its token. Without proxy_cache_valid, denials are not cached.
proxy_cache_path /run/grantway-nginx levels=1:2 keys_zone=grantway:10m max_size=64m inactive=10s
                 use_temp_path=off;

# Part of the cache's key. A path that every server reads alike selects the same token as all other
# such paths of its location. Each other path has a separate response.
map $request_uri $grantway_path {{
    "~^(?:/(?![/.])[A-Za-z0-9._~!$&'()*+,=:@-]*)+(?:\\?|$)" plain;
    default $request_uri;
}}
"""
_SEGMENT = """
# Segment {number} of the path, which names the tenant.
map $request_uri $grantway_segment_{number} {{
    "~^(?:/[^/?]*){{{before}}}/([^/?]*)" $1;
    default "";
}}
"""
_PREFLIGHT = """
# Web pages' CORS preflights have no token, so they are not looked up in the cache.
map $request_method $grantway_preflight {
    OPTIONS 1;
    default "";
}
"""
_PROOF = """
# A caller's proof of possession (DPoP) is for one request, so the gateway checks each of them.
map $http_dpop $grantway_cached {{
    "" {cached};
    default "";
}}
"""
_EVENTS = """
# Requests for event streams, which pass at once and may be silent for longer.
map $http_accept $grantway_events {
    "~*text/event-stream" 1;
    default "";
}
"""
_WEBSOCKETS = """
# WebSocket handshakes (RFC 6455), which have no body. nginx forwards no other upgrade.
map "$request_method $server_protocol $http_content_length$http_transfer_encoding $http_upgrade"
    $grantway_handshake {
    "~*^GET HTTP/1\\.1  websocket$" $http_connection;
    default "";
}
map $grantway_handshake $grantway_websocket {
    "~*^(?:keep-alive *, *)?upgrade$" 1;
    default "";
}
# The gateway compares the Origin of a handshake with host and port of the request.
map $http_host $grantway_port {
    "~(:[0-9]+)$" $1;
    default "";
}
"""
_CHALLENGE = """
# Requirements that a verified caller's token does not meet.
map $status $grantway_forbidden {
    403 $grantway_challenge;
    default "";
}
"""
_CERTIFICATE = """
# For certificates of callers, add to each server, with TLS: ssl_verify_client optional_no_ca;
"""
_VERIFIED_CERTIFICATE = """
# For certificates of callers, add to each server, with TLS: ssl_verify_client optional; and
# ssl_client_certificate with the authorities. The gateway trusts the certificate that it gets.
map $ssl_client_verify $grantway_certificate {
    SUCCESS $ssl_client_escaped_cert;
    default "";
}
"""


def maps(plan: Plan) -> Iterator[str]:
    """Yield the lines before the upstreams and servers."""
    yield _HEAD.format(source=plan.source).rstrip("\n")
    cached = plan.cache_seconds > 0 and any(
        route.cacheable or route.per_caller for route in plan.routes
    )
    if cached:
        yield _CACHE.format(seconds=plan.cache_seconds).rstrip("\n")
        for number in sorted({route.tenant_segment for route in plan.routes} - {0}):
            yield _SEGMENT.format(number=number, before=number - 1).rstrip("\n")
        if any(route.preflight for route in plan.routes):
            yield _PREFLIGHT.rstrip("\n")
        if any(route.per_caller for route in plan.routes):
            yield _PROOF.format(cached=CACHED).rstrip("\n")
    yield _EVENTS.rstrip("\n")
    yield _WEBSOCKETS.rstrip("\n")
    if any(route.verified for route in plan.routes):
        yield _CHALLENGE.rstrip("\n")
    if plan.certificate_header:
        text = _VERIFIED_CERTIFICATE if plan.certificate_callers else _CERTIFICATE
        yield text.rstrip("\n")
