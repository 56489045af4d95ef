"""Tables that name a program, such as ``provider = { command = [...] }``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marshmallow import ValidationError, fields, validates_schema

from grantway._exceptions import ConfigurationError
from grantway_plugins.executable import Command

from .toml_file import TableSchema


class CommandTable(TableSchema):
    """A program, its arguments and limits; see ``grantway_plugins.executable.Command``."""

    command = fields.Raw(required=True)
    timeout = fields.Raw()
    environment = fields.Raw()
    output = fields.Raw()
    lifetime = fields.Raw()

    @validates_schema
    def check_command(self, data: Mapping[str, Any], **_options: Any) -> None:
        """Reject values that ``Command`` rejects."""
        try:
            Command(**data)
        except ConfigurationError as error:
            raise ValidationError(error.errors) from None
