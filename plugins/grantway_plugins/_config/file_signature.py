"""Whether a file is the one that was read. Imports nothing that Python has not loaded already."""

import os


def stamp_of(path: "str | os.PathLike[str]") -> "tuple[int, int, int] | None":
    """What is another after the file was written or replaced; None where it cannot be looked at.

    Args:
        path: The file.
    """
    try:
        found = os.stat(path)  # noqa: PTH116 - pathlib takes longer than ``grantway token`` has
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
