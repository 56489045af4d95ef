"""Paths with ``~``, and the default folders of a user.

If there is no home directory, an error names the setting. ``os.path.expanduser`` would keep the
``~``, and programs would create a folder of that name in the working directory.

The fast path of ``grantway token`` imports this module, so it imports only ``os`` and ``sys``.
"""

# Importing pathlib or grantway's exceptions would slow down ``grantway token``.
# ruff: noqa: PLC0415, PTH100, PTH111, PTH112, PTH117, PTH118, PTH120

import os
import sys

# Type checkers treat this name as True; importing ``typing`` for it would be too slow.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from grantway._exceptions import ConfigurationError

_LINUX = sys.platform == "linux"
#: For each kind of folder, the variable that sets it, and its default below the home directory.
_FOLDERS = {
    "config": ("XDG_CONFIG_HOME", ".config"),
    "data": ("XDG_DATA_HOME", os.path.join(".local", "share")),
    "state": ("XDG_STATE_HOME", os.path.join(".local", "state")),
}

#: Setting that replaces the default folder of the file store, for error messages.
TOKEN_FOLDER_SETTING = "a folder for the store"


def expand(path: "str | os.PathLike[str]", instead: str) -> str:
    """Return a path with ``~`` or ``~user`` at its beginning replaced by a home directory.

    Args:
        path: Path given by the user.
        instead: Setting that replaces the path, for the error message.

    Raises:
        ConfigurationError: The home directory does not exist.
    """
    text = os.fspath(path)
    head, separator, rest = text.partition("/")
    if not head.startswith("~"):
        return text
    if head == "~":
        base = home(instead)
    elif (base := os.path.expanduser(head)) == head:
        raise _unusable("path", f"{text}: {head} is not a user of this machine", "Correct the path")
    return os.path.join(base, rest) if separator else base


def home(instead: str) -> str:
    """Return the home directory of this user.

    Args:
        instead: Setting that makes a home directory unnecessary, for the error message.

    Raises:
        ConfigurationError: There is none, or it is unusable; names the variable to set.
    """
    variable = "USERPROFILE" if os.name == "nt" else "HOME"
    remedy = f"Set {variable} to a directory of this user, or set {instead}"
    found = os.environ.get(variable)
    if found is None:
        found = _home_in_user_database()
        if found is None:
            raise _unusable(
                variable,
                f"{variable} is not set, and the user database has no home directory for this user",
                remedy,
            )
        problem = f"{variable} is not set, and {found!r}, from the user database, is"
    else:
        problem = f"{variable} is {found!r}, which is"
    if not os.path.isabs(found):
        raise _unusable(variable, f"{problem} not an absolute path", remedy)
    if not os.path.isdir(found):
        raise _unusable(variable, f"{problem} not a directory", remedy)
    if not os.access(found, os.X_OK):
        raise _unusable(variable, f"{problem} not a directory that this user can use", remedy)
    return found


def _home_in_user_database() -> "str | None":
    """Return the home directory from the user database, or None."""
    if os.name == "nt":
        found = os.path.expanduser("~")
        return None if found == "~" else found
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        return None


def user_folder(kind: str, instead: str) -> str:
    """Return grantway's folder for files of a kind.

    Args:
        kind: ``config``, ``data`` or ``state``.
        instead: Setting that replaces the folder, for the error message.

    Raises:
        ConfigurationError: It is below a home directory that does not exist.
    """
    variable, below = _FOLDERS[kind]
    if not _LINUX:
        import platformdirs

        home(instead)
        return str(getattr(platformdirs, f"user_{kind}_dir")("grantway", appauthor=False))
    # The same as platformdirs, which is slow to import.
    base = os.environ.get(variable, "").strip()
    if not os.path.isabs(base):
        base = os.path.join(home(f"{variable}, or {instead}"), below)
    return os.path.join(base, "grantway")


def require_writable(folder: str, kind: str, instead: str) -> str:
    """Return the folder, after checking that it exists or that this user can create it.

    Args:
        folder: A default folder of grantway, or one below it.
        kind: As for ``user_folder``, or ``home`` for another folder below the home directory.
        instead: Setting that replaces the folder, for the error message.

    Raises:
        ConfigurationError: The folder does not exist and cannot be created.
    """
    existing = folder
    while not os.path.lexists(existing) and os.path.dirname(existing) != existing:
        existing = os.path.dirname(existing)
    if os.path.isdir(existing) and (existing == folder or os.access(existing, os.W_OK | os.X_OK)):
        return folder
    problem = "cannot be written by this user" if os.path.isdir(existing) else "is not a directory"
    variable = _FOLDERS[kind][0] if _LINUX and kind in _FOLDERS else "HOME"
    raise _unusable(
        variable,
        f"{folder} cannot be created, because {existing} {problem}",
        f"Set {variable} to a directory that this user can write, or set {instead}",
    )


def config_path(named: "str | None" = None) -> str:
    """Return the absolute path of the profile file, which need not exist.

    Args:
        named: Path given by the caller; by default ``GRANTWAY_CONFIG``, or
            ``grantway/config.toml`` in the user's configuration folder.

    Raises:
        ConfigurationError: The path is below a home directory that does not exist.
    """
    instead = "GRANTWAY_CONFIG or --config to the profile file"
    chosen = named or os.environ.get("GRANTWAY_CONFIG")
    if not chosen:
        chosen = os.path.join(user_folder("config", instead), "config.toml")
    return os.path.abspath(expand(chosen, instead))


def token_folder() -> str:
    """Return the default folder of the file store: ``grantway/tokens`` in the user's state folder.

    Raises:
        ConfigurationError: It is below a home directory that does not exist.
    """
    return os.path.join(user_folder("state", TOKEN_FOLDER_SETTING), "tokens")


def _unusable(setting: str, problem: str, remedy: str) -> "ConfigurationError":
    from grantway._exceptions import ConfigurationError

    return ConfigurationError(f"{problem}. {remedy}.", errors={setting: [problem]})
