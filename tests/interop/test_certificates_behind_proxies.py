"""Certificates of callers, which real proxies with the printed configurations pass on."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path

import pytest
import requests
from cryptography.hazmat.primitives import hashes

from grantway_plugins.issuer import IssuerServer, IssuerSettings
from grantway_plugins.testing import WorkloadIssuer
from tests.certificates import Identity, issue
from tests.faults import free_port
from tests.interop.proxies import NEEDS_HAPROXY, caddy_file, haproxy_file, nginx_http, printed
from tests.plugins.gateway.running.conftest import Backends, make_backends
from tests.plugins.gateway.running.programs import PATIENCE, EchoUpstream, gateway
from tests.plugins.gateway.servers import asgi_server

pytestmark = pytest.mark.slow

API = "https://api.example.com"
HEADER = "X-Client-Cert"


class Site:
    """A proxy with TLS in front of a gateway.

    Attributes:
        backends: The gateway's issuer and upstream.
        workloads: The issuer of the callers' tokens.
        folder: Folder of certificates.
        authority: Issuer of the certificates.
        bound, certified: Addresses of a proxy for tokens that are bound to certificates, and of one
            for which a certificate is enough.
    """

    def __init__(
        self, backends: Backends, workloads: WorkloadIssuer, folder: Path, authority: Identity
    ) -> None:
        self.backends, self.workloads = backends, workloads
        self.folder, self.authority = folder, authority
        self.bound = self.certified = ""

    def get(
        self, address: str, identity: Identity | None = None, **headers: str
    ) -> requests.Response:
        """Send a request with a certificate and more headers; `_` in names stands for a hyphen."""
        return requests.get(
            f"{address}/verified",
            headers={name.replace("_", "-"): value for name, value in headers.items()},
            cert=identity and identity.paths,
            verify=self.authority.certificate,
            timeout=PATIENCE,
        )

    def token(self, identity: Identity) -> str:
        """Return an authorization header with a token that is bound to a certificate."""
        digest = identity.x509.fingerprint(hashes.SHA256())
        bound = {"x5t#S256": base64.urlsafe_b64encode(digest).rstrip(b"=").decode()}
        header = {"typ": "at+jwt"}
        return "Bearer " + self.workloads.token(
            "ann", API, header=header, common_name="acme", cnf=bound
        )


def with_tls(proxy: str, text: str, port: int, front: Identity, authority: str) -> str:
    """Add TLS to a printed configuration, as its comments say."""
    callers = "verify_if_given" in text or "$ssl_client_verify" in text or "ssl_c_verify" in text
    if proxy == "nginx":
        verify = f"optional; ssl_client_certificate {authority}" if callers else "optional_no_ca"
        tls = f"ssl_certificate {front.certificate}; ssl_certificate_key {front.key};"
        listen = f"listen 127.0.0.1:{port} default_server;"
        assert listen in text
        return text.replace(listen, f"{listen[:-1]} ssl; {tls} ssl_verify_client {verify};")
    if proxy == "caddy":
        mode = "verify_if_given" if callers else "request"
        pool = f"\n trust_pool file {authority}" if callers else ""
        auth = f"client_auth {{\n mode {mode}{pool}\n }}"
        tls = f"tls {front.certificate} {front.key} {{\n {auth}\n }}"
        assert f"http://:{port} {{" in text
        return text.replace(f"http://:{port} {{", f"https://127.0.0.1:{port} {{\n{tls}")
    errors = "" if callers else " ca-ignore-err all crt-ignore-err all"
    pem = Path(front.certificate).with_suffix(".both")
    pem.write_text(Path(front.certificate).read_text() + Path(front.key).read_text())
    bind = f"bind 127.0.0.1:{port}"
    assert bind in text
    return text.replace(bind, f"{bind} ssl crt {pem} verify optional ca-file {authority}{errors}")


@pytest.fixture(
    scope="module", params=["nginx", "caddy", pytest.param("haproxy", marks=NEEDS_HAPROXY)]
)
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    folder, proxy = tmp_path_factory.mktemp("certificates"), request.param
    authority = issue(folder, "authority")
    front = issue(folder, "front", authority)
    echo = EchoUpstream()
    with ExitStack() as running:
        issuer = running.enter_context(IssuerServer(IssuerSettings(registration="unrestricted")))
        url = running.enter_context(asgi_server(echo))
        workloads = running.enter_context(WorkloadIssuer())
        backends = make_backends(issuer, (echo, url), tmp_path_factory.mktemp("gateway"))
        found = Site(backends, workloads, folder, authority)
        for name in ("bound", "certified"):
            more = "client_certificate_callers = true\n" if name == "certified" else ""
            config = backends.write(
                '[gateway]\nlisten = "127.0.0.1:0"\nadmin = "127.0.0.1:0"\nhosts = ["x"]\n'
                'trusted_proxies = ["127.0.0.1"]\n'
                + backends.provider()
                + backends.route("verified", tenant='"claim:common_name"')
                + f'[inbound]\nresource = "{API}"\nclient_certificate_header = "{HEADER}"\n{more}'
                f'[[inbound.issuer]]\nissuer = "{workloads.url}"\n'
                f'[authorize]\nlisten = "127.0.0.1:{free_port()}"\n'
            )
            running.enter_context(gateway(config))
            port, own = free_port(), tmp_path_factory.mktemp(proxy)
            text = with_tls(proxy, printed(proxy, config, port), port, front, authority.certificate)
            text = text.replace("/run/grantway-nginx", f"{own}/tokens")
            script = printed("haproxy-lua", config, port)
            start = {
                "nginx": nginx_http,
                "caddy": caddy_file,
                "haproxy": partial(haproxy_file, script=script),
            }[proxy]
            address = running.enter_context(start(own, text, port))
            setattr(found, name, address.replace("http:", "https:"))
        yield found


@pytest.fixture
def echo(site: Site) -> EchoUpstream:
    site.backends.echo.reset()
    return site.backends.echo


def encoded(identity: Identity) -> str:
    """Return a certificate as one of the proxies sends it."""
    return "".join(Path(identity.certificate).read_text(encoding="ascii").splitlines()[1:-1])


def test_a_bound_token_needs_its_certificate(site: Site, echo: EchoUpstream) -> None:
    own, other = (issue(site.folder, name, site.authority) for name in ("acme", "umbrella"))
    token = site.token(own)
    assert site.get(site.bound, own, Authorization=token).status_code == 200
    [seen] = echo.requests
    assert HEADER.lower() not in dict(seen["headers"])
    assert echo.tokens[0].startswith("Bearer gwa_")
    assert site.get(site.bound, other, Authorization=token).status_code == 401
    assert site.get(site.bound, None, Authorization=token).status_code == 401
    assert len(echo.requests) == 1


def test_callers_cannot_set_the_header(site: Site, echo: EchoUpstream) -> None:
    own = issue(site.folder, "acme", site.authority)
    forged = encoded(own)
    for address, token in ((site.bound, site.token(own)), (site.certified, "")):
        headers = {"Authorization": token} if token else {}
        for name in (HEADER, HEADER.lower(), HEADER.upper()):
            response = site.get(address, None, **headers, **{name: forged})
            assert response.status_code == 401, response.text
    assert echo.requests == []


def test_a_certificate_of_a_known_authority_is_enough(site: Site, echo: EchoUpstream) -> None:
    own = issue(site.folder, "acme", site.authority)
    assert site.get(site.certified, own).status_code == 200
    assert echo.tokens[0].startswith("Bearer gwa_")
    assert site.get(site.certified).status_code == 401
    unknown = issue(site.folder, "acme", issue(site.folder, "unknown"))
    with suppress(requests.ConnectionError):  # the proxy may end the handshake
        assert site.get(site.certified, unknown).status_code in {400, 401}
    assert len(echo.requests) == 1
