"""Read and validate TOML files, with line numbers in error messages."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any, cast

from marshmallow import EXCLUDE, Schema, ValidationError, validates_schema
from marshmallow.exceptions import SCHEMA

from grantway._exceptions import ConfigurationError
from grantway._secrets.params import Params

from .partial_table import PartialTable

#: Path of a table or key: the names from the outermost table to it. A table of an array
#: ``[[name]]`` has its position after its name: "1" is the first.
KeyPath = tuple[str, ...]
#: Path of a mistake, and the rule that it breaks.
Mistake = tuple[KeyPath, str]
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_MISSING = (
    "create it with a table [profiles.NAME] for each login, or run grantway login with the address "
    "of your provider"
)
_LINE = re.compile(r" \(at line (\d+), column \d+\)$")


class TableSchema(Schema):
    """Base schema of a table. Errors about unknown keys suggest a similar key."""

    class Meta:
        """Let ``check_unknown`` report unknown keys."""

        unknown = EXCLUDE

    error_messages = {"type": "must be a table"}  # noqa: RUF012 - marshmallow reads it so

    @validates_schema(pass_original=True, skip_on_field_errors=False)
    def check_unknown(self, data: object, original_data: object, **_options: Any) -> None:
        """Reject each key that the schema does not have."""
        if not isinstance(original_data, Mapping):
            return
        known = {each.data_key or name for name, each in self.fields.items()}
        unknown = {
            name: [f"is an unknown key; {nearest(name, known)}"]
            for name in original_data
            if name not in known
        }
        if unknown:
            raise ValidationError(cast("dict[str, Any]", unknown))


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a suggestion for an unknown name: the most similar known name, or all of them."""
    names = sorted(known)
    close = get_close_matches(name, names, n=1)
    if close:
        return f"did you mean {close[0]}?"
    return f"there are {', '.join(names)}" if names else "there are none"


class TomlFile:
    """A parsed TOML file that knows the line of each table and key.

    Args:
        path: Path of the file.
        data: Content to use instead of reading the file.
        name: Description of the file in errors, like ``gateway file``.
        missing: Advice for the error if the file does not exist.

    Attributes:
        path: Path of the file.
        text: Content of the file.
        data: Parsed content.

    Raises:
        ConfigurationError: The file cannot be read, or is not TOML; names the line.
    """

    def __init__(
        self, path: Path, data: bytes | None = None, *, name: str = "file", missing: str = _MISSING
    ) -> None:
        self.path = path
        self.text, problem = _read(path, data, name, missing)
        self.data: dict[str, Any] = {}
        if not problem:
            try:
                self.data = tomllib.loads(self.text)
            except tomllib.TOMLDecodeError as error:
                problem = str(error).replace("Invalid value", "Invalid value; text needs quotes")
        if problem:
            line = _LINE.search(problem)
            where = f"{path}, line {line[1]}" if line else f"{path}"
            raise ConfigurationError(f"{where}: {_LINE.sub('', problem)}.")

    def check(self, schema: Schema, table: Mapping[str, Any], at: KeyPath = ()) -> Params:
        """Validate a table and return its values.

        Args:
            schema: Schema of the table.
            table: Content of the table.
            at: Path of the table in the file.

        Raises:
            ConfigurationError: The table has mistakes. The message gives file, line and rule of
                each, without values.
        """
        # The repr of ``Params`` shows no values, so error reports with locals show no secrets.
        hidden = Params(table)
        del table
        read, mistakes = self.validate(schema, hidden, at)
        if mistakes:
            raise self.wrong(mistakes)
        return Params(read)

    def validate(
        self, schema: Schema, table: Mapping[str, Any], at: KeyPath = ()
    ) -> tuple[dict[str, Any], list[tuple[KeyPath, str]]]:
        """Return the values of a table, and its mistakes, for ``wrong``.

        If there are mistakes, the values are a ``PartialTable``.

        Args:
            schema: Schema of the table.
            table: Content of the table.
            at: Path of the table in the file.
        """
        try:
            return cast("dict[str, Any]", schema.load(table)), []
        except ValidationError as invalid:
            messages = invalid.messages_dict
        # Outside the except block, because the ValidationError holds values, which may be secrets.
        read: dict[str, Any] = PartialTable(schema.fields)
        more: Mapping[Any, Any] = {}
        if isinstance(table, dict):  # the file may have another type here
            read, more = _partial(schema, table, messages)
        mistakes = dict.fromkeys([*_flat(messages), *_flat(more)])
        return read, [((*at, *path), rule) for path, rule in mistakes]

    def wrong(self, mistakes: Iterable[tuple[KeyPath, str]]) -> ConfigurationError:
        """Return an error that lists mistakes with their lines, in the order of the file."""
        lines, errors = [], dict[str, list[str]]()
        for path, rule in sorted(dict.fromkeys(mistakes), key=lambda each: self.line(each[0]) or 0):
            lines.append(f"{self.place(path)}: {dotted(path)} {rule}")
            errors.setdefault(dotted(path), []).append(rule)
        return ConfigurationError("\n".join(lines), errors=errors)

    def place(self, path: KeyPath) -> str:
        """Return the file and the line of a key, for messages."""
        line = self.line(path)
        return f"{self.path}, line {line}" if line else f"{self.path}"

    def line(self, path: KeyPath) -> int | None:
        """Return the line of a key or, if it is missing, of its table; the first line is 1.

        Return None if the file has neither.
        """
        while path:
            if path in self._lines:
                return self._lines[path]
            path = path[:-1]
        return None

    @property
    def _lines(self) -> dict[KeyPath, int]:
        if not hasattr(self, "_places"):
            self._places = dict[KeyPath, int]()
            for path, line in _places(self.text):
                self._places[path] = line
                for depth in range(1, len(path)):  # [profiles.work] also starts profiles
                    self._places.setdefault(path[:depth], line)
        return self._places


