"""``[[trusted_issuer]]``: an issuer whose tokens are accepted, or a file with several."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marshmallow import ValidationError, fields, validates_schema

from grantway_plugins._config.fields import PathField
from grantway_plugins.issuer._config.table import IssuerTable, Place, read_file
from grantway_plugins.issuer._trust.trust_file import (
    TrustedTable,
    read_trusted_issuers,
    trusted_issuer,
)


class TrustedIssuerTable(TrustedTable, IssuerTable):
    """``[[trusted_issuer]]``: the settings of ``TrustedIssuer``, or ``file`` for a trust file."""

    table = "trusted_issuer"
    collects = "trusted_issuers"

    issuer = fields.String(error_messages={"invalid": "must be a string"})
    file = PathField()

    @validates_schema
    def check_file(self, data: Mapping[str, Any], **_options: Any) -> None:
        """Require an issuer or a file."""
        if "file" in data and "issuer" in data:
            raise ValidationError({"file": ["cannot be combined with issuer; use two tables"]})
        if "file" not in data and "issuer" not in data:
            raise ValidationError({"issuer": ["is missing; give it, or file for a trust file"]})

    def read(self, values: Mapping[str, Any], place: Place) -> Mapping[str, Any]:
        """Return the trusted issuers of this table."""
        if "file" in values:
            return {"trusted_issuers": read_file(read_trusted_issuers, values["file"])}
        return {"trusted_issuers": (trusted_issuer(values, place.folder),)}
