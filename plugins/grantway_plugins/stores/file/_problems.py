"""What to do when the system refuses a file."""

from __future__ import annotations

import errno

_TODO = {
    errno.ENOSPC: "make room on its disk",
    errno.EDQUOT: "make room in your quota",
    errno.EFBIG: "raise the limit on the size of files (ulimit -f)",
    errno.EMFILE: "raise the limit on open files (ulimit -n)",
    errno.EROFS: "choose a folder on a file system that can be written",
    errno.EACCES: "get the right to use it, or choose another folder",
    errno.EPERM: "get the right to use it, or choose another folder",
    errno.EEXIST: "a file is where the folder should be; move it, or choose another folder",
    errno.ENOTDIR: "a file is where a folder should be; move it, or choose another folder",
    errno.EISDIR: "a folder is where the file should be; move it, or choose another folder",
    errno.EIO: "check the disk, or choose a folder on another",
}


def advice(error: OSError) -> str:
    """The system's own word, and what a person can do."""
    todo = _TODO.get(error.errno or 0, "choose another folder")
    return f"{error.strerror or type(error).__name__}; {todo}."
