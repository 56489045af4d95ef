"""Remedies for operating system errors about files."""

from __future__ import annotations

import errno

_REMEDIES = {
    errno.ENOSPC: "free some disk space",
    errno.EDQUOT: "free some space in your quota",
    errno.EFBIG: "raise the file size limit (ulimit -f)",
    errno.EMFILE: "raise the limit on open files (ulimit -n)",
    errno.EROFS: "choose a folder on a writable file system",
    errno.EACCES: "get permission to use it, or choose another folder",
    errno.EPERM: "get permission to use it, or choose another folder",
    errno.EEXIST: "a file exists where the folder should be; move it, or choose another folder",
    errno.ENOTDIR: "a file exists where a folder should be; move it, or choose another folder",
    errno.EISDIR: "a folder exists where the file should be; move it, or choose another folder",
    errno.EIO: "check the disk, or choose a folder on another disk",
}


def advice(error: OSError) -> str:
    """Return the system's error message and a remedy."""
    remedy = _REMEDIES.get(error.errno or 0, "choose another folder")
    return f"{error.strerror or type(error).__name__}; {remedy}."
