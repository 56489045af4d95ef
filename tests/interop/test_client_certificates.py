"""Clients with TLS certificates, behind nginx and Caddy (RFC 8705)."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import requests
from cryptography.hazmat.primitives import hashes

import grantway
from grantway import HttpTransport
from grantway_plugins.client_auth import MutualTls
from grantway_plugins.issuer import ClientCertificates, IssuerServer, IssuerSettings
from grantway_plugins.issuer._decisions.operator_clients import add_client
from tests.certificates import Identity, issue
from tests.faults import free_port
from tests.interop.node_flows import NodeFlows
from tests.interop.proxies import caddy, nginx

Proxy = Callable[[Path, str], AbstractContextManager[str]]

NGINX = """
listen 127.0.0.1:{port} ssl;
ssl_certificate {certificate};
ssl_certificate_key {key};
ssl_verify_client optional_no_ca;
location / {{
    proxy_pass {issuer};
    proxy_set_header Host $http_host;
    proxy_set_header X-Forwarded-For $remote_addr;
    proxy_set_header X-Forwarded-Proto $scheme;
    proxy_set_header Client-Cert $ssl_client_escaped_cert;
}}
"""
CADDY = """
}}
https://127.0.0.1:{port} {{
tls {certificate} {key} {{
    client_auth {{
        mode request
    }}
}}
reverse_proxy {issuer} {{
    header_up Client-Cert {{http.request.tls.client.certificate_der_base64}}
}}
"""


class Site:
    """An issuer behind a proxy with TLS, and certificates of its clients."""

    def __init__(self, server: IssuerServer, url: str, folder: Path, authority: Identity) -> None:
        self.server, self.url, self.folder, self.authority = server, url, folder, authority

    def client(self, identity: Identity, **metadata: object) -> grantway.Client:
        made = add_client(self.server.store, {"grant_types": ["client_credentials"], **metadata})
        client_id = made["client_id"]
        return grantway.Client(
            grantway.Provider(
                token_endpoint=f"{self.url}/token",
                issuer=self.url,
            ),
            client_id=client_id,
            auth=MutualTls(client_id),
            transport=HttpTransport(
                ca_bundle=self.authority.certificate, client_certificate=identity.paths
            ),
        )


@pytest.fixture(scope="module", params=["nginx", "caddy"])
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp(request.param)
    authority = issue(folder, "authority")
    front = issue(folder, "front", authority)
    issuer, port = free_port(), free_port()
    public = f"https://127.0.0.1:{port}"
    run: Proxy = {"nginx": nginx, "caddy": caddy}[request.param]
    template = {"nginx": NGINX, "caddy": CADDY}[request.param]
    directives = template.format(
        port=port,
        issuer=f"http://127.0.0.1:{issuer}",
        certificate=front.certificate,
        key=front.key,
    )
    settings = IssuerSettings(
        issuer=public,
        registration="off",
        client_certificates=ClientCertificates(ca_file=authority.certificate),
    )
    with (
        IssuerServer(settings, port=issuer, trusted_proxies=("127.0.0.1",)) as server,
        run(folder, directives),
    ):
        yield Site(server, public, folder, authority)


def test_a_certificate_authenticates_through_the_proxy(site: Site) -> None:
    own = issue(site.folder, "own", site.authority)
    with site.client(
        own, token_endpoint_auth_method="tls_client_auth", tls_client_auth_subject_dn="CN=own"
    ) as client:
        token = client.create_token(grant_type="client_credentials")
        assert token.access_token
    other = issue(site.folder, "other", site.authority)
    with (
        site.client(
            other, token_endpoint_auth_method="tls_client_auth", tls_client_auth_subject_dn="CN=own"
        ) as client,
        pytest.raises(grantway.InvalidClientException),
    ):
        client.create_token(grant_type="client_credentials")


def test_oauth4webapi_gets_a_bound_token(site: Site) -> None:
    own = issue(site.folder, "node", site.authority)
    made = add_client(
        site.server.store,
        {
            "grant_types": ["client_credentials"],
            "token_endpoint_auth_method": "tls_client_auth",
            "tls_client_auth_subject_dn": "CN=node",
            "tls_client_certificate_bound_access_tokens": True,
        },
    )
    with NodeFlows("oauth4webapi_flows.mjs") as flows:
        result = flows.run(
            "certificate",
            issuer=site.url,
            clientId=made["client_id"],
            files=[site.authority.certificate, own.certificate, own.key],
        )
    thumbprint = base64.urlsafe_b64encode(own.x509.fingerprint(hashes.SHA256())).rstrip(b"=")
    assert result["bound"] is True
    assert result["found"]["cnf"] == {"x5t#S256": thumbprint.decode()}


def test_the_proxy_replaces_a_forged_header(site: Site) -> None:
    own = issue(site.folder, "forged", site.authority)
    client = site.client(
        own, token_endpoint_auth_method="tls_client_auth", tls_client_auth_subject_dn="CN=forged"
    )
    client.close()
    encoded = "".join(Path(own.certificate).read_text(encoding="ascii").splitlines()[1:-1])
    response = requests.post(
        f"{site.url}/token",
        data={"grant_type": "client_credentials", "client_id": client.client_id},
        headers={"Client-Cert": encoded},
        verify=site.authority.certificate,
        timeout=30,
    )
    assert response.status_code == 401
