"""``[tls]``: the certificate of the server."""

from __future__ import annotations

from grantway_plugins.issuer._config.table import IssuerTable, PathField


class TlsTable(IssuerTable):
    """``[tls]``: PEM files with the server's certificate and key."""

    table = "tls"
    part = "server"
    names = {"certificate": ("tls_certificate",), "key": ("tls_key",)}  # noqa: RUF012

    certificate = PathField()
    key = PathField()
