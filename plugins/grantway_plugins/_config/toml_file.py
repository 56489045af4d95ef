"""A TOML file whose mistakes are told with the line on which they stand."""

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
from grantway._types.grant import Params

from .partial_table import PartialTable

#: Names of tables and keys, from the outermost.
PathField = tuple[str, ...]
#: Where a mistake is, and the rule that it breaks.
Mistake = tuple[PathField, str]
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_MISSING = "it holds a table [profiles.NAME] for each login"
_LINE = re.compile(r" \(at line (\d+), column \d+\)$")


class TableSchema(Schema):
    """Base of the schema of a table: unknown keys are errors that name the nearest right one."""

    class Meta:
        """Unknown keys are told by ``tell_unknown``, which knows what was meant."""

        unknown = EXCLUDE

    error_messages = {"type": "must be a table"}  # noqa: RUF012 - marshmallow reads it so

    @validates_schema(pass_original=True, skip_on_field_errors=False)
    def tell_unknown(self, data: object, original_data: object, **_options: Any) -> None:
        """Refuse each key that the schema does not have."""
        if not isinstance(original_data, Mapping):
            return
        known = {each.data_key or name for name, each in self.fields.items()}
        unknown = {
            name: [f"is no key here; {nearest(name, known)}"]
            for name in original_data
            if name not in known
        }
        if unknown:
            raise ValidationError(cast("dict[str, Any]", unknown))


def nearest(name: str, known: Iterable[str]) -> str:
    """What was probably meant, or all that there is."""
    there = sorted(known)
    close = get_close_matches(name, there, n=1)
    if close:
        return f"did you mean {close[0]}?"
    return f"there are {', '.join(there)}" if there else "there are none"


