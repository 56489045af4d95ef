"""Client authentication with TLS certificates, and tokens bound to them (RFC 8705)."""

from __future__ import annotations

import base64
import hashlib
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
import requests
from cryptography.hazmat.primitives.serialization import Encoding
from joserfc.jwk import ECKey

from grantway import ConfigurationError
from grantway_plugins.issuer import ClientCertificates, IssuerServer, IssuerSettings
from grantway_plugins.issuer._decisions.operator_clients import add_client
from grantway_plugins.server._http.client_certificate import (
    InvalidCertificateError,
    read_certificate,
)
from tests.certificates import Identity, issue
from tests.plugins.issuer.conftest import Caller
from tests.waiting import PATIENCE

HEADER = "Client-Cert"


@dataclass(frozen=True)
class Certificates:
    """An authority and certificates of two clients."""

    authority: Identity
    own: Identity
    other: Identity
    self_signed: Identity


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    folder = tmp_path_factory.mktemp("certificates")
    authority = issue(folder, "authority")
    return Certificates(
        authority,
        issue(folder, "own", authority),
        issue(folder, "other", authority),
        issue(folder, "self-signed"),
    )


def pem(identity: Identity) -> str:
    return Path(identity.certificate).read_text(encoding="ascii")


def der(identity: Identity) -> str:
    return base64.b64encode(identity.x509.public_bytes(Encoding.DER)).decode()


def thumbprint(identity: Identity) -> str:
    hashed = hashlib.sha256(identity.x509.public_bytes(Encoding.DER)).digest()
    return base64.urlsafe_b64encode(hashed).decode().rstrip("=")


FORMATS: list[Callable[[Identity], str]] = [
    der,
    lambda identity: f":{der(identity)}:",
    lambda identity: quote(pem(identity)),
    lambda identity: quote(der(identity)),
    lambda identity: pem(identity).replace("\n", " "),
    lambda identity: pem(identity).replace("\n", "\t"),
    lambda identity: f'Hash=abc;Cert="{quote(pem(identity), safe="")}";URI=spiffe://x/y',
]


@pytest.mark.parametrize("forwarded", FORMATS)
def test_reads_the_formats_of_proxies(
    certificates: Certificates, forwarded: Callable[[Identity], str]
) -> None:
    assert read_certificate(forwarded(certificates.own)) == certificates.own.x509


@pytest.mark.parametrize(
    "text", ["", "x", "AAAA", ":AAAA:", "-----BEGIN CERTIFICATE-----", "%", "A" * 40_000, 'Cert=""']
)
def test_rejects_a_header_without_a_certificate(text: str) -> None:
    with pytest.raises(InvalidCertificateError):
        read_certificate(text)


def test_rejects_a_header_that_a_proxy_added_to(certificates: Certificates) -> None:
    with pytest.raises(InvalidCertificateError, match="several values"):
        read_certificate(f"{der(certificates.other)}, {der(certificates.own)}")


class Tls:
    """Sends requests as a proxy does, with the certificate of a client."""

    def __init__(self, server: IssuerServer) -> None:
        self.server = server
        self.caller = Caller(server.url)

    def add(self, **metadata: Any) -> str:
        asked = {"grant_types": ["client_credentials"], **metadata}
        client_id: str = add_client(self.server.store, asked)["client_id"]
        return client_id

    def ask(self, client_id: str, identity: Identity | None, **params: Any) -> requests.Response:
        headers = {} if identity is None else {HEADER: der(identity)}
        asked = {"grant_type": "client_credentials", "client_id": client_id, **params}
        return self.caller.http.post(f"{self.server.url}/token", data=asked, headers=headers)

    def introspect(self, token: str) -> dict[str, Any]:
        made = add_client(
            self.server.store, {"grant_types": ["client_credentials"]}, introspects=True
        )
        response = self.caller.http.post(
            f"{self.server.url}/introspect",
            data={"token": token},
            auth=(made["client_id"], made["client_secret"]),
        )
        found: dict[str, Any] = response.json()
        return found


def settings(certificates: Certificates) -> IssuerSettings:
    return IssuerSettings(
        registration="off",
        client_certificates=ClientCertificates(ca_file=certificates.authority.certificate),
    )


@pytest.fixture
def tls(certificates: Certificates) -> Iterator[Tls]:
    with IssuerServer(settings(certificates), trusted_proxies=("127.0.0.1",)) as server:
        made = Tls(server)
        yield made
        made.caller.http.close()


NAMES: list[dict[str, str]] = [
    {"tls_client_auth_subject_dn": "CN=own"},
    {"tls_client_auth_san_ip": "127.0.0.1"},
]


