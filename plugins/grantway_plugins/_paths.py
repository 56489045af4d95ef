"""Where a user's files lie: ``~`` in a path, and the default folders.

A path that cannot be found is an error that names the setting. Python's own ``expanduser`` keeps
the ``~`` then, and the program makes a folder of that name in the working directory.

The quick way of ``grantway token`` loads this module, so it imports only ``os`` and ``sys``.
"""

# Importing pathlib would take longer than ``grantway token`` has, and so would grantway's errors.
# ruff: noqa: PLC0415, PTH111, PTH112, PTH117, PTH118, PTH120

import os
import sys

# Type checkers know the name; importing it would cost more than the rest.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from grantway._exceptions import ConfigurationError

_LINUX = sys.platform == "linux"
#: Kind of folder -> the variable that moves it, and where it is below the home directory.
_FOLDERS = {
    "config": ("XDG_CONFIG_HOME", ".config"),
    "data": ("XDG_DATA_HOME", os.path.join(".local", "share")),
    "state": ("XDG_STATE_HOME", os.path.join(".local", "state")),
}


def expand(path: "str | os.PathLike[str]", instead: str) -> str:
    """Return a path with ``~`` or ``~user`` at its beginning replaced by a home directory.

    Args:
        path: A path that a person wrote.
        instead: What to set to do without a home directory, for the error.

    Raises:
        ConfigurationError: there is no such home directory.
    """
    text = os.fspath(path)
    head, separator, rest = text.partition("/")
    if not head.startswith("~"):
        return text
    if head == "~":
        base = home(instead)
    elif (base := os.path.expanduser(head)) == head:
        raise _refusal("path", f"{text}: {head} is no user of this machine", "Correct the path")
    return os.path.join(base, rest) if separator else base


def home(instead: str) -> str:
    """Return the home directory of this user.

    Args:
        instead: What to set to do without one, for the error.

    Raises:
        ConfigurationError: there is none; says which variable to set.
    """
    variable = "USERPROFILE" if os.name == "nt" else "HOME"
    remedy = f"Set {variable} to a directory of this user, or set {instead}"
    found = os.environ.get(variable)
    if found is None:
        found = _registered()
        if found is None:
            raise _refusal(
                variable,
                f"{variable} is not set, and the system knows no home directory of this user",
                remedy,
            )
        problem = f"{variable} is not set, and the home that the system knows, {found!r}, is"
    else:
        problem = f"{variable} is {found!r}, which is"
    if not os.path.isabs(found):
        raise _refusal(variable, f"{problem} not an absolute path", remedy)
    if not os.path.isdir(found):
        raise _refusal(variable, f"{problem} not a directory", remedy)
    if not os.access(found, os.X_OK):
        raise _refusal(variable, f"{problem} not a directory that this user can use", remedy)
    return found


def _registered() -> "str | None":
    """The home directory in the system's own records."""
    if os.name == "nt":
        found = os.path.expanduser("~")
        return None if found == "~" else found
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        return None


def user_folder(kind: str, instead: str) -> str:
    """Return grantway's folder for a kind of files.

    Args:
        kind: ``config``, ``data`` or ``state``.
        instead: What to set to have the files elsewhere, for the error.

    Raises:
        ConfigurationError: it is below a home directory that there is not.
    """
    variable, below = _FOLDERS[kind]
    if not _LINUX:
        import platformdirs

        home(instead)
        return str(getattr(platformdirs, f"user_{kind}_dir")("grantway", appauthor=False))
    # What platformdirs says too, without the time that importing it takes.
    base = os.environ.get(variable, "").strip()
    if not os.path.isabs(base):
        base = os.path.join(home(f"{variable}, or {instead}"), below)
    return os.path.join(base, "grantway")


def require_writable(folder: str, kind: str, instead: str) -> str:
    """Return a folder that is there, or that this user can make.

    Args:
        folder: One that is grantway's choice, or lies below one.
        kind: As for ``user_folder``, or ``home`` for another folder below the home directory.
        instead: What to set to have the files elsewhere, for the error.

    Raises:
        ConfigurationError: it can be neither used nor made.
    """
    there = folder
    while not os.path.lexists(there) and os.path.dirname(there) != there:
        there = os.path.dirname(there)
    if os.path.isdir(there) and (there == folder or os.access(there, os.W_OK | os.X_OK)):
        return folder
    problem = "cannot be written by this user" if os.path.isdir(there) else "is not a directory"
    variable = _FOLDERS[kind][0] if _LINUX and kind in _FOLDERS else "HOME"
    raise _refusal(
        variable,
        f"{folder} cannot be made, because {there} {problem}",
        f"Set {variable} to a directory that this user can write, or set {instead}",
    )


def _refusal(setting: str, problem: str, remedy: str) -> "ConfigurationError":
    from grantway._exceptions import ConfigurationError

    return ConfigurationError(f"{problem}. {remedy}.", errors={setting: [problem]})
