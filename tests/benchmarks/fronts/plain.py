"""Configurations of proxies that only forward requests, with persistent connections."""

from __future__ import annotations

from urllib.parse import urlsplit

_HOST = "127.0.0.1"
_ENVOY = """
static_resources:
  secrets:
  - {{name: secret, generic_secret: {{secret: {{inline_string: secret}}}}}}
  listeners:
  - address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": {types}.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: plain
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes: [{{match: {{prefix: /}}, route: {{cluster: up}}}}]
          http_filters:
{filters}
          - name: envoy.filters.http.router
            typed_config: {{"@type": {types}.filters.http.router.v3.Router}}
  clusters:
"""
_INJECTOR = """\
          - name: envoy.filters.http.credential_injector
            typed_config:
              "@type": {types}.filters.http.credential_injector.v3.CredentialInjector
              overwrite: true
              credential:
                name: envoy.http.injected_credentials.oauth2
                typed_config:
                  "@type": {types}.http.injected_credentials.oauth2.v3.OAuth2
                  token_endpoint: {{cluster: provider, uri: "{url}/token", timeout: 30s}}
                  client_credentials: {{client_id: gateway, client_secret: {{name: secret}}}}
"""
_CLUSTER = """\
  - name: {name}
    connect_timeout: 5s
    load_assignment:
      cluster_name: {name}
      endpoints:
      - lb_endpoints:
        - endpoint:
            address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
"""
_TYPES = "type.googleapis.com/envoy.extensions"


def nginx(port: int, upstream: int) -> str:
    """Return the contents of nginx's ``http`` block."""
    return (
        f"upstream behind {{ server {_HOST}:{upstream}; keepalive 32; }}\n"
        f"server {{ listen {_HOST}:{port}; location / {{ proxy_pass http://behind;\n"
        'proxy_http_version 1.1; proxy_set_header Connection ""; } }\n'
    )


def envoy(port: int, upstream: int, provider: str = "") -> str:
    """Return a configuration of Envoy.

    Args:
        port: TCP port of the proxy.
        upstream: TCP port of the upstream.
        provider: URL of the token endpoint from which Envoy gets a token; empty for none.
    """
    filters = _INJECTOR.format(types=_TYPES, url=provider) if provider else ""
    text = _ENVOY.format(types=_TYPES, port=port, filters=filters.rstrip("\n"))
    text += _CLUSTER.format(name="up", port=upstream)
    if provider:
        text += _CLUSTER.format(name="provider", port=urlsplit(provider).port)
    return text


def traefik(upstream: int) -> str:
    """Return a dynamic configuration of Traefik."""
    return (
        '[http.routers.all]\nentryPoints = ["web"]\nrule = "PathPrefix(`/`)"\nservice = "up"\n'
        f'[[http.services.up.loadBalancer.servers]]\nurl = "http://{_HOST}:{upstream}"\n'
    )


def caddy(port: int, upstream: int) -> str:
    """Return a Caddyfile."""
    return f"http://:{port} {{\n\tbind {_HOST}\n\treverse_proxy {_HOST}:{upstream}\n}}\n"


def haproxy(port: int, upstream: int) -> str:
    """Return a configuration of HAProxy."""
    return (
        "defaults\n    mode http\n    timeout client 60s\n    timeout connect 5s\n"
        f"    timeout server 60s\nfrontend plain\n    bind {_HOST}:{port}\n"
        f"    default_backend up\nbackend up\n    server up {_HOST}:{upstream}\n"
    )
