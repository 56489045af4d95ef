"""The base of all tables of the configuration file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

from marshmallow import fields

from grantway._exceptions import ConfigurationError
from grantway_plugins._config.toml_file import KeyPath, Mistake, TableSchema, TomlFile

T = TypeVar("T")
#: The object that an option belongs to: ``IssuerSettings``, its ``Lifetimes``, the server's
#: ``Limits``, or the arguments of ``serve``.
Part = Literal["settings", "lifetimes", "limits", "server"]


@dataclass(frozen=True)
class Place:
    """The place of a table, for errors and paths.

    Attributes:
        toml: The file.
        at: Path of the table in the file.
        mistakes: Receives further mistakes in the table.
    """

    toml: TomlFile
    at: KeyPath
    mistakes: list[Mistake]

    @property
    def folder(self) -> Path:
        """Folder at which relative paths start."""
        return self.toml.path.parent


class IssuerTable(TableSchema):
    """A table of the configuration file.

    Attributes:
        table: Name of the table in the file.
        collects: If the table is an array, ``[[NAME]]``: the option with its items. ``read``
            returns the items of one table as a tuple, under this name.
        part: The object that its values belong to.
        names: Options by key, if their names differ. A key with several options has a tuple value.
    """

    table: ClassVar[str]
    collects: ClassVar[str] = ""
    part: ClassVar[Part] = "settings"
    names: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    def read(self, values: Mapping[str, Any], place: Place) -> Mapping[str, Any]:
        """Return the options that the table sets, by name.

        The default sets one option for each key, also if other keys are invalid. A method that
        overrides it is called only if the schema found no mistake.

        Args:
            values: The valid keys, with secrets read and paths made absolute.
            place: Place of the table.

        Raises:
            ConfigurationError: values are invalid; ``errors`` names their keys.
        """
        options: dict[str, Any] = {}
        for key, value in values.items():
            names = self.names.get(key, (key,))
            options |= zip(names, value if len(names) > 1 else (value,), strict=True)
        return options


def text(**options: Any) -> fields.String:
    """Return a field for text."""
    return fields.String(
        error_messages={"invalid": "must be text", "required": "is missing"}, **options
    )


class Texts(fields.List[str]):
    """A list of text, as a tuple.

    Args:
        example: An item, shown in errors.
    """

    def __init__(self, example: str, **options: Any) -> None:
        rule = f'must be a list, like ["{example}"]'
        item = fields.String(error_messages={"invalid": rule})
        super().__init__(item, error_messages={"invalid": rule}, **options)

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **options: Any
    ) -> Any:
        return tuple(super()._deserialize(value, attr, data, **options))


def read_file(read: Callable[[Path], tuple[T, ...]], path: str) -> tuple[T, ...]:
    """Read the file that a key ``file`` names.

    Raises:
        ConfigurationError: The file is invalid; the rule of ``file`` lists its mistakes.
    """
    try:
        return read(Path(path))
    except ConfigurationError as error:
        problem = f"cannot be used:\n{error.message}"
    raise ConfigurationError(problem, errors={"file": [problem]})
