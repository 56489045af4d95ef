"""``[database]``: where the issuer stores clients and tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from grantway_plugins._config.fields import Choice
from grantway_plugins._config.secret_field import SecretField
from grantway_plugins.issuer._config.table import IssuerTable, Place


class DatabaseTable(IssuerTable):
    """``[database]``: where the issuer stores clients and tokens."""

    table = "database"
    part = "server"
    names = {"url": ("database",)}  # noqa: RUF012

    url = SecretField()
    durability = Choice("process", "power")

    def read(self, values: Mapping[str, Any], place: Place) -> Mapping[str, Any]:
        """Return the options. A relative path of a file starts at the folder of this file."""
        options = dict(super().read(values, place))
        url = options.get("database")
        if url is not None and ":" not in url:
            options["database"] = str(place.folder / url)
        return options
