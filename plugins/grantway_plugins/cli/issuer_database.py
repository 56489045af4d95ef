"""Options for the issuer's database that keep its password out of the command line."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import wraps
from pathlib import Path
from typing import Any

import click

from grantway._exceptions import ConfigurationError
from grantway_plugins._sql.urls import has_password
from grantway_plugins.issuer._config import IssuerFile
from grantway_plugins.issuer._storage.database import default_path
from grantway_plugins.issuer._storage.store import IssuerStore

#: Environment variable with the database's URL, used without an option.
VARIABLE = "GRANTWAY_DATABASE_URL"


@dataclass(frozen=True)
class IssuerDatabase:
    """The values of the database options.

    Attributes:
        argument: Value of ``--database``.
        variable: Name of the environment variable given with ``--database-env``.
        file: Path given with ``--database-file``.
        config: Configuration file of the issuer that names the database, if no option does.
    """

    argument: str | None = field(default=None, repr=False)
    variable: str | None = None
    file: str | None = None
    config: str | None = None

    @property
    def is_given(self) -> bool:
        """Whether an option or the environment variable names a database."""
        given = (self.argument, self.variable, self.file, os.environ.get(VARIABLE) or None)
        return any(each is not None for each in given)

    def url(self) -> str | Path:
        """Return the database given by an option or the environment, or the default file.

        Raises:
            ConfigurationError: Several options are given, or the variable or file cannot be read.
        """
        if sum(each is not None for each in (self.argument, self.variable, self.file)) > 1:
            raise ConfigurationError(
                "Give only one of --database, --database-env and --database-file"
            )
        if self.argument is not None:
            if has_password(self.argument):
                raise ConfigurationError(
                    "--database contains a password, which every user of this machine can see in "
                    "the process list; put the URL into a file or an environment variable, and "
                    "use --database-file or --database-env"
                )
            return self.argument
        if self.variable is not None or self.file is not None:
            return read_secret("database", self.variable, self.file)
        return os.environ.get(VARIABLE) or self._configured() or default_path()

    def _configured(self) -> str | None:
        """Return the database in the configuration file, if there is one."""
        if self.config is None:
            return None
        file = IssuerFile(self.config)
        file.read("database")
        if file.mistakes:
            raise file.toml.wrong(file.mistakes)
        url: str | None = file.options.get("server", {}).get("database")
        return url

    @contextmanager
    def opened(self) -> Iterator[IssuerStore]:
        """Open the database of an issuer, which may be running.

        Raises:
            ConfigurationError: It is in the memory of the issuer, or as for ``url``.
            DatabaseError: It cannot be used.
        """
        where = self.url()
        if str(where) == ":memory:":
            raise ConfigurationError(
                "A database in memory belongs to the issuer's process; start the issuer with a "
                "database file, and give the same file here"
            )
        with closing(IssuerStore(where)) as store:
            yield store


def read_secret(name: str, variable: str | None, file: str | None) -> str:
    """Return the value of an environment variable or the content of a file, stripped.

    Args:
        name: Prefix of the option's name, for error messages.
        variable: Name of the variable, or None to read the file.
        file: Path of the file, or None.

    Raises:
        ConfigurationError: The value is missing, empty or unreadable. The message contains no
            content.
    """
    if variable is not None:
        value = os.environ.get(variable, "").strip()
        if not value:
            raise ConfigurationError(
                f"--{name}-env: the environment variable {variable} is not set; set it"
            )
        return value
    try:
        value = Path(file or "").read_text("utf-8").strip()
    except OSError as failed:
        raise ConfigurationError(f"--{name}-file: cannot read {file} ({failed.strerror})") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"--{name}-file: {file} is not UTF-8 text") from None
    if not value:
        raise ConfigurationError(f"--{name}-file: {file} is empty")
    return value


def database_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the database options to a command, which receives ``database: IssuerDatabase``."""

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
            help="File that contains the database's URL. Use it for a URL with a password.",
        ),
        click.option(
            "--database-env",
            default=None,
            metavar="NAME",
            help="Environment variable with the database's URL. Use it for a URL with a password.",
        ),
        click.option(
            "--database",
            type=str,
            default=None,
            help="Database file, :memory:, or an SQLAlchemy URL without a password. "
            f"Default: {VARIABLE}, or a file in your data folder.",
        ),
    ):
        with_database = option(with_database)
    return with_database


def operator_database_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the database options, and ``--config`` for the issuer's configuration file."""

    @wraps(command)
    def with_config(*args: Any, database: IssuerDatabase, config: str | None, **rest: Any) -> Any:
        return command(*args, database=replace(database, config=config), **rest)

    return click.option(
        "--config",
        type=click.Path(),
        default=None,
        help="Configuration file of grantway serve that names the database.",
    )(database_options(with_config))