@pytest.mark.parametrize("name", NAMES, ids=str)
def test_a_certificate_of_the_authority_authenticates_and_binds(
    tls: Tls, certificates: Certificates, name: dict[str, str]
) -> None:
    client_id = tls.add(token_endpoint_auth_method="tls_client_auth", **name)
    response = tls.ask(client_id, certificates.own)
    assert response.status_code == 200, response.text
    assert response.json()["token_type"] == "Bearer"
    found = tls.introspect(response.json()["access_token"])
    assert found["cnf"] == {"x5t#S256": thumbprint(certificates.own)}


def test_fapi2_accepts_certificates(certificates: Certificates) -> None:
    asked = replace(settings(certificates), fapi2=True)
    with IssuerServer(asked, trusted_proxies=("127.0.0.1",)) as server:
        tls = Tls(server)
        with tls.caller:
            client_id = tls.add(token_endpoint_auth_method="tls_client_auth", **NAMES[0])
            assert tls.ask(client_id, certificates.own).status_code == 200
            metadata = tls.caller.http.get(f"{server.url}/.well-known/openid-configuration").json()
    assert metadata["token_endpoint_auth_methods_supported"] == [
        "private_key_jwt",
        "tls_client_auth",
        "self_signed_tls_client_auth",
    ]


def test_another_name_authority_or_no_certificate_is_rejected(
    tls: Tls, certificates: Certificates
) -> None:
    client_id = tls.add(
        token_endpoint_auth_method="tls_client_auth", tls_client_auth_subject_dn="CN=own"
    )
    for identity in (certificates.other, certificates.self_signed, None):
        response = tls.ask(client_id, identity)
        assert response.status_code == 401
        assert response.json()["error"] == "invalid_client"
    assert tls.ask(client_id, None, client_secret="x").status_code == 401


def test_a_registered_key_authenticates_a_self_signed_certificate(
    tls: Tls, certificates: Certificates
) -> None:
    key = ECKey.import_key(Path(certificates.self_signed.key).read_bytes())
    client_id = tls.add(
        token_endpoint_auth_method="self_signed_tls_client_auth",
        jwks={"keys": [key.as_dict(private=False)]},
    )
    assert tls.ask(client_id, certificates.self_signed).status_code == 200
    assert tls.ask(client_id, certificates.own).status_code == 401


def test_a_client_with_a_secret_gets_bound_tokens_only_if_it_asks(
    tls: Tls, certificates: Certificates
) -> None:
    for bound in (False, True):
        made = add_client(
            tls.server.store,
            {
                "grant_types": ["client_credentials"],
                "token_endpoint_auth_method": "client_secret_post",
                "tls_client_certificate_bound_access_tokens": bound,
            },
        )
        client_id, secret = made["client_id"], made["client_secret"]
        token = tls.ask(client_id, certificates.own, client_secret=secret).json()["access_token"]
        assert ("cnf" in tls.introspect(token)) is bound
        without = tls.ask(client_id, None, client_secret=secret)
        assert without.status_code == (400 if bound else 200)


@pytest.fixture(scope="module")
def behind_another_proxy(certificates: Certificates) -> Iterator[Tls]:
    """An issuer that trusts another address than the caller's."""
    with IssuerServer(settings(certificates), trusted_proxies=("192.0.2.1",)) as server:
        made = Tls(server)
        yield made
        made.caller.http.close()


OWN_NAME = {
    "token_endpoint_auth_method": "tls_client_auth",
    "tls_client_auth_subject_dn": "CN=own",
}


def test_an_empty_header_means_no_certificate(tls: Tls) -> None:
    made = add_client(tls.server.store, {"grant_types": ["client_credentials"]})
    response = tls.caller.http.post(
        f"{tls.server.url}/token",
        data={"grant_type": "client_credentials"},
        auth=(made["client_id"], made["client_secret"]),
        headers={HEADER: ""},
    )
    assert response.status_code == 200


def test_a_damaged_certificate_is_rejected(tls: Tls) -> None:
    response = tls.caller.http.post(
        f"{tls.server.url}/token",
        data={"grant_type": "client_credentials", "client_id": "x"},
        headers={HEADER: "damaged"},
    )
    assert response.status_code == 401
    assert "PEM or DER" in response.json()["error_description"]


@pytest.mark.parametrize(
    ("metadata", "rule"),
    [
        ({}, "exactly one of"),
        (
            {"tls_client_auth_subject_dn": "CN=a", "tls_client_auth_san_dns": "a"},
            "exactly one of",
        ),
        ({"tls_client_auth_subject_dn": "nonsense"}, "RFC 4514"),
        ({"tls_client_auth_san_ip": "127.1"}, "must be an IP address"),
        ({"tls_client_auth_san_dns": 7}, "printable text"),
        ({"tls_client_auth_san_dns": "a\n"}, "printable text"),
    ],
)
def test_invalid_metadata_is_rejected(tls: Tls, metadata: dict[str, Any], rule: str) -> None:
    with pytest.raises(ConfigurationError, match=rule):
        tls.add(token_endpoint_auth_method="tls_client_auth", **metadata)


