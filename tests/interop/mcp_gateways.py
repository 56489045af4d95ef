"""Gateways in front of MCP servers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from grantway_plugins.issuer import IssuerServer
from grantway_plugins.issuer._decisions.operator_clients import add_client
from tests.faults import free_port
from tests.interop.mcp_python_servers import ADMIN, SCOPE
from tests.interop.proxies import envoy_file, nginx_http, printed
from tests.plugins.gateway.running.programs import gateway, write


def gateway_client(issuer: IssuerServer) -> tuple[str, str]:
    """Return the credentials of a new client for a gateway."""
    metadata = {"client_name": "gateway", "grant_types": ["client_credentials"], "scope": SCOPE}
    made = add_client(issuer.store, metadata)
    return made["client_id"], made["client_secret"]


@contextmanager
def verifying_gateway(
    folder: Path,
    issuer: IssuerServer,
    client: tuple[str, str],
    upstream: str,
    answer_timeout: int = 60,
) -> Iterator[str]:
    """Run a gateway that verifies its callers, and sends its own tokens to the MCP server.

    The server demands a token as well, so each call proves both.
    """
    port = free_port()
    text = _verifying(issuer, client, upstream, port, answer_timeout)
    listen = f'[gateway]\nlisten = "127.0.0.1:{port}"\nadmin = "127.0.0.1:0"\n'
    with gateway(write(folder, f"{listen}{text}")) as running:
        yield running.url


@contextmanager
def proxied_gateway(
    proxy: str, folder: Path, issuer: IssuerServer, client: tuple[str, str], upstream: str
) -> Iterator[str]:
    """Run a proxy with the configuration that such a gateway prints, and yield its address."""
    port = free_port()
    text = _verifying(issuer, client, upstream, port, 60, admin=False)
    text += f'[authorize]\nlisten = "127.0.0.1:{free_port()}"\n'
    config = write(folder, text)
    shown = printed(proxy, config, port).replace("/run/grantway-nginx", f"{folder}/tokens")
    with gateway(config), (nginx_http if proxy == "nginx" else envoy_file)(folder, shown, port):
        yield f"http://127.0.0.1:{port}"


def _verifying(
    issuer: IssuerServer,
    client: tuple[str, str],
    upstream: str,
    port: int,
    answer_timeout: int,
    *,
    admin: bool = True,
) -> str:
    """Return the routes of a gateway that its callers reach at a port."""
    common = f"""
        provider = "idp"
        tenant = "single"
        on_failure = "closed"
        answer_timeout = {answer_timeout}
        params = {{ resource = "{upstream}" }}
    """
    text = f"""
        [providers.idp]
        issuer = "{issuer.url}"
        client_id = "{client[0]}"
        client_secret = "{client[1]}"
        [inbound]
        resource = "http://127.0.0.1:{port}"
        [[inbound.issuer]]
        issuer = "{issuer.url}"
        [routes.mcp]
        path = "/mcp"
        upstream = "{upstream.removesuffix("/mcp")}"
        scopes = ["{SCOPE}"]
        {common}
    """
    if admin:  # a proxy cannot have strip_path
        text += f"""
        [routes.admin]
        path = "/admin"
        strip_path = true
        upstream = "{upstream}"
        scopes = ["{SCOPE}", "{ADMIN}"]
        {common}
        """
    return text


@contextmanager
def adding_gateway(
    folder: Path, issuer: IssuerServer, client: tuple[str, str], upstream: str, resource: str
) -> Iterator[str]:
    """Run a gateway that adds tokens for a resource to the requests of programs without any."""
    config = write(
        folder,
        f"""
        [gateway]
        listen = "127.0.0.1:0"
        admin = "127.0.0.1:0"
        [providers.idp]
        issuer = "{issuer.url}"
        client_id = "{client[0]}"
        client_secret = "{client[1]}"
        [routes.mcp]
        path = "/mcp"
        upstream = "{upstream}"
        provider = "idp"
        tenant = "single"
        on_failure = "closed"
        params = {{ resource = "{resource}" }}
        """,
    )
    with gateway(config) as running:
        yield running.url
