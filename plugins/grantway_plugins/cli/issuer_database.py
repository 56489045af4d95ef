"""The options that name the issuer's database; its password never has to be an argument."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any

import click

from grantway._exceptions import ConfigurationError
from grantway_plugins.issuer._storage.database import default_path, has_password

#: Where the database is named if no option does.
VARIABLE = "GRANTWAY_DATABASE_URL"


@dataclass(frozen=True)
class IssuerDatabase:
    """What the options say of the database."""

    argument: str | None = field(default=None, repr=False)
    variable: str | None = None
    file: str | None = None

    def url(self) -> str | Path:
        """Return the database: of the one option that is given, of the environment, or the default.

        Raises:
            ConfigurationError: several options name it, or the one that does cannot be read.
        """
        if sum(each is not None for each in (self.argument, self.variable, self.file)) > 1:
            raise ConfigurationError(
                "Give only one of --database, --database-env and --database-file"
            )
        if self.argument is not None:
            if has_password(self.argument):
                raise ConfigurationError(
                    "--database holds a password, which every user of this machine can see in the "
                    "list of processes; put the URL into a file or an environment variable and "
                    "name it by --database-file or --database-env"
                )
            return self.argument
        if self.variable is not None or self.file is not None:
            return read_secret("database", self.variable, self.file)
        return os.environ.get(VARIABLE) or default_path()


def read_secret(name: str, variable: str | None, file: str | None) -> str:
    """Return what an environment variable or a file holds, without the line's end.

    Args:
        name: The option's name, for the error.
        variable: The variable, or None.
        file: The file, or None.

    Raises:
        ConfigurationError: it is missing, empty or unreadable; names it, and quotes no content.
    """
    if variable is not None:
        value = os.environ.get(variable, "").strip()
        if not value:
            raise ConfigurationError(
                f"--{name}-env names the variable {variable}, which is not set; set it"
            )
        return value
    try:
        value = Path(file or "").read_text("utf-8").strip()
    except OSError as failed:
        raise ConfigurationError(
            f"--{name}-file names {file}, which cannot be read ({failed.strerror})"
        ) from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"--{name}-file names {file}, which is not text") from None
    if not value:
        raise ConfigurationError(f"--{name}-file names {file}, which is empty")
    return value


def database_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options; the command gets an ``IssuerDatabase`` as ``database``."""

    @wraps(command)
    def with_database(
        *args: Any,
        database: str | None,
        database_env: str | None,
        database_file: str | None,
        **options: Any,
    ) -> Any:
        named = IssuerDatabase(database, database_env, database_file)
        return command(*args, database=named, **options)

    for option in (
        click.option(
            "--database-file",
            default=None,
            type=click.Path(dir_okay=False),
            help="File whose content is the database's URL, for one with a password.",
        ),
        click.option(
            "--database-env",
            default=None,
            metavar="NAME",
            help="Environment variable that holds the database's URL, for one with a password.",
        ),
        click.option(
            "--database",
            type=str,
            default=None,
            help="Database file, :memory:, or an SQLAlchemy URL without a password. "
            f"Default: {VARIABLE}, else a file in your data folder.",
        ),
    ):
        with_database = option(with_database)
    return with_database
