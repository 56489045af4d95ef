"""``[client_documents]``: which Client ID Metadata Documents are accepted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from grantway_plugins.issuer._clients.document_settings import ClientDocuments
from grantway_plugins.issuer._config.table import IssuerTable, Place, Texts


class ClientDocumentsTable(IssuerTable):
    """``[client_documents]``: the settings of ``ClientDocuments``. The table enables them."""

    table = "client_documents"

    hosts = Texts("app.example.com")
    private_hosts = Texts("127.0.0.1")

    def read(self, values: Mapping[str, Any], place: Place) -> Mapping[str, Any]:
        """Return the settings of this table."""
        return {"client_documents": ClientDocuments(**values)}
