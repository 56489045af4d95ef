"""The configuration of HAProxy, which gets tokens from the gateway with a Lua script."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator

from grantway_plugins.gateway._running.cached_responses import CACHED

from .plan import ORIGIN_HEADERS, FrontRoute, Plan, Site

_HEAD = """\
# Created by: grantway gateway config haproxy --config {source}
# Create it again after changes of routes, [authorize] or timeouts in that file.
#
# Needs HAProxy 2.6 or newer with Lua, and the script of: grantway gateway config haproxy-lua
global
    lua-load /etc/haproxy/grantway.lua
    # The script connects to the gateway only, and the gateway sends one token request for all.
    tune.lua.session-timeout {timeout}s

defaults
    mode http
    # As long as the longest silence of an event stream (idle_timeout).
    timeout client {client}s
    timeout http-request 10s
"""
_SCRIPT = """\
-- Created by: grantway gateway config haproxy-lua --config {source}
-- Create it again after changes of routes, [authorize] or timeouts in that file.
--
-- Tokens stay in this table for as long as the gateway allows: at most {seconds} seconds
-- (cache_seconds), and not after the gateway refreshes them.
local cache, entries = {{}}, 0
local MOST_ENTRIES = 10000

local function now()
    local time = core.now()
    return time.sec + time.usec / 1000000
end

-- Whether all servers read a path alike; it then selects the same token as all such paths.
local function is_plain(path)
    return path:match("^/[A-Za-z0-9/._~!$&'()*+,=:@-]*$") and not path:find("//", 1, true)
        and not path:find("/.", 1, true)
end

local function joined(headers, name)
    local values, found = headers[name], {{}}
    if values == nil then return nil end
    for number = 0, #values do found[#found + 1] = values[number] end
    return table.concat(found, ", ")
end

local function first(headers, name)
    return headers[name] and headers[name][0] or ""
end

-- Ask the gateway. A route is {{header, tenant header, tenant segment, cacheable, preflight}}.
local function ask(name, route, method, uri, host, headers)
    local asked = {{}}
    if not route.cacheable then
        for header in pairs(headers) do
            if header ~= "content-length" and header ~= "transfer-encoding" then
                asked[header] = {{joined(headers, header)}}
            end
        end
    end
    for _, header in ipairs({{"origin", "access-control-request-method", route.tenant_header}}) do
        if headers[header] then asked[header] = {{joined(headers, header)}} end
    end
    asked["host"] = {{"{authorize}"}}
    asked["x-grantway-route"] = {{name}}
    asked["x-forwarded-method"] = {{method}}
    asked["x-forwarded-uri"] = {{uri}}
    asked["x-forwarded-host"] = {{host}}
    local path = "{path}" .. (route.cacheable and "{cached}" or "")
    return core.httpclient():get{{
        url = "http://{authorize}" .. path, headers = asked, timeout = {timeout} * 1000
    }}
end

local routes = {{
{routes}
}}

local function authorize(txn)
    local name = txn:get_var("txn.grantway_route")
    local route = routes[name]
    local method, uri = txn.sf:method(), txn.sf:pathq()
    local headers = txn.http:req_get_headers()
    local host = (first(headers, "host")):lower()
    local path, key = uri:match("^[^?]*"), nil
    if route.cacheable and method ~= "OPTIONS" then
        local number, tenant = 0, joined(headers, route.tenant_header) or ""
        for segment in path:gmatch("/([^/]*)") do
            number = number + 1
            if number == route.tenant_segment then tenant = segment end
        end
        -- No part can contain the separator.
        key = table.concat({{name, method, host, is_plain(path) and "plain" or uri, tenant}}, "\0")
    end
    local known = key and cache[key]
    if not known or now() >= known.ends then
        local response = ask(name, route, method, uri, host, headers)
        if not response or response.status ~= 200 then
            local status = response and response.status or 503
            if status < 400 or status > 503 then status = 503 end
            local reply = txn:reply{{status = status}}
            local copies = {{"connect-url", "content-type", "dpop-nonce", "www-authenticate"}}
            for _, copied in ipairs(copies) do
                local value = response and response.headers[copied]
                if value then reply:add_header(copied, value[0]) end
            end
            if response and response.body then reply:set_body(response.body) end
            txn:done(reply)
            return
        end
        known = {{token = first(response.headers, route.header), ends = 0}}
        local age = first(response.headers, "cache-control"):match("max%-age=(%d+)")
        if key and age then
            if entries >= MOST_ENTRIES then cache, entries = {{}}, 0 end
            if not cache[key] then entries = entries + 1 end
            known.ends = now() + tonumber(age)
            cache[key] = known
        end
    end
    txn.http:req_del_header("authorization")
    txn.http:req_del_header(route.header)
    if known.token ~= "" then txn.http:req_set_header(route.header, known.token) end
end

