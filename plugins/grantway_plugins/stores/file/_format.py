"""File names of the file store."""

from __future__ import annotations

import hashlib
import os


def name_of(key: str) -> str:
    """Return a file name that is unique to the key, even if the file system ignores case."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def path_of(folder: str, key: str) -> str:
    """Return the path of a key's file."""
    return os.path.join(folder, f"{name_of(key)}.json")  # noqa: PTH118 - a plain string is enough
