"""Adding a profile to the file, without touching what is there."""

from __future__ import annotations

import json
import os
import re
import tempfile
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from grantway._exceptions import ConfigurationError
from grantway_plugins.stores.file._format import default_folder
from grantway_plugins.stores.file._lock import KeyLocks
from grantway_plugins.stores.file._problems import advice

from ._file import ProfileFile
from ._paths import config_path

#: Seconds to wait while another process adds a profile.
_PATIENCE = 30.0
_BARE = re.compile(r"[A-Za-z0-9_-]+")


def draft(name: str, table: Mapping[str, Any], path: str | None = None) -> ProfileFile:
    """Return the file as it would be with one more profile. Nothing is written.

    Args:
        name: The profile's name.
        table: What it says.
        path: The file; by default the one that all commands read.

    Raises:
        ConfigurationError: the file cannot be read or extended, or has a profile of that name.
    """
    target = config_path(path)
    return ProfileFile(target, _extended(Path(target), name, table))


def add(name: str, table: Mapping[str, Any], path: str | None = None) -> Path:
    """Append a profile to the file; comments and other tables stay as they are.

    The file is replaced as a whole, with mode 0600. A folder that is missing is made, with mode
    0700.

    Args:
        name: The profile's name.
        table: What it says.
        path: The file; by default the one that all commands read.

    Returns:
        The file.

    Raises:
        ConfigurationError: as for ``draft``, or it cannot be written. Nothing was changed.
        StoreLockError: another process is adding a profile.
    """
    target = Path(config_path(path))
    locks = KeyLocks(Path(default_folder()).with_name("profiles"))
    with locks.hold(str(target), _PATIENCE):
        data = _extended(target, name, table)
        problem = _replace(target, data)
    if problem:
        raise ConfigurationError(f"{target}: the profile could not be written: {problem}")
    return target


def _extended(path: Path, name: str, table: Mapping[str, Any]) -> bytes:
    """Return the file's content with the profile behind it."""
    old = ProfileFile(path) if path.exists() else None
    if old is not None and name in old.names:
        raise ConfigurationError(f"{path}: there is a profile {name} already; choose another name.")
    before = "" if old is None else old.toml.text
    end = "\r\n" if "\r\n" in before else "\n"
    if before and not before.endswith("\n"):
        before += end
    keys = (f"{_key(key)} = {_value(value)}" for key, value in table.items())
    text = before + (end if before else "") + end.join((f"[profiles.{_key(name)}]", *keys, ""))
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        found = {}
    profiles = {} if old is None else old.toml.data.get("profiles", {})
    if found.get("profiles") != {**profiles, name: dict(table)}:
        raise ConfigurationError(
            f"{path}: its profiles are not tables of the form [profiles.NAME], so none can be "
            "added. Write them in that form, or choose another file with --config."
        )
    return text.encode()


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _value(name)


def _value(value: object) -> str:
    """Write a value as TOML does; JSON escapes what TOML wants escaped, but for DEL."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{_key(key)} = {_value(each)}' for key, each in value.items())}}}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_value, value))}]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _replace(path: Path, data: bytes) -> str:
    """Put the data in the file's place, or say why not."""
    # A link to a file, as tools for dotfiles make it, stays one.
    path = Path(os.path.realpath(path))
    temporary = None
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(".tmp", f"{path.name}.", path.parent)  # mode 0600
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except OSError as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        return advice(error)
    return ""
