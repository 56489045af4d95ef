"""Where the file store keeps a key, and the quick way to read it.

A command that is run for each request has no time to import grantway. What it needs to find a
token that is still good stands here, and this module imports nothing but the standard library.
"""

# Importing pathlib would take longer than all that is done here.
# ruff: noqa: PTH111, PTH117, PTH118, PTH123

import json
import os
import sys
from hashlib import sha256

# Type checkers know the name; importing ``typing`` for it would cost more than the rest.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_LINUX = sys.platform == "linux"


def default_folder() -> str:
    """The folder of a store that was given none: ``grantway/tokens`` in the user's state."""
    if _LINUX:
        # What platformdirs says too, without the time that importing it takes.
        state = os.environ.get("XDG_STATE_HOME", "").strip()
        if not os.path.isabs(state):
            state = os.path.join(os.path.expanduser("~"), ".local", "state")
        return os.path.join(state, "grantway", "tokens")
    import platformdirs  # noqa: PLC0415 - only where it is needed

    return os.path.join(platformdirs.user_state_dir("grantway"), "tokens")


def name_of(key: str) -> str:
    """A file name that no other key has, on a file system that ignores case too."""
    return sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def path_of(folder: str, key: str) -> str:
    """The file of a key."""
    return os.path.join(folder, f"{name_of(key)}.json")


def peek(folder: str, key: str) -> "dict[str, Any] | None":
    """The fields of the record of a key, or None where it takes the whole store to tell more.

    See ``grantway.record`` for the fields; a record of another version is None.
    """
    try:
        with open(path_of(folder, key), "rb") as file:
            record = json.loads(file.read())
    except (OSError, ValueError, RecursionError):
        return None
    if isinstance(record, dict) and record.get("version") == 1:
        return record
    return None
