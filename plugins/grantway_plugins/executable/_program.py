"""Find the program of a setting, and reject one that another user could change."""

from __future__ import annotations

import fnmatch
import os
import re
import shutil
import stat
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

from grantway._exceptions import ConfigurationError

#: Variables that every program gets. They locate files and select a language; none is a secret.
_ALWAYS = (
    "DBUS_SESSION_BUS_ADDRESS",
    "HOME",
    "LANG",
    "LC_*",
    "LOGNAME",
    "PATH",
    "SHELL",
    "SSH_AUTH_SOCK",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TERM",
    "TMPDIR",
    "TZ",
    "USER",
    "XDG_*",
)


def environment(more: Sequence[str], own: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a program.

    Args:
        more: Additional names of variables to pass on; ``*`` matches any characters.
        own: Variables to set.
    """
    wanted = _any_of((*_ALWAYS, *more))
    passed = {name: value for name, value in os.environ.items() if wanted.match(name)}
    return {**passed, **own}


@cache
def _any_of(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(map(fnmatch.translate, patterns)))


def locate(name: str, folder: Path | None, setting: str) -> str:
    """Return the path of a program that may be run.

    Args:
        name: A path, or a bare name, which is looked up in ``PATH``.
        folder: Folder that a relative path starts at; by default the current one.
        setting: The setting that names the program, for errors.

    Raises:
        ConfigurationError: The program is missing, is not executable, or could be changed by
            another user.
    """
    if sys.platform == "win32":
        raise ConfigurationError(
            f"{setting}: programs are supported on Linux, macOS and other POSIX systems only; "
            "use another source of the secret or token."
        )
    expanded = os.path.expanduser(name)  # noqa: PTH111 - a bare name must stay one
    if "/" in expanded:
        path = (folder or Path()) / expanded
    elif found := shutil.which(expanded):
        path = Path(found)
    else:
        raise _wrong(setting, name, "is not in PATH; install it, or give its absolute path")
    if problem := _problem(path):
        raise _wrong(setting, str(path), problem)
    return str(path.absolute())  # not resolved: some programs depend on the name of their link


def _problem(path: Path) -> str:
    try:
        real = path.resolve(strict=True)
        found = real.stat()
        folders = {each: each.stat() for each in _folders(path)}
    except FileNotFoundError:
        return "does not exist; correct the path, or install the program"
    except (OSError, RuntimeError) as error:  # RuntimeError: links that form a loop
        return f"cannot be read ({getattr(error, 'strerror', None) or error}); correct the path"
    return _file_problem(real, found) or next(
        (
            f"is in a folder that all users may write to; run: chmod o-w {folder}"
            for folder, each in folders.items()
            if each.st_mode & stat.S_IWOTH and not each.st_mode & stat.S_ISVTX
        ),
        "",
    )


def _folders(path: Path) -> Iterator[Path]:
    """Yield the folders whose writers could replace the program or a link that leads to it."""
    path = path.absolute()
    folder, names = Path(path.anchor), [*reversed(path.parts[1:])]
    while names:
        yield folder
        name = names.pop()
        step = folder.parent if name == ".." else folder / name
        if not step.is_symlink():
            folder = step
            continue
        target = step.readlink()
        folder = Path(target.anchor) if target.anchor else folder
        names.extend(reversed(target.parts[1 if target.anchor else 0 :]))


def _file_problem(real: Path, found: os.stat_result) -> str:
    if not stat.S_ISREG(found.st_mode):
        return "is not a file; name the program itself"
    if not os.access(real, os.X_OK):
        return f"is not executable; run: chmod u+x {real}"
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return f"is writable by other users, who could replace it; run: chmod go-w {real}"
    if found.st_uid not in {0, os.geteuid()}:
        return (
            f"belongs to another user (number {found.st_uid}), who could change it; use a program "
            "that belongs to you or to root"
        )
    return ""


def _wrong(setting: str, program: str, problem: str) -> ConfigurationError:
    return ConfigurationError(f"{setting}: {program} {problem}.", errors={setting: [problem]})
