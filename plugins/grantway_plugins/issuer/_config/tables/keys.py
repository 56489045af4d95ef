"""``[keys]``: the signing keys in the database."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from grantway_plugins._config.fields import StrictBoolean
from grantway_plugins._config.secret_field import SecretField
from grantway_plugins._config.tables import Number
from grantway_plugins.issuer._config.table import IssuerTable, Place, Texts
from grantway_plugins.issuer._keys.settings import KeySettings


class KeysTable(IssuerTable):
    """``[keys]``: the signing keys in the database (see ``KeySettings``)."""

    table = "keys"

    enabled = StrictBoolean()
    algorithms = Texts("ES256")
    rotation_interval = Number()
    publication = Number()
    encryption_keys = SecretField()

    def read(self, values: Mapping[str, Any], place: Place) -> Mapping[str, Any]:
        """Return the settings of the keys. Several encryption keys are separated by commas."""
        given = dict(values)
        if "encryption_keys" in given:
            given["encryption_keys"] = tuple(given["encryption_keys"].replace(",", " ").split())
        return {"keys": KeySettings(**given)}