core.register_action("grantway", {{"http-req"}}, authorize, 0)
"""


def haproxy(plan: Plan) -> str:
    """Return the configuration of HAProxy."""
    return "\n".join(_lines(plan)) + "\n"


def haproxy_lua(plan: Plan) -> str:
    """Return the Lua script of the configuration."""
    return _SCRIPT.format(
        source=plan.source,
        seconds=plan.cache_seconds,
        authorize=plan.authorize,
        path=plan.forward_auth_path,
        cached=CACHED,
        timeout=plan.token_timeout,
        routes="\n".join(_entry(plan, route) for route in plan.routes),
    )


def _entry(plan: Plan, route: FrontRoute) -> str:
    cacheable = route.cacheable and plan.cache_seconds > 0
    values = {
        "header": json.dumps(route.header.lower()),
        "tenant_header": json.dumps(route.tenant_header),
        "tenant_segment": route.tenant_segment,
        "cacheable": "true" if cacheable else "false",
    }
    listed = ", ".join(f"{name} = {value}" for name, value in values.items())
    return f"    [{json.dumps(route.name)}] = {{{listed}}},"


def _lines(plan: Plan) -> Iterator[str]:
    yield _HEAD.format(
        source=plan.source,
        timeout=plan.token_timeout,
        client=math.ceil(max([60, *(route.idle_timeout for route in plan.routes)])),
    )
    yield "frontend grantway"
    yield "    bind {}:{}".format(*plan.listen)
    yield "    # Headers such as X_Tenant, which some servers read as X-Tenant."
    yield "    http-request del-header [^A-Za-z0-9-] -m reg"
    yield "    # Headers of callers that upstreams may trust."
    for name in (*ORIGIN_HEADERS, "X-Forwarded-For", "X-Forwarded-Proto"):
        yield f"    http-request del-header {name}"
    if plan.certificate_header:
        verified = " { ssl_c_verify 0 }" if plan.certificate_callers else ""
        errors = "" if plan.certificate_callers else " ca-ignore-err all crt-ignore-err all"
        yield "    # For certificates of callers, add TLS to bind, like: ssl crt FILE"
        yield f"    # verify optional ca-file FILE{errors}"
        yield f"    http-request del-header {plan.certificate_header}"
        certificate = f"{plan.certificate_header} %[ssl_c_der,base64]"
        yield f"    http-request set-header {certificate} if {{ ssl_c_used }}{verified}"
    yield "    http-request deny deny_status 501 if METH_TRACE"
    yield "    # The next proxy would remove a token whose header is listed in Connection."
    for name in plan.token_headers:
        listed = f"{{ req.hdr(connection) -m sub -i {name} }}"
        yield f"    http-request deny deny_status 400 if {listed}"
    for site in plan.sites:
        yield from _choices(site)
    own = [_metadata_condition(plan), *_pages_conditions(plan)]
    gateways = " or ".join(filter(None, own)) or "FALSE"
    found = "{ var(txn.grantway_route) -m found }"
    yield f"    http-request deny deny_status 404 unless {found} or {gateways}"
    yield "    # Adds the token, or responds for the gateway."
    yield f"    http-request lua.grantway unless {gateways}"
    for name in plan.ended_headers:
        yield f"    http-request del-header {name} unless {gateways}"
    yield "    http-request set-header X-Forwarded-For %[src]"
    yield "    http-request set-header X-Forwarded-Host %[req.hdr(host)]"
    yield from _gateway_backends(plan)
    for route in plan.routes:
        yield ""
        yield from _backend(route)


def _metadata_condition(plan: Plan) -> str:
    return f"{{ path {plan.metadata_path} }}" if plan.metadata_path else ""


def _pages_conditions(plan: Plan) -> list[str]:
    path = plan.pages_path
    return [f"{{ path {path} }}", f"{{ path_beg {path}/ }}"] if path else []


def _gateway_backends(plan: Plan) -> Iterator[str]:
    """Return the rules that choose a backend, and the backends of the gateway itself."""
    if plan.metadata_path:
        yield "    # Where callers get a token (RFC 9728)."
        yield f"    use_backend grantway_metadata if {_metadata_condition(plan)}"
    if plan.pages_path:
        yield "    # The pages on which users connect accounts. The gateway itself serves them."
        yield f"    use_backend grantway_pages if {' or '.join(_pages_conditions(plan))}"
    yield "    use_backend grantway_to_%[var(txn.grantway_route)]"
    if plan.metadata_path:
        yield "\nbackend grantway_metadata"
        yield "    timeout connect 5s"
        yield "    timeout server 5s"
        yield f"    http-request set-header Host {plan.authorize}"
        yield f"    server grantway {plan.authorize}"
    if plan.pages_path:
        yield "\nbackend grantway_pages"
        yield "    timeout connect 5s"
        yield "    timeout server 60s"
        yield f"    server grantway {plan.gateway}"


def _choices(site: Site) -> Iterator[str]:
    """Return the rules that choose the first matching route."""
    host = f"{{ req.hdr(host),host_only,lower {site.host} }} " if site.host else ""
    chosen = "!{ var(txn.grantway_route) -m found }"
    for route in site.routes:
        rule = f"    http-request set-var(txn.grantway_route) str({route.name}) if {host}"
        if not route.path:
            yield f"{rule}{chosen}"
            continue
        for path in (f"{{ path {route.path} }}", f"{{ path_beg {route.path}/ }}"):
            yield f"{rule}{path} {chosen}"


def _backend(route: FrontRoute) -> Iterator[str]:
    upstream = route.upstream
    yield f"backend grantway_to_{route.name}"
    yield f"    timeout connect {route.connect_timeout * 1000:.0f}ms"
    yield f"    timeout server {route.answer_timeout * 1000:.0f}ms"
    idle = f"{route.idle_timeout * 1000:.0f}ms"
    events = "{ req.hdr(accept) -m sub -i text/event-stream }"
    yield f"    http-request set-timeout server {idle} if {events}"
    if not route.keep_host:
        yield f"    http-request set-header Host {upstream.authority}"
    tls = ""
    if upstream.scheme == "https":
        bundle = upstream.ca_bundle or "/etc/ssl/certs/ca-certificates.crt"
        host = upstream.host.strip("[]")
        tls = f" ssl verify required ca-file {json.dumps(bundle)} verifyhost {host} sni str({host})"
    yield f"    server {route.name} {upstream.address}{tls}"