def test_a_name_without_the_method_is_rejected(tls: Tls) -> None:
    with pytest.raises(ConfigurationError, match="requires tls_client_auth"):
        tls.add(tls_client_auth_san_dns="a")


def test_the_metadata_lists_what_the_settings_enable(tls: Tls, rfc: Caller) -> None:
    path = "/.well-known/oauth-authorization-server"
    enabled = tls.caller.http.get(tls.server.url + path).json()
    assert "tls_client_auth" in enabled["token_endpoint_auth_methods_supported"]
    assert enabled["tls_client_certificate_bound_access_tokens"] is True
    plain = rfc.http.get(rfc.url + path).json()
    assert "tls_client_auth" not in plain["token_endpoint_auth_methods_supported"]
    assert "tls_client_certificate_bound_access_tokens" not in plain


def test_a_certificate_with_an_unknown_kind_of_key_is_rejected(
    tls: Tls, certificates: Certificates
) -> None:
    keys = {"keys": [ECKey.generate_key("P-256").as_dict(private=False)]}
    client = tls.add(token_endpoint_auth_method="self_signed_tls_client_auth", jwks=keys)
    curve = b"\x2a\x86\x48\xce\x3d\x03\x01\x07"
    changed = certificates.self_signed.x509.public_bytes(Encoding.DER)
    assert curve in changed
    header = base64.b64encode(changed.replace(curve, curve[:-1] + b"\x7f")).decode()
    asked = {"grant_type": "client_credentials", "client_id": client}
    url = f"{tls.server.url}/token"
    response = tls.caller.http.post(url, data=asked, headers={HEADER: header})
    assert (response.status_code, response.json()["error"]) == (401, "invalid_client")


TRAILER = "Transfer-Encoding: chunked\r\n\r\n{size:x}\r\n{body}\r\n0\r\n{header}\r\n\r\n"
#: Requests with a header of the client's own, after the request line and the common headers.
FORGED = {
    "complete": "{header}\r\nContent-Length: {size}\r\n\r\n{body}",
    "in capitals": "{HEADER}\r\nContent-Length: {size}\r\n\r\n{body}",
    "twice": "{header}\r\n{header}\r\nContent-Length: {size}\r\n\r\n{body}",
    "chunked": "{header}\r\n" + TRAILER.replace("{header}", "X: x"),
    "in a trailer": TRAILER,
    "behind an upgrade": "Connection: Upgrade\r\nUpgrade: h2c\r\n{header}\r\n"
    "Content-Length: {size}\r\n\r\n{body}",
}


@pytest.mark.parametrize("form", FORGED)
@pytest.mark.parametrize("count", [1, 2], ids=["alone", "pipelined"])
def test_a_header_of_the_client_is_dropped_in_every_form(
    certificates: Certificates, behind_another_proxy: Tls, form: str, count: int
) -> None:
    client_id = behind_another_proxy.add(**OWN_NAME)
    body = f"grant_type=client_credentials&client_id={client_id}"
    value = der(certificates.own)
    rest = FORGED[form].format(
        header=f"{HEADER}: {value}", HEADER=f"{HEADER.upper()}: {value}", size=len(body), body=body
    )
    request = (
        "POST /token HTTP/1.1\r\nHost: x\r\n"
        f"Content-Type: application/x-www-form-urlencoded\r\n{rest}"
    )
    target = urlsplit(behind_another_proxy.server.url)
    with socket.create_connection((target.hostname or "", target.port or 0), PATIENCE) as client:
        client.sendall(request.encode() * count)
        received = b""
        while received.count(b'"}') < count:
            received += (part := client.recv(65_536))
            assert part, received
    assert received.count(b'{"error":"invalid_client"') == count


@pytest.mark.parametrize("proxies", [(), ("*",), ("192.0.2.1", "0.0.0.0/0"), ("::/0",)])
def test_certificates_require_a_trusted_proxy(proxies: tuple[str, ...]) -> None:
    made = IssuerSettings(registration="off", client_certificates=ClientCertificates())
    with pytest.raises(ConfigurationError, match="any client could send the header"):
        IssuerServer(made, trusted_proxies=proxies)


@pytest.mark.parametrize("content", [None, "", "nonsense"])
def test_unreadable_authorities_are_reported(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    made = IssuerSettings(
        registration="off", client_certificates=ClientCertificates(ca_file=str(file))
    )
    with pytest.raises(ConfigurationError, match="cannot be read"):
        IssuerServer(made, trusted_proxies=("127.0.0.1",))


@pytest.mark.parametrize("options", [{"header": "a b"}, {"header": 7}, {"ca_file": ""}])
def test_invalid_settings_are_named(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        ClientCertificates(**options)
    assert set(caught.value.errors) == set(options)
