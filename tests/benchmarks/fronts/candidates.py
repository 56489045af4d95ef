"""The proxies of the comparison, with tokens and without."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

from grantway_plugins.gateway._config import ConfigFile
from grantway_plugins.gateway._front.caddy import caddy
from grantway_plugins.gateway._front.envoy import envoy, envoy_grpc
from grantway_plugins.gateway._front.haproxy import haproxy, haproxy_lua
from grantway_plugins.gateway._front.nginx import nginx
from grantway_plugins.gateway._front.plan import Plan, plan
from grantway_plugins.gateway._front.traefik import traefik
from tests.benchmarks.fronts import plain
from tests.benchmarks.fronts.servers import Provider
from tests.faults import free_port
from tests.interop import debian, proxies

HOST = "127.0.0.1"
#: At least one for each proxy.
TENANTS = 12


@dataclass(frozen=True, slots=True)
class Setup:
    """The servers that the proxies use.

    Attributes:
        file: The gateway's file.
        provider: The token endpoint.
        upstream: TCP port of the upstream.
    """

    file: Path
    provider: Provider
    upstream: int


Run = Callable[[Setup, Path, int], AbstractContextManager[object]]


class Front(NamedTuple):
    """A proxy, and the way in which it gets tokens.

    Attributes:
        run: Runs it with a folder for its files, on a TCP port.
        base: Name of the same proxy without tokens.
        path: Path of requests; it selects the gateway's route.
        tenants: Whether each tenant has a token; otherwise all requests have the same.
        asks: Whether it gets tokens from the gateway.
    """

    run: Run
    base: str
    path: str = "/orders"
    tenants: bool = True
    asks: bool = True


#: The gateway's listeners for other proxies.
AUTHORIZE = f'[authorize]\nlisten = "{HOST}:{{authorize}}"\ngrpc_listen = "{HOST}:{{grpc}}"\n'


def write_file(folder: Path, provider: Provider, ports: dict[str, int]) -> Path:
    """Write the gateway's file, with listed tenants.

    Args:
        folder: Folder of the file.
        provider: The provider of the tokens.
        ports: TCP ports of ``upstream``, and of the gateway's listeners, as ``gateway_ports``.
            Those for other proxies may be missing.
    """
    secret = folder / "secret.txt"
    secret.touch(mode=0o600)
    secret.write_text("secret")
    upstream = f'provider = "idp"\non_failure = "closed"\nupstream = "http://{HOST}:{{upstream}}"\n'
    file = folder / "gateway.toml"
    file.write_text(
        f'[gateway]\nhosts = ["*"]\nlisten = "{HOST}:{ports["listen"]}"\nadmin = "{HOST}:0"\n'
        f"{provider.table()}"
        '[routes.orders]\npath = "/orders"\ntenant = "header:X-Tenant"\ntenants = "listed"\n'
        f"{upstream.format_map(ports)}"
        'extra = {tenant = "{tenant}"}\n'
        f'[routes.single]\npath = "/single"\ntenant = "single"\n{upstream.format_map(ports)}'
        f"{AUTHORIZE.format_map(ports) if 'authorize' in ports else ''}"
        + "".join(f"[tenants.t{number}.idp]\n" for number in range(TENANTS))
    )
    return file


def gateway_ports() -> dict[str, int]:
    """Return free TCP ports for the gateway's listeners."""
    return {name: free_port() for name in ("listen", "authorize", "grpc")}


