"""Read the trust file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from marshmallow import fields

from grantway._exceptions import ConfigurationError
from grantway_plugins._config.tables import Number
from grantway_plugins._config.toml_file import Mistake, TableSchema, TomlFile, nearest

from .trusted_issuer import TrustedIssuer

#: Settings that are paths, which are relative to the folder of the file.
_PATHS = ("jwks_file", "ca_bundle", "token_file")


def _text(*, required: bool = False) -> fields.String:
    return fields.String(
        required=required,
        error_messages={"required": "is missing", "invalid": "must be a string"},
    )


def _texts() -> fields.List[str]:
    return fields.List(_text(), error_messages={"invalid": "must be a list of strings"})


def _table() -> fields.Dict:
    return fields.Dict(error_messages={"invalid": "must be a table of strings"})


class TrustedTable(TableSchema):
    """An issuer and the rules for its tokens (see ``TrustedIssuer``)."""

    issuer = _text(required=True)
    subjects = _texts()
    clients = _table()
    users = _texts()
    subject_claim = _text()
    subject_prefix = _text()
    audiences = _texts()
    claims = _table()
    jwks_file = _text()
    jwks_uri = _text()
    ca_bundle = _text()
    token_file = _text()
    algorithms = _texts()
    single_use = fields.Raw()
    max_lifetime = Number()
    leeway = Number()


def read_trusted_issuers(path: Path) -> tuple[TrustedIssuer, ...]:
    """Read a trust file.

    Args:
        path: A TOML file with a table ``[trusted.NAME]`` for each issuer, whose keys are the
            settings of ``TrustedIssuer`` except ``jwks``. Relative paths start at its folder.

    Raises:
        ConfigurationError: the file is invalid; the error lists all problems with their lines.
    """
    toml = TomlFile(path, missing="it needs a table [trusted.NAME] for each issuer")
    mistakes: list[Mistake] = [
        ((name,), f"is an unknown key; {nearest(name, ['trusted'])}")
        for name in toml.data
        if name != "trusted"
    ]
    tables = toml.data.get("trusted")
    if not isinstance(tables, Mapping) or not tables:
        mistakes.append((("trusted",), "must be a table with a table for each issuer"))
        tables = {}
    found: list[TrustedIssuer] = []
    for name, table in tables.items():
        at = ("trusted", name)
        read, problems = toml.validate(TrustedTable(), table, at)
        if not problems:
            try:
                trusted = trusted_issuer(read, path.parent)
            except ConfigurationError as error:
                problems = [
                    ((*at, key), rule) for key, rules in error.errors.items() for rule in rules
                ]
            else:
                if any(each.issuer == trusted.issuer for each in found):
                    problems = [((*at, "issuer"), "is in another table already; combine them")]
                found.append(trusted)
        mistakes += problems
    if mistakes:
        raise toml.wrong(mistakes)
    return tuple(found)


def trusted_issuer(read: Mapping[str, Any], folder: Path) -> TrustedIssuer:
    """Return the issuer that a table describes.

    Args:
        read: The values of a ``TrustedTable``.
        folder: Folder at which relative paths start.

    Raises:
        ConfigurationError: a value is invalid; ``errors`` names its key.
    """
    options: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in read.items()
    }
    for name in _PATHS:
        if options.get(name):
            options[name] = str(folder / options[name])
    return TrustedIssuer(**options)
