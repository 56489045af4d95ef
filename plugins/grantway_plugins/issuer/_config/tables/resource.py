"""``[[resource]]``: a protected resource for which clients may request tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marshmallow import fields

from grantway_plugins._config.fields import Choice
from grantway_plugins.issuer._config.table import IssuerTable, Place, Texts, text
from grantway_plugins.issuer._resource import Resource


class ResourceTable(IssuerTable):
    """``[[resource]]``: the settings of ``Resource``."""

    table = "resource"
    collects = "resources"

    url = text(required=True)
    scopes = Texts("orders:read")
    access_token_format = Choice("opaque", "jwt")
    access_token_lifetime = fields.Raw()  # Resource checks it
    introspection_clients = Texts("files-api")

    def read(self, values: Mapping[str, Any], place: Place) -> Mapping[str, Any]:
        """Return the resource of this table."""
        return {"resources": (Resource(**values),)}