def children() -> set[int]:
    """Return the process IDs of the children of this process."""
    found = set()
    for each in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = each.read_text("ascii", errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == os.getpid():
            found.add(int(each.parent.name))
    return found


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """Start the processes of the block on a core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _nginx(
    setup: Setup, folder: Path, port: int, *, cached: bool, program: tuple[str, ...] = ()
) -> AbstractContextManager[object]:
    made = _plan(setup, port)
    made = made if cached else replace(made, cache_seconds=0)
    text = nginx(made).replace("/run/grantway-nginx", f"{folder}/tokens")
    return proxies.nginx_http(folder, text, port, program)


def _plain_nginx(
    setup: Setup, folder: Path, port: int, program: tuple[str, ...] = ()
) -> AbstractContextManager[object]:
    return proxies.nginx_http(folder, plain.nginx(port, setup.upstream), port, program)


def _envoy(
    setup: Setup, folder: Path, port: int, printed: Callable[[Plan], str] = envoy
) -> AbstractContextManager[object]:
    return proxies.envoy_file(folder, printed(_plan(setup, port)), port)


def _plain_envoy(setup: Setup, folder: Path, port: int) -> AbstractContextManager[object]:
    return proxies.envoy_file(folder, plain.envoy(port, setup.upstream), port)


def _injecting_envoy(setup: Setup, folder: Path, port: int) -> AbstractContextManager[object]:
    text = plain.envoy(port, setup.upstream, setup.provider.url)
    return proxies.envoy_file(folder, text, port)


def _traefik(setup: Setup, folder: Path, port: int) -> AbstractContextManager[object]:
    return proxies.traefik_file(folder, traefik(_plan(setup, port)), port)


def _plain_traefik(setup: Setup, folder: Path, port: int) -> AbstractContextManager[object]:
    return proxies.traefik_file(folder, plain.traefik(setup.upstream), port)


def _caddy(setup: Setup, folder: Path, port: int) -> AbstractContextManager[object]:
    return proxies.caddy_file(folder, caddy(_plan(setup, port)), port)


def _plain_caddy(setup: Setup, folder: Path, port: int) -> AbstractContextManager[object]:
    return proxies.caddy_file(folder, plain.caddy(port, setup.upstream), port)


def _haproxy(setup: Setup, folder: Path, port: int) -> AbstractContextManager[object]:
    made = _plan(setup, port)
    return proxies.haproxy_file(folder, haproxy(made), port, haproxy_lua(made))


def _plain_haproxy(setup: Setup, folder: Path, port: int) -> AbstractContextManager[object]:
    return proxies.haproxy_file(folder, plain.haproxy(port, setup.upstream), port, "")


def _plan(setup: Setup, port: int) -> Plan:
    return plan(ConfigFile(setup.file), (HOST, port))


def candidates() -> dict[str, Front]:
    """Return the proxies by name, each after the same proxy without tokens."""
    found = {
        "nginx": Front(_plain_nginx, ""),
        "nginx + grantway (cached)": Front(partial(_nginx, cached=True), "nginx"),
        "nginx + grantway": Front(partial(_nginx, cached=False), "nginx"),
    }
    if debian.available("nginx"):
        program = tuple(debian.command("nginx"))
        base = "nginx of Debian"
        found[base] = Front(partial(_plain_nginx, program=program), "")
        run = partial(_nginx, cached=True, program=program)
        found[f"{base} + grantway (cached)"] = Front(run, base)
    if debian.available("haproxy"):
        found["HAProxy"] = Front(_plain_haproxy, "")
        found["HAProxy + grantway (cached)"] = Front(_haproxy, "HAProxy")
    single = {"path": "/single", "tenants": False}
    return {
        **found,
        "Envoy": Front(_plain_envoy, ""),
        "Envoy + grantway": Front(_envoy, "Envoy"),
        "Envoy + grantway (gRPC)": Front(partial(_envoy, printed=envoy_grpc), "Envoy"),
        "Envoy + grantway (SDS)": Front(_envoy, "Envoy", **single),
        "Envoy's credential injector": Front(_injecting_envoy, "Envoy", asks=False, **single),
        "Traefik": Front(_plain_traefik, ""),
        "Traefik + grantway": Front(_traefik, "Traefik"),
        "Caddy": Front(_plain_caddy, ""),
        "Caddy + grantway": Front(_caddy, "Caddy"),
    }