class TomlFile:
    """A file that was read, and where in it everything stands.

    Args:
        path: The file.
        data: What it says, instead of what stands in it now.
        name: What an error calls the file, like ``gateway file``.
        missing: How to fix it if there is no such file.

    Attributes:
        text: What was read.
        data: The same, parsed.

    Raises:
        ConfigurationError: it cannot be read, or is no TOML; names the line.
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
                problem = str(error)
        if problem:
            line = _LINE.search(problem)
            where = f"{path}, line {line[1]}" if line else f"{path}"
            raise ConfigurationError(f"{where}: {_LINE.sub('', problem)}.")

    def check(self, schema: Schema, table: Mapping[str, Any], at: PathField = ()) -> Params:
        """A table as its schema reads it.

        Args:
            schema: Its rules.
            table: What stands in the file.
            at: Where it stands.

        Raises:
            ConfigurationError: file, line and rule of every mistake; quotes no value.
        """
        # Its repr shows no value: a report that shows the locals of each frame shows none then.
        hidden = Params(table)
        del table
        read, mistakes = self.judge(schema, hidden, at)
        if mistakes:
            raise self.wrong(mistakes)
        return Params(read)

    def judge(
        self, schema: Schema, table: Mapping[str, Any], at: PathField = ()
    ) -> tuple[dict[str, Any], list[tuple[PathField, str]]]:
        """Return a table as its schema reads it, and its mistakes, for ``wrong``.

        A table with mistakes is a ``PartialTable``.

        Args:
            schema: Its rules.
            table: Its content in the file.
            at: Its place in the file.
        """
        try:
            return cast("dict[str, Any]", schema.load(table)), []
        except ValidationError as invalid:
            messages = invalid.messages_dict
        # Made outside the except block: the ValidationError holds the values, secrets too.
        read: dict[str, Any] = PartialTable(schema.fields)
        more: Mapping[Any, Any] = {}
        if isinstance(table, dict):  # the file may hold something else in its place
            read, more = _partial(schema, table, messages)
        mistakes = dict.fromkeys([*_flat(messages), *_flat(more)])
        return read, [((*at, *path), rule) for path, rule in mistakes]

    def wrong(self, mistakes: Iterable[tuple[PathField, str]]) -> ConfigurationError:
        """The error that tells of mistakes, each at its place."""
        lines, errors = [], dict[str, list[str]]()
        for path, rule in sorted(dict.fromkeys(mistakes), key=lambda each: self.line(each[0]) or 0):
            line = self.line(path)
            where = f"{self.path}, line {line}" if line else f"{self.path}"
            lines.append(f"{where}: {dotted(path)} {rule}")
            errors.setdefault(dotted(path), []).append(rule)
        return ConfigurationError("\n".join(lines), errors=errors)

    def line(self, path: PathField) -> int | None:
        """The line of a key, or of the table in which it stands or is missing; counts from 1.

        None where the file names neither.
        """
        while path:
            if path in self._lines:
                return self._lines[path]
            path = path[:-1]
        return None

    @property
    def _lines(self) -> dict[PathField, int]:
        if not hasattr(self, "_places"):
            self._places = dict[PathField, int]()
            for path, line in _places(self.text):
                self._places[path] = line
                for depth in range(1, len(path)):  # [profiles.work] begins profiles too
                    self._places.setdefault(path[:depth], line)
        return self._places


def dotted(path: PathField) -> str:
    """A key as it could stand in the file, like ``profiles.work.scope``."""
    return ".".join(name if _BARE.fullmatch(name) else f'"{name}"' for name in path)


def names(key: str) -> PathField:
    """Return the names in a key as ``dotted`` writes it."""
    return _path(f"{key} = 0")


def _read(path: Path, data: bytes | None, name: str, missing: str) -> tuple[str, str]:
    """Return the text, and the reason if it cannot be read."""
    try:
        return (path.read_bytes() if data is None else data).decode(), ""
    except FileNotFoundError:
        return "", f"there is no such {name}; {missing}"
    except IsADirectoryError:
        return "", f"cannot be read (is a directory, not a {name}); name the file in it"
    except UnicodeDecodeError as error:
        before = error.object[: error.start].count(b"\n")
        return "", f"is not UTF-8; save the {name} as UTF-8 (at line {before + 1}, column 1)"
    except PermissionError:
        return "", f"cannot be read (no permission); let this user read the {name}"
    except (OSError, ValueError) as error:  # ValueError: a path with a null character
        reason = getattr(error, "strerror", None) or error
        return "", f"cannot be read as a {name} ({reason})"


def _partial(
    schema: Schema, table: Mapping[str, Any], messages: Mapping[Any, Any]
) -> tuple[PartialTable, Mapping[Any, Any]]:
    """Load a table without its invalid keys, as marshmallow skips validators beside them.

    Returns:
        The valid part, and the messages of the validators that depend on nothing else.
    """
    invalid = {str(name) for name in messages if name != SCHEMA}
    unknown = invalid - set(schema.fields)
    # A misspelt key is the one that was meant, which must not count as left out.
    meant = {each for name in unknown for each in get_close_matches(name, schema.fields, n=1)}
    invalid |= meant - set(table)
    rest = {name: value for name, value in table.items() if name not in invalid}
    # Set on the instance: nested schemas have their own.
    schema.dict_class = cast("type[dict[str, Any]]", partial(PartialTable, frozenset(invalid)))
    more: Mapping[Any, Any] = {}
    try:
        valid = cast("dict[str, Any]", schema.load(rest, partial=tuple(invalid)))
    except ValidationError as error:
        more, valid = error.messages_dict, cast("dict[str, Any]", error.valid_data)
    finally:
        del schema.dict_class
    invalid |= {str(name) for name in more if name != SCHEMA}
    if SCHEMA in {*messages, *more}:  # as where one of several keys is needed
        invalid |= set(schema.fields) - set(table)
    return PartialTable(invalid, {n: dict.get(valid, n) for n in dict.keys(valid)}), more


def _flat(messages: Mapping[Any, Any], path: PathField = ()) -> Iterator[tuple[PathField, str]]:
    for name, inner in messages.items():
        # marshmallow names a list's items by number, and what is wrong with the whole _schema.
        here = path if name == "_schema" or isinstance(name, int) else (*path, str(name))
        if isinstance(inner, Mapping):
            yield from _flat(inner, here)
        else:
            yield from ((here, str(rule)) for rule in inner)


def _places(text: str) -> Iterator[tuple[PathField, int]]:
    """Each table and key with its line; the last of a name counts.

    The parser tells no places. Each line that could be a header or the beginning of a key is
    given to it alone: so quotes and dots are read by its rules. A line in a text of several lines
    may look like one; that misplaces a message and nothing else.
    """
    table: PathField = ()
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("["):
            if header := _path(line):
                table = header
                yield table, number
        elif "=" in line and (key := _path(f"{line.split('=', 1)[0]}= 0")):
            yield table + key, number


def _path(line: str) -> PathField:
    """The names in a line that holds one table or key and nothing else."""
    try:
        found: object = tomllib.loads(line)
    except tomllib.TOMLDecodeError:
        return ()
    path: PathField = ()
    while isinstance(found, dict) and found:
        name, found = next(iter(found.items()))
        path += (name,)
        if isinstance(found, list):  # an array of tables, which its first stands for
            found = found[0]
    return path
