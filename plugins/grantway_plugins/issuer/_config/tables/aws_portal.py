"""``[aws_portal]``: accounts of the test double of AWS's access portal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marshmallow import ValidationError, fields, validates_schema

from grantway_plugins._config.fields import PathField
from grantway_plugins.issuer._aws_portal.accounts_file import accounts_in, read_accounts
from grantway_plugins.issuer._config.table import IssuerTable, Place, read_file


class AwsPortalTable(IssuerTable):
    """``[aws_portal]``: ``file`` for an accounts file, or its tables ``accounts.ID``."""

    table = "aws_portal"
    names = {"accounts": ("aws_accounts",)}  # noqa: RUF012

    file = PathField()
    accounts = fields.Raw()  # ``accounts_in`` checks it

    @validates_schema
    def check_file(self, data: Mapping[str, Any], **_options: Any) -> None:
        """Require either accounts or a file."""
        if ("file" in data) == ("accounts" in data):
            raise ValidationError({"accounts": ["or file is required, and not both"]})

    def read(self, values: Mapping[str, Any], place: Place) -> Mapping[str, Any]:
        """Return the accounts."""
        if "file" in values:
            return {"aws_accounts": read_file(read_accounts, values["file"])}
        at = (*place.at, "accounts")
        return {"aws_accounts": accounts_in(place.toml, values["accounts"], at, place.mistakes)}
