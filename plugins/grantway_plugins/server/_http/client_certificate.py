"""Read the client certificate that a proxy forwards in a header.

Proxies use different formats: base64 DER (Caddy, HAProxy, Traefik), the same between colons
(RFC 9440), PEM with percent-encoding (nginx) or without line breaks, and Envoy's
``X-Forwarded-Client-Cert``.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from urllib.parse import unquote

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

#: Maximum length of the header, in characters.
MAX_HEADER = 32_768
_ENVOY = re.compile(r'(?:^|;)\s*Cert="([^"]*)"', re.IGNORECASE)
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", re.DOTALL)


class InvalidCertificateError(Exception):
    """The header contains no certificate. The message continues "The client certificate ..."."""


def read_certificate(header: str) -> x509.Certificate:
    """Return the certificate in a header.

    Raises:
        InvalidCertificateError: the header has several values, or is in no known format.
    """
    if len(header) > MAX_HEADER:
        raise InvalidCertificateError(f"header is longer than {MAX_HEADER} characters")
    if "," in header:
        # A proxy that adds to the header of its client, instead of replacing it, is not safe.
        raise InvalidCertificateError("header has several values; let the proxy replace it")
    envoy = _ENVOY.search(header)
    text = unquote(envoy[1] if envoy else header)
    found = _PEM.findall(text)
    encoded = re.sub(r"\s+", "", found[0] if found else text.strip().strip(":"))
    try:
        return x509.load_der_x509_certificate(base64.b64decode(encoded, validate=True))
    except (ValueError, binascii.Error):
        pass
    raise InvalidCertificateError("cannot be read; let the proxy send it as PEM or DER in base64")


def thumbprint(certificate: x509.Certificate) -> str:
    """Return the ``x5t#S256`` of a certificate (RFC 8705 section 3.1)."""
    der = certificate.public_bytes(Encoding.DER)
    return base64.urlsafe_b64encode(hashlib.sha256(der).digest()).rstrip(b"=").decode()
