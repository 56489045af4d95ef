"""Read the entry points of installed distributions, directly from their files.

``importlib.metadata`` reads the same files, but importing it takes longer than reading them, so it
is used only for zip files, eggs and import hooks. Nothing is cached, so that every installation,
upgrade and removal is noticed. The formats are those of the entry points specification and of the
core metadata specification (https://packaging.python.org/specifications/).
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from functools import reduce
from importlib import import_module
from importlib.machinery import PathFinder
from typing import Any, NamedTuple, Protocol

from grantway._types.plugin_status import normal

_FLAGS = os.O_RDONLY | getattr(os, "O_BINARY", 0)  # on Windows
#: Ends of the names of folders with metadata.
_METADATA = (".dist-info", ".egg-info")
_VALUE = re.compile(r"([\w.]+)\s*(?::\s*([\w.]+)\s*)?(?:\[.*\]\s*)?")


class EntryPoint(NamedTuple):
    """An entry point: ``name = value`` in the section ``group`` of ``entry_points.txt``."""

    group: str
    name: str
    value: str


class About(NamedTuple):
    """The metadata of a distribution.

    Attributes:
        name: The name.
        version: The version.
        requires: The requirements, such as ``grantway>=0.2``.
    """

    name: str
    version: str
    requires: tuple[str, ...]


def load_object(value: str) -> Any:
    """Import the module or object that an entry point's value names.

    Raises:
        ValueError: the value has another format.
    """
    match = _VALUE.fullmatch(value)
    if match is None:
        raise ValueError(f"{value!r:.200} is not module or module:object")
    module = import_module(match[1])
    return reduce(getattr, match[2].split("."), module) if match[2] else module


class Distribution(Protocol):
    """The metadata of an installed distribution."""

    def read_text(self, filename: str) -> str | None:
        """Return the text of a metadata file, or None if there is none."""
        ...


class _Folder(NamedTuple):
    """A folder with the metadata of a distribution."""

    path: str

    def read_text(self, filename: str) -> str | None:
        """Return the text of a file, or None if there is none."""
        try:
            # pathlib and file objects take longer than reading the files.
            handle = os.open(f"{self.path}/{filename}", _FLAGS)
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            return None
        try:
            return os.read(handle, os.fstat(handle).st_size).decode()
        finally:
            os.close(handle)


def distributions() -> Iterator[Distribution]:
    """Yield the installed distributions; the first of a name hides later ones, as for imports."""
    seen: set[str] = set()
    for name, distribution in _all():
        if name not in seen:
            if name:
                seen.add(name)
            yield distribution


def _all() -> Iterator[tuple[str, Distribution]]:
    hooks = (each for each in sys.meta_path if each is not PathFinder)
    if any(hasattr(each, "find_distributions") for each in hooks):
        yield from _by_import_hooks(sys.path)
        return
    for folder in sys.path:
        try:
            children = os.listdir(folder or ".")  # noqa: PTH208 - as above
        except NotADirectoryError:
            yield from _by_import_hooks([folder])
            continue
        except OSError:
            continue
        if folder.lower().endswith(".egg"):
            yield from _by_import_hooks([folder])
            continue
        for child in sorted(each for each in children if each.lower().endswith(_METADATA)):
            name = child.rpartition(".")[0].partition("-")[0]
            yield normal(name), _Folder(f"{folder or '.'}/{child}")


def _by_import_hooks(path: list[str]) -> Iterator[tuple[str, Distribution]]:
    from importlib import metadata  # noqa: PLC0415 - only where it is needed

    for distribution in metadata.distributions(path=path):
        yield normal(about(distribution).name), distribution


def about(distribution: Distribution) -> About:
    """Return what the metadata of a distribution says; empty if it cannot be read."""
    try:
        text = distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or ""
    except (OSError, UnicodeDecodeError):
        text = ""
    fields: dict[str, str] = {}
    requires: list[str] = []
    for line in text.partition("\n\n")[0].splitlines():
        name, _, value = line.partition(":")
        if (name := name.lower()) in {"name", "version"}:
            fields.setdefault(name, value.strip())
        elif name == "requires-dist":
            requires.append(value.strip())
    return About(fields.get("name", ""), fields.get("version", ""), tuple(requires))


def parse(text: str) -> list[EntryPoint]:
    """Return the entry points in the text of an ``entry_points.txt``.

    Raises:
        ValueError: a line is neither a section nor ``name = value``.
    """
    found: list[EntryPoint] = []
    group = ""
    for each in text.splitlines():
        line = each.strip()
        if not line or line[0] == "#":
            continue
        if line[0] == "[" and line[-1] == "]":
            group = line[1:-1]
            continue
        name, equals, value = line.partition("=")
        if not equals:
            raise ValueError(f"the line {line!r:.80} is not name = value")
        found.append(EntryPoint(group, name.strip(), value.strip()))
    return found
