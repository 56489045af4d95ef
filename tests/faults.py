"""The public fault server, and a self-signed certificate for grantway's own tests."""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from grantway.testing.faults import (
    CHUNKED,
    DRIP,
    TOKEN,
    Act,
    FaultServer,
    Received,
    Stage,
    chunk_cut,
    chunks_cut,
    close_after,
    close_after_request,
    drip,
    drip_body,
    drip_head,
    endless,
    free_port,
    half,
    message,
    raw,
    reset_after_request,
    reset_early,
    reset_unread,
    respond,
    stall,
    stall_body,
)
from tests.certificates import key_usage

__all__ = [
    "CHUNKED",
    "DRIP",
    "TOKEN",
    "Act",
    "FaultServer",
    "Received",
    "Stage",
    "certificate",
    "chunk_cut",
    "chunks_cut",
    "close_after",
    "close_after_request",
    "drip",
    "drip_body",
    "drip_head",
    "endless",
    "free_port",
    "half",
    "message",
    "raw",
    "reset_after_request",
    "reset_early",
    "reset_unread",
    "respond",
    "stall",
    "stall_body",
]


def certificate(folder: Path) -> tuple[ssl.SSLContext, str]:
    """Return a server context with a self-signed certificate for 127.0.0.1, and its CA file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "grantway tests")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(key_usage(ca=True), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    trusted = folder / "trusted.pem"
    trusted.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return context, str(trusted)
