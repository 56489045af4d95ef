"""Certificates issued for a test run."""

from __future__ import annotations

import datetime as dt
import hashlib
import http.client
import ipaddress
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.waiting import PATIENCE

_DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class Identity:
    """A certificate and its private key, as file paths and as objects."""

    certificate: str
    key: str
    x509: x509.Certificate
    private: ec.EllipticCurvePrivateKey

    @property
    def paths(self) -> tuple[str, str]:
        return self.certificate, self.key


def issue(
    folder: Path,
    name: str,
    authority: Identity | None = None,
    *,
    left: dt.timedelta = _DAY,
    host: str | None = None,
) -> Identity:
    """Issue a certificate for a name and 127.0.0.1; self-signed without an authority.

    It is valid since yesterday, and for the time that is ``left``, also for a ``host``.
    """
    names: list[x509.GeneralName] = [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    if host is not None:
        names.append(x509.DNSName(host))
    private = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    signer = authority.private if authority else private
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(authority.x509.subject if authority else subject)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _DAY)
        .not_valid_after(now + left)
        .add_extension(x509.BasicConstraints(ca=authority is None, path_length=None), critical=True)
        .add_extension(key_usage(ca=authority is None), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(
            x509.SubjectKeyIdentifier.from_public_key(private.public_key()), critical=False
        )
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
        .sign(signer, hashes.SHA256())
    )
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return Identity(str(certificate), str(key), made, private)


def key_usage(*, ca: bool) -> x509.KeyUsage:
    """Return the key usage, which Python 3.13 and newer require of an authority (RFC 5280)."""
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


class Pki:
    """An authority, and files that a server uses."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = issue(folder, "authority")
        self.files = folder / "server.pem", folder / "server.key"
        self.trust = ssl.create_default_context(cafile=self.authority.certificate)
        self.trust.check_hostname = False

    def issue(self, name: str, **options: dt.timedelta) -> Identity:
        return issue(self.folder, name, self.authority, **options)

    def install(self, identity: Identity) -> None:
        """Replace both files, one after the other, as most programs do."""
        for source, target in zip(identity.paths, self.files, strict=True):
            beside = target.with_suffix(".new")
            beside.write_bytes(Path(source).read_bytes())
            beside.replace(target)

    def shown(self, port: int) -> bytes:
        """Return the digest of the certificate that the server shows on a new connection."""
        with (
            socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as plain,
            self.trust.wrap_socket(plain) as encrypted,
        ):
            return hashlib.sha256(encrypted.getpeercert(binary_form=True) or b"").digest()

    def connect(self, port: int) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection("127.0.0.1", port, timeout=PATIENCE, context=self.trust)


def digest(identity: Identity) -> bytes:
    return hashlib.sha256(identity.x509.public_bytes(serialization.Encoding.DER)).digest()
