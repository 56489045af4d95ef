"""Detect that a file was changed. Imports only modules that Python loads at its start."""

import os


def file_signature(path: "str | os.PathLike[str]") -> "tuple[int, int, int] | None":
    """Return (mtime, size, inode) of a file, or None if they cannot be read."""
    try:
        found = os.stat(path)  # noqa: PTH116 - pathlib is slow to load
    except (OSError, ValueError):  # ValueError: a path with a null character
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
