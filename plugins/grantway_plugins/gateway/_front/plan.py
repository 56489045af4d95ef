"""The routes and addresses that a proxy's configuration contains."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from grantway._exceptions import ConfigurationError
from grantway_plugins._config.toml_file import KeyPath, Mistake
from grantway_plugins._paths import expand
from grantway_plugins.gateway._config import ConfigFile
from grantway_plugins.gateway._config.connections_tables import CONNECTION
from grantway_plugins.gateway._running.cached_responses import is_cacheable
from grantway_plugins.gateway._running.shared_token import is_shared
from grantway_plugins.gateway.upstream._tenant import tenant_header, tenant_segment
from grantway_plugins.resource._metadata import metadata_url

#: Characters of paths that all proxies write alike in a pattern.
_PATH = re.compile(r"[A-Za-z0-9/._~:@,=+-]+")
_HEADER = re.compile(r"[A-Za-z0-9-]+")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_ANY_ADDRESS = frozenset({"0.0.0.0", "::", ""})  # noqa: S104 - compared, not used
_ELSEWHERE = "cannot be expressed for a proxy in front; let the gateway forward these requests"
#: Size up to which Traefik and Caddy read the body of a ``POST`` for an event stream before they
#: forward it. Traefik occupies so much memory for each such stream.
EVENTS_BODY_BYTES = 262_144
#: Headers about the origin of a request that upstreams may trust, besides ``X-Forwarded-*``.
ORIGIN_HEADERS = (
    "CF-Connecting-IP",
    "Forwarded",
    "True-Client-IP",
    "X-Client-IP",
    "X-Forwarded-Prefix",
    "X-Original-URL",
    "X-Real-IP",
    "X-Rewrite-URL",
)


@dataclass(frozen=True, slots=True)
class Upstream:
    """The server to which a route's requests are forwarded.

    Attributes:
        scheme: ``http`` or ``https``.
        host: Host name or address; an IPv6 address has brackets.
        port: TCP port.
        ca_bundle: File of trusted certificates; empty for those of the system.
    """

    scheme: str
    host: str
    port: int
    ca_bundle: str

    @property
    def address(self) -> str:
        """Host and port."""
        return f"{self.host}:{self.port}"

    @property
    def authority(self) -> str:
        """The ``Host`` header: the host, and the port unless it is the default."""
        return self.host if self.port == _DEFAULT_PORTS[self.scheme] else self.address

    @property
    def url(self) -> str:
        """The URL without a path."""
        return f"{self.scheme}://{self.authority}"


@dataclass(frozen=True, slots=True)
class FrontRoute:
    """A route of the gateway's file.

    Attributes:
        name: Its name.
        path: Its path prefix; empty for all paths.
        upstream: Where its requests are forwarded.
        header: The header that carries the token.
        tenant_header: The header that names the tenant, in lower case, or empty.
        tenant_segment: The number of the path segment that names the tenant, or 0.
        cacheable: Whether the token depends only on host, path, method and tenant header.
        per_caller: Whether it depends, in addition, only on the ``Authorization`` header.
        connects: Whether users connect accounts for it.
        verified: Whether the gateway verifies the caller.
        keeps: Whether the caller's own token is kept.
        encoded: Whether paths that servers read differently are forwarded.
        preflight: Whether CORS preflights are forwarded without a token.
        keep_host: Whether the upstream gets the caller's ``Host``.
        shared: Whether all requests get the same token, which Envoy gets by SDS.
        opens: Whether requests are forwarded without a token if there is none.
        connect_timeout: Seconds to connect to the upstream.
        answer_timeout: Seconds without a byte from the upstream.
        idle_timeout: The same for event streams.
    """

    name: str
    path: str
    upstream: Upstream
    header: str
    tenant_header: str
    tenant_segment: int
    cacheable: bool
    per_caller: bool
    connects: bool
    verified: bool
    keeps: bool
    encoded: bool
    preflight: bool
    keep_host: bool
    shared: bool
    opens: bool
    connect_timeout: float
    answer_timeout: float
    idle_timeout: float


@dataclass(frozen=True, slots=True)
class Site:
    """The routes that apply to a host, longest path first.

    Attributes:
        host: The host; empty for all hosts without a site.
        routes: The routes.
    """

    host: str
    routes: tuple[FrontRoute, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """The contents of a proxy's configuration.

    Attributes:
        source: Path of the gateway's file.
        listen: Host and port on which the proxy listens.
        authorize: Host and port of ``[authorize]``.
        grpc: Host and port of its gRPC listener; empty if it has none.
        nginx_path: Path of the endpoint for nginx.
        forward_auth_path: Path of the endpoint for Traefik and Caddy.
        envoy_prefix: Prefix of the paths for Envoy.
        token_timeout: Seconds to wait for a token.
        body_bytes: Largest request body.
        cache_seconds: Longest use of a cached token; 0 if caching is forbidden.
        metadata_path: Path of the resource's metadata (RFC 9728), which the listener
            ``[authorize]`` serves; empty if callers are not verified.
        pages_path: Path of the pages on which users connect accounts; empty if there are none.
        gateway: Host and port of the gateway, which serves these pages.
        certificate_header: Header in which the gateway gets the caller's certificate, or empty.
        certificate_callers: Whether a certificate is enough, so that it must be verified.
        nonces: Whether the gateway requires nonces in DPoP proofs.
        sites: The hosts. The last one is for all other hosts.
    """

    source: str
    listen: tuple[str, int]
    authorize: str
    grpc: str
    nginx_path: str
    forward_auth_path: str
    envoy_prefix: str
    token_timeout: int
    body_bytes: int
    cache_seconds: int
    metadata_path: str
    pages_path: str
    gateway: str
    certificate_header: str
    certificate_callers: bool
    nonces: bool
    sites: tuple[Site, ...]

    @property
    def tenant_headers(self) -> tuple[str, ...]:
        """The headers that name tenants, in lower case."""
        return tuple(sorted({route.tenant_header for route in self.routes} - {""}))

    @property
    def token_headers(self) -> tuple[str, ...]:
        """The headers that carry tokens, and ``Authorization``, which callers must not set."""
        return tuple(sorted({"Authorization", *(route.header for route in self.routes)}))

    @property
    def ended_headers(self) -> tuple[str, ...]:
        """The headers that are for the gateway only, and not for upstreams."""
        proof = ("DPoP",) if any(route.verified for route in self.routes) else ()
        certificate = (self.certificate_header,) if self.certificate_header else ()
        return ("X-Grantway-Route", *proof, *certificate)

    def check_no_certificates(self, proxy: str) -> None:
        """Reject callers' certificates, which the configuration of a proxy does not pass on.

        Raises:
            ConfigurationError: The file has ``client_certificate_header``.
        """
        if self.certificate_header:
            raise ConfigurationError(
                f"inbound.client_certificate_header: the configuration of {proxy} does not set "
                "this header, and callers could; use nginx, Caddy or HAProxy"
            )

    def check_unchanged_paths(self, proxy: str) -> None:
        """Reject routes whose paths must be forwarded unchanged, which a proxy does not do.

        Raises:
            ConfigurationError: Names the first such route.
        """
        for route in self.routes:
            if route.encoded:
                raise ConfigurationError(
                    f'routes.{route.name}.encoded_paths: cannot be "forward", because {proxy} '
                    "changes such paths; use another proxy, or let the gateway forward them"
                )

    @property
    def routes(self) -> tuple[FrontRoute, ...]:
        """All routes, each once, in the order of their names."""
        found = {route.name: route for site in self.sites for route in site.routes}
        return tuple(found[name] for name in sorted(found))


def plan(config: ConfigFile, listen: tuple[str, int]) -> Plan:
    """Return the contents of a proxy's configuration.

    Args:
        config: The gateway's file.
        listen: Host and port on which the proxy listens.

    Raises:
        ConfigurationError: The file has no ``[authorize]``, or a route has a setting that a proxy
            in front cannot have; lists all with line and reason.
    """
    mistakes = list(_mistakes(config))
    if mistakes or config.authorize is None:
        raise config.toml.wrong(mistakes)
    timeouts = [provider.get("timeout", 30.0) for provider in config.providers.values()]
    return Plan(
        source=str(config.path),
        listen=listen,
        authorize=_authority(config.authorize["listen"]),
        grpc=_authority(config.authorize.get("grpc_listen")),
        nginx_path=config.authorize["nginx_path"].rstrip("/"),
        forward_auth_path=config.authorize["forward_auth_path"].rstrip("/"),
        envoy_prefix=config.authorize["envoy_prefix"].rstrip("/"),
        token_timeout=int(max(timeouts, default=30.0)) + 5,
        body_bytes=config.gateway["limits"].body_bytes,
        cache_seconds=config.authorize["cache_seconds"],
        metadata_path=_metadata_path(config),
        pages_path="" if config.connections is None else config.connections["path"],
        gateway=_authority(config.gateway["listen"]),
        certificate_header=(config.inbound or {}).get("client_certificate_header", ""),
        certificate_callers=(config.inbound or {}).get("client_certificate_callers", False),
        nonces="dpop_nonce_key" in (config.inbound or {}),
        sites=_sites(config),
    )


def _authority(address: tuple[str, int] | None) -> str:
    if address is None:
        return ""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _mistakes(config: ConfigFile) -> Iterator[Mistake]:
    if config.authorize is None:
        rule = (
            "is missing; the proxy gets its tokens from this listener. Add a table [authorize] "
            'with listen = "127.0.0.1:8412"'
        )
        yield ("authorize",), rule
    else:
        for name in ("listen", "grpc_listen"):
            host, port = config.authorize.get(name, ("localhost", 1))
            if not port or host in _ANY_ADDRESS:
                rule = "must name the address and port that the proxy connects to"
                yield ("authorize", name), rule
    if config.connections is not None:
        yield from _pages_mistakes(config, config.connections)
    if not _PATH.fullmatch(_metadata_path(config) or "/"):
        rule = "has a path with characters that proxies read differently; use other characters"
        yield ("inbound", "resource"), rule
    if not _HEADER.fullmatch((config.inbound or {}).get("client_certificate_header", "X")):
        rule = "must have only letters, digits and hyphens, because proxies drop other headers"
        yield ("inbound", "client_certificate_header"), rule
    for name, table in config.routes.items():
        yield from _route_mistakes(("routes", name), table)


def _pages_mistakes(config: ConfigFile, table: Mapping[str, Any]) -> Iterator[Mistake]:
    host, port = config.gateway["listen"]
    if not port or host in _ANY_ADDRESS:
        rule = "must name the address and port to which the proxy forwards the pages of connections"
        yield ("gateway", "listen"), rule
    if config.gateway.get("tls"):
        yield ("gateway", "tls"), "cannot be combined with [connections] and a proxy in front"
    if not _PATH.fullmatch(table["path"]):
        yield ("connections", "path"), "has characters that proxies read differently"


def _route_mistakes(at: KeyPath, table: Mapping[str, Any]) -> Iterator[Mistake]:
    if "upstream" not in table:
        yield (*at, "upstream"), "is missing; it is where the proxy forwards the requests"
    elif urlsplit(table["upstream"]).path.strip("/"):
        yield (*at, "upstream"), f"has a path, which {_ELSEWHERE}"
    if not _PATH.fullmatch(table["path"]):
        yield (*at, "path"), f"has characters that proxies read differently, and {_ELSEWHERE}"
    for key in ("strip_path", "rewrite_location", "client_certificate"):
        if table.get(key):
            yield (*at, key), _ELSEWHERE
    if table["incoming"] == "keep" and table["header"].lower() != "authorization":
        yield (*at, "header"), f'{_ELSEWHERE} with incoming = "keep"'


def _sites(config: ConfigFile) -> tuple[Site, ...]:
    by_host: dict[str, list[FrontRoute]] = {"": []}
    for name, table in config.routes.items():
        by_host.setdefault(table.get("host", ""), []).append(_route(config, name, table))
    common = by_host.pop("")
    sites = [
        # A route of the host takes precedence, even over one with a longer path for any host.
        Site(host, _longest_first([*own, *(each for each in common if not _covered(each, own))]))
        for host, own in sorted(by_host.items())
    ]
    return (*sites, Site("", _longest_first(common)))


def _covered(route: FrontRoute, others: list[FrontRoute]) -> bool:
    return any(f"{route.path}/".startswith(f"{each.path}/") for each in others)


def _metadata_path(config: ConfigFile) -> str:
    return "" if config.inbound is None else urlsplit(metadata_url(config.inbound["resource"])).path


def _longest_first(routes: list[FrontRoute]) -> tuple[FrontRoute, ...]:
    return tuple(sorted(routes, key=lambda route: (-len(route.path), route.path)))


def _route(config: ConfigFile, name: str, table: Mapping[str, Any]) -> FrontRoute:
    verified = config.inbound is not None and not table["anonymous"]
    return FrontRoute(
        name=name,
        path=table["path"].rstrip("/"),
        upstream=_upstream(config, table),
        header=table["header"],
        tenant_header=tenant_header(table["tenant"]),
        tenant_segment=tenant_segment(table["tenant"]),
        cacheable=is_cacheable(table["incoming"], table["tenant"]) and not verified,
        # A cached response does not depend on the caller's certificate.
        per_caller=is_cacheable(table["incoming"], table["tenant"])
        and verified
        and "client_certificate_header" not in (config.inbound or {}),
        connects=table["grant"] == CONNECTION,
        verified=verified,
        keeps=table["incoming"] == "keep",
        encoded=table["encoded_paths"] == "forward",
        preflight=table["forward_preflight"],
        keep_host=table["keep_host"],
        shared=is_shared(
            tenant=table["tenant"],
            incoming=table["incoming"],
            verified=verified,
            preflight=table["forward_preflight"],
            encoded=table["encoded_paths"],
        ),
        opens=table["on_failure"] == "open",
        connect_timeout=table["connect_timeout"],
        answer_timeout=table["answer_timeout"],
        idle_timeout=table["idle_timeout"],
    )


def _upstream(config: ConfigFile, table: Mapping[str, Any]) -> Upstream:
    parts = urlsplit(table["upstream"])
    host = parts.hostname or ""
    bundle = table.get("ca_bundle") or config.network.get("ca_bundle")
    return Upstream(
        parts.scheme,
        f"[{host}]" if ":" in host else host,
        parts.port or _DEFAULT_PORTS[parts.scheme],
        "" if bundle is None else str(config.path.parent / expand(bundle, "ca_bundle")),
    )
