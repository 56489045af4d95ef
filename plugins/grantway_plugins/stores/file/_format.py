"""Where the file store keeps a key, and the quick way to read it.

A command that is run for each request has no time to import grantway. What it needs to find a
token that is still good stands here, and this module imports nothing but the standard library:
and of that, as it is loaded, only what every Python has loaded already.
"""

# Importing pathlib would take longer than all that is done here, and json and hashlib as long as
# starting Python does.
# ruff: noqa: PLC0415, PTH118, PTH123

import os

from grantway_plugins._paths import user_folder

# Type checkers know the name; importing ``typing`` for it would cost more than the rest.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: What to set where the user has no folder for state.
INSTEAD = "a folder for the store"


def default_folder() -> str:
    """The folder of a store that was given none: ``grantway/tokens`` in the user's state.

    Raises:
        ConfigurationError: it is below a home directory that there is not.
    """
    return os.path.join(user_folder("state", INSTEAD), "tokens")


def name_of(key: str) -> str:
    """A file name that no other key has, on a file system that ignores case too."""
    from hashlib import sha256

    return sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def path_of(folder: str, key: str) -> str:
    """The file of a key."""
    return os.path.join(folder, f"{name_of(key)}.json")


def peek(folder: str, key: str) -> "dict[str, Any] | None":
    """The fields of the record of a key, or None where it takes the whole store to tell more.

    See ``grantway._credentials.token_format`` for the fields; a record of another version is None.
    """
    return read(path_of(folder, key))


def read(path: str) -> "dict[str, Any] | None":
    """As ``peek``, of a file whose path is known."""
    try:
        with open(path, "rb") as file:
            record = _parsed(file.read().decode())
    except (OSError, ValueError, RecursionError):
        return None
    if isinstance(record, dict) and record.get("version") == 1:
        return record
    return None


class _Rules:
    """What ``json.loads`` asks of its scanner."""

    strict = True
    object_hook = object_pairs_hook = None
    parse_float, parse_int = float, int
    parse_constant = float


def _parsed(text: str) -> object:
    try:
        from _json import make_scanner
    except ImportError:  # another Python than CPython
        import json

        return json.loads(text)
    rules: Any = _Rules  # not the scanner itself, which the type stubs ask for
    try:
        record, end = make_scanner(rules)(text, 0)
    except StopIteration:
        return None
    return record if not text[end:].strip() else None
