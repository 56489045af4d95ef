"""The files of a server's certificate, as the issuer and the gateway name them."""

from __future__ import annotations

from .fields import PathField
from .toml_file import TableSchema


class CertificateFiles(TableSchema):
    """PEM files with a server's certificate and key."""

    certificate = PathField()
    key = PathField()
