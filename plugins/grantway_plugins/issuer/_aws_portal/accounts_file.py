"""Read the accounts file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from marshmallow import fields, validate

from grantway._exceptions import ConfigurationError
from grantway._types.fields import Text
from grantway_plugins._config.tables import Seconds
from grantway_plugins._config.toml_file import KeyPath, Mistake, TableSchema, TomlFile

from .accounts import AwsAccount, RoleCredentials

_ACCOUNT_ID = re.compile(r"\d{12}", re.ASCII)
_ROLE_NAME = re.compile(r"[A-Za-z0-9_+=,.@-]{1,64}")


class _RoleTable(TableSchema):
    access_key_id = Text(required=True, example="AKIAIOSFODNN7EXAMPLE", maximum=128)
    secret_access_key = Text(required=True, example="any text", maximum=4096)
    session_token = Text(required=True, example="any text", maximum=16_384)
    seconds = Seconds(load_default=3600.0)


class _AccountTable(TableSchema):
    name = Text(example="Sandbox", maximum=256)
    email = Text(example="sandbox@example.com", maximum=254)
    roles = fields.Dict(
        required=True,
        validate=validate.Length(min=1, error="must have at least one role"),
        error_messages={
            "required": "is missing; add a table for each role",
            "invalid": "must be a table",
        },
    )


def read_accounts(path: Path) -> tuple[AwsAccount, ...]:
    """Read an accounts file.

    Args:
        path: A TOML file with a table ``[accounts.ID]`` for each account, and a table
            ``[accounts.ID.roles.NAME]`` for each of its roles.

    Raises:
        ConfigurationError: the file is invalid; the error lists all problems, but no values.
    """
    if not path.exists():
        raise ConfigurationError(
            f"{path}: no such file; it needs a table [accounts.ID] for each AWS account, "
            "and a table [accounts.ID.roles.NAME] for each of its roles."
        )
    toml = TomlFile(path)
    mistakes: list[Mistake] = [
        ((name,), "is an unknown key; use accounts") for name in toml.data if name != "accounts"
    ]
    accounts = accounts_in(toml, toml.data.get("accounts"), ("accounts",), mistakes)
    if mistakes:
        raise toml.wrong(mistakes)
    return accounts


def accounts_in(
    toml: TomlFile, tables: Any, at: KeyPath, mistakes: list[Mistake]
) -> tuple[AwsAccount, ...]:
    """Return the accounts of a file's table, and add its mistakes to a list.

    Args:
        toml: The file.
        tables: The table of accounts by ID.
        at: Path of the table in the file.
        mistakes: Receives the mistakes.
    """
    if not isinstance(tables, Mapping) or not tables:
        mistakes.append((at, "must be a table with at least one account"))
        return ()
    return tuple(_account(toml, (*at, name), table, mistakes) for name, table in tables.items())


def _account(toml: TomlFile, at: KeyPath, table: Any, mistakes: list[Mistake]) -> AwsAccount:
    account_id = at[-1]
    if not _ACCOUNT_ID.fullmatch(account_id):
        mistakes.append((at, "must be an account id of twelve digits, like 123456789012"))
    read, problems = toml.validate(_AccountTable(), table, at)
    mistakes += problems
    if problems:  # the account is discarded
        read = {}
    roles: dict[str, RoleCredentials] = {}
    # Read from the file itself, so that roles are checked even if the account is invalid.
    found = table.get("roles") if isinstance(table, Mapping) else None
    for name, role in found.items() if isinstance(found, Mapping) else ():
        here = (*at, "roles", name)
        if not _ROLE_NAME.fullmatch(name):
            mistakes.append((here, "must be a role name of at most 64 letters, digits or _+=,.@-"))
        fields_read, problems = toml.validate(_RoleTable(), role, here)
        mistakes += problems
        if not problems:
            roles[name] = RoleCredentials(**fields_read)
    name = read.get("name") or account_id
    return AwsAccount(account_id, name, read.get("email") or f"{account_id}@example.com", roles)