def dotted(path: KeyPath) -> str:
    """Return a path as a dotted key, like ``profiles.work.scope``."""
    return ".".join(name if _BARE.fullmatch(name) else f'"{name}"' for name in path)


def names(key: str) -> KeyPath:
    """Return the path of a key written by ``dotted``."""
    return _path(f"{key} = 0")


def mistakes_of(error: ConfigurationError) -> list[Mistake]:
    """Return the mistakes that an error of ``TomlFile.wrong`` lists."""
    return [(names(key), rule) for key, found in error.errors.items() for rule in found]


def _read(path: Path, data: bytes | None, name: str, missing: str) -> tuple[str, str]:
    """Return the text, and the reason if it cannot be read."""
    try:
        return (path.read_bytes() if data is None else data).decode(), ""
    except FileNotFoundError:
        return "", f"no such {name}; {missing}"
    except IsADirectoryError:
        return "", f"is a directory, not a {name}; give the path of the file"
    except UnicodeDecodeError as error:
        before = error.object[: error.start].count(b"\n")
        return "", f"is not UTF-8; save the {name} as UTF-8 (at line {before + 1}, column 1)"
    except PermissionError:
        return "", f"cannot be read (no permission); let this user read the {name}"
    except (OSError, ValueError) as error:  # a path with a null character is a ValueError
        reason = getattr(error, "strerror", None) or error
        return "", f"cannot be read as a {name} ({reason})"


def _partial(
    schema: Schema, table: Mapping[str, Any], messages: Mapping[Any, Any]
) -> tuple[PartialTable, Mapping[Any, Any]]:
    """Load a table without its invalid keys, so that marshmallow runs the schema's validators.

    Returns:
        The valid keys, and the messages of the validators that do not depend on invalid keys.
    """
    invalid = {str(name) for name in messages if name != SCHEMA}
    unknown = invalid - set(schema.fields)
    # Do not report a required key as missing if it was misspelt.
    meant = {each for name in unknown for each in get_close_matches(name, schema.fields, n=1)}
    invalid |= meant - set(table)
    rest = {name: value for name, value in table.items() if name not in invalid}
    # Only for this schema: nested schemas have their own ``dict_class``.
    schema.dict_class = cast("type[dict[str, Any]]", partial(PartialTable, frozenset(invalid)))
    more: Mapping[Any, Any] = {}
    try:
        valid = cast("dict[str, Any]", schema.load(rest, partial=tuple(invalid)))
    except ValidationError as error:
        more, valid = error.messages_dict, cast("dict[str, Any]", error.valid_data)
    finally:
        del schema.dict_class
    invalid |= {str(name) for name in more if name != SCHEMA}
    if SCHEMA in {*messages, *more}:  # such as "needs one of several keys"
        invalid |= set(schema.fields) - set(table)
    return PartialTable(invalid, {n: dict.get(valid, n) for n in dict.keys(valid)}), more


def _flat(messages: Mapping[Any, Any], path: KeyPath = ()) -> Iterator[tuple[KeyPath, str]]:
    for name, inner in messages.items():
        # marshmallow uses numbers for list items, and "_schema" for the whole table.
        here = path if name == "_schema" or isinstance(name, int) else (*path, str(name))
        if isinstance(inner, Mapping):
            yield from _flat(inner, here)
        else:
            yield from ((here, str(rule)) for rule in inner)


def _places(text: str) -> Iterator[tuple[KeyPath, int]]:
    """Yield each table and key with its line.

    ``tomllib`` reports no positions. So each line that looks like a header or the start of a key is
    parsed by itself. Lines of a multi-line string can look the same, which may only cause a wrong
    line number in a message.
    """
    table: KeyPath = ()
    positions: dict[KeyPath, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("["):
            if header := _path(line):
                is_item = line.lstrip().startswith("[[")
                table = _with_positions(header, positions, is_item=is_item)
                yield table, number
        elif "=" in line and (key := _path(f"{line.split('=', 1)[0]}= 0")):
            yield table + key, number


def _with_positions(header: KeyPath, positions: dict[KeyPath, int], *, is_item: bool) -> KeyPath:
    """Return the path of a header with the positions in arrays of tables, and count a new item."""
    path: KeyPath = ()
    for depth, name in enumerate(header, 1):
        path += (name,)
        if is_item and depth == len(header):
            positions[path] = positions.get(path, 0) + 1
        if path in positions:
            path += (str(positions[path]),)
    return path


def _path(line: str) -> KeyPath:
    """Return the path in a line with one table header or one key, or an empty path."""
    try:
        found: object = tomllib.loads(line)
    except tomllib.TOMLDecodeError:
        return ()
    path: KeyPath = ()
    while isinstance(found, dict) and found:
        name, found = next(iter(found.items()))
        path += (name,)
        if isinstance(found, list):  # an array of tables
            found = found[0]
    return path
