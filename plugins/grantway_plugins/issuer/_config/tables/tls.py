"""``[tls]``: the certificate of the server."""

from __future__ import annotations

from grantway_plugins._config.certificate_files import CertificateFiles
from grantway_plugins.issuer._config.table import IssuerTable


class TlsTable(CertificateFiles, IssuerTable):
    """``[tls]``: PEM files with the server's certificate and key."""

    table = "tls"
    part = "server"
    names = {"certificate": ("tls_certificate",), "key": ("tls_key",)}  # noqa: RUF012
