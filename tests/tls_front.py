"""TLS in front of servers that have none, terminated by Envoy on the same machine."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.certificates import Identity, issue
from tests.interop.proxies import envoy_file

_TYPES = "type.googleapis.com/envoy.extensions"


@dataclass(frozen=True)
class Certificates:
    """Certificates of servers and clients, and their issuer."""

    authority: Identity
    server: Identity
    client: Identity

    @classmethod
    def issued_in(cls, folder: Path) -> Certificates:
        """Issue them, with their files in a folder."""
        authority = issue(folder, "authority")
        return cls(
            authority, issue(folder, "server", authority), issue(folder, "client", authority)
        )

    @property
    def options(self) -> str:
        """Options in the URL of a store, with which it trusts the servers and they trust it."""
        return (
            f"ssl_ca_certs={self.authority.certificate}"
            f"&ssl_certfile={self.client.certificate}&ssl_keyfile={self.client.key}"
        )


@contextmanager
def tls_front(
    folder: Path, certificates: Certificates, ports: Mapping[int, int], *, plain: bool = False
) -> Iterator[None]:
    """Forward TLS connections to servers for the block. Clients need a certificate.

    Args:
        folder: Folder of Envoy's files.
        certificates: Those of the servers and of their clients' issuer.
        ports: TCP port that accepts TLS -> port of the server on this machine.
        plain: Whether the same ports accept connections without TLS. Servers that announce these
            ports reach each other that way.
    """
    config = {
        "static_resources": {
            "listeners": [_listener(certificates, port, plain=plain) for port in ports],
            "clusters": [
                {
                    "name": f"{port}",
                    "load_assignment": {
                        "cluster_name": f"{port}",
                        "endpoints": [{"lb_endpoints": [{"endpoint": _address(own)}]}],
                    },
                }
                for port, own in ports.items()
            ],
        }
    }
    with envoy_file(folder, json.dumps(config), next(iter(ports))):
        yield


def _listener(certificates: Certificates, port: int, *, plain: bool) -> dict[str, Any]:
    server, authority = certificates.server, certificates.authority
    forward = _typed(
        "envoy.filters.network.tcp_proxy",
        "filters.network.tcp_proxy.v3.TcpProxy",
        stat_prefix="tls",
        cluster=f"{port}",
    )
    encrypted = _typed(
        "envoy.transport_sockets.tls",
        "transport_sockets.tls.v3.DownstreamTlsContext",
        require_client_certificate=True,
        common_tls_context={
            "tls_certificates": [
                {
                    "certificate_chain": {"filename": server.certificate},
                    "private_key": {"filename": server.key},
                }
            ],
            "validation_context": {"trusted_ca": {"filename": authority.certificate}},
        },
    )
    chains: list[dict[str, Any]] = [
        {
            "filter_chain_match": {"transport_protocol": "tls"},
            "transport_socket": encrypted,
            "filters": [forward],
        }
    ]
    if plain:
        match = {"transport_protocol": "raw_buffer"}
        chains.append({"filter_chain_match": match, "filters": [forward]})
    inspector = _typed(
        "envoy.filters.listener.tls_inspector",
        "filters.listener.tls_inspector.v3.TlsInspector",
    )
    return {**_address(port), "listener_filters": [inspector], "filter_chains": chains}


def _typed(name: str, kind: str, **settings: Any) -> dict[str, Any]:
    return {"name": name, "typed_config": {"@type": f"{_TYPES}.{kind}", **settings}}


def _address(port: int) -> dict[str, Any]:
    return {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}
