"""``[client_certificates]``: the header with the certificates of clients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from grantway_plugins._config.fields import PathField
from grantway_plugins.issuer._clients.certificate_settings import ClientCertificates
from grantway_plugins.issuer._config.table import IssuerTable, Place, text


class ClientCertificatesTable(IssuerTable):
    """``[client_certificates]``: the settings of ``ClientCertificates``. The table enables them."""

    table = "client_certificates"

    header = text()
    ca_file = PathField()

    def read(self, values: Mapping[str, Any], place: Place) -> Mapping[str, Any]:
        """Return the settings of this table."""
        return {"client_certificates": ClientCertificates(**values)}
