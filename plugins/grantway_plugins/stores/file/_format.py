"""File names of the file store, and a fast reader for its records.

A command that runs for each request cannot afford to import grantway. This module lets it find a
live token with the standard library alone. On import it loads only modules that Python has
already loaded at startup.
"""

# Importing pathlib would take longer than this module's work, and json and hashlib as long as
# starting Python.
# ruff: noqa: PLC0415, PTH118, PTH123

import os

from grantway_plugins._paths import user_folder

# Type checkers treat this name as True; importing ``typing`` for it would be too slow.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: The setting that an error suggests if the user has no state folder.
INSTEAD = "a folder for the store"


def default_folder() -> str:
    """Return the default folder of the store: ``grantway/tokens`` in the user's state folder.

    Raises:
        ConfigurationError: The folder depends on a home directory that does not exist.
    """
    return os.path.join(user_folder("state", INSTEAD), "tokens")


def name_of(key: str) -> str:
    """Return a file name that is unique to the key, even if the file system ignores case."""
    from hashlib import sha256

    return sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def path_of(folder: str, key: str) -> str:
    """Return the path of a key's file."""
    return os.path.join(folder, f"{name_of(key)}.json")


def peek(folder: str, key: str) -> "dict[str, Any] | None":
    """Return the fields of a key's record, or None if only the full store can read it.

    See ``grantway._credentials.token_format`` for the fields. Records of another version give None.
    """
    return read(path_of(folder, key))


def read(path: str) -> "dict[str, Any] | None":
    """Return the fields of a record by its path; see ``peek``."""
    try:
        with open(path, "rb") as file:
            record = _parsed(file.read().decode())
    except (OSError, ValueError, RecursionError):
        return None
    if isinstance(record, dict) and record.get("version") == 1:
        return record
    return None


class _Rules:
    """The scanner settings that ``json.loads`` uses."""

    strict = True
    object_hook = object_pairs_hook = None
    parse_float, parse_int = float, int
    parse_constant = float


def _parsed(text: str) -> object:
    try:
        from _json import make_scanner
    except ImportError:  # not CPython
        import json

        return json.loads(text)
    rules: Any = _Rules  # the type stubs require an instance of JSONDecoder
    try:
        record, end = make_scanner(rules)(text, 0)
    except StopIteration:
        return None
    return record if not text[end:].strip() else None
