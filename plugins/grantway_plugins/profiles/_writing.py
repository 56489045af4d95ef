"""Add a profile to the file without changing the rest of it."""

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
from grantway_plugins._paths import config_path, token_folder
from grantway_plugins.stores.file._lock import KeyLocks
from grantway_plugins.stores.file._problems import advice

from ._file import ProfileFile

#: Seconds to wait while another process adds a profile.
_LOCK_TIMEOUT = 30.0
_BARE = re.compile(r"[A-Za-z0-9_-]+")


def draft(name: str, table: Mapping[str, Any], path: str | None = None) -> ProfileFile:
    """Return the file with an additional profile, without writing it.

    Args:
        name: Name of the profile.
        table: Table of the profile.
        path: Path of the file, as for ``config_path``.

    Raises:
        ConfigurationError: The file cannot be read, has a profile of that name, or has profiles in
            a form that cannot be extended.
    """
    target = config_path(path)
    return ProfileFile(target, _extended(Path(target), name, table))


def add(name: str, table: Mapping[str, Any], path: str | None = None) -> Path:
    """Append a profile to the file. Comments and other tables are preserved.

    The file is replaced atomically, with mode 0600. A missing folder is created with mode 0700.

    Args:
        name: Name of the profile.
        table: Table of the profile.
        path: Path of the file, as for ``config_path``.

    Returns:
        Path of the file.

    Raises:
        ConfigurationError: As for ``draft``, or the file cannot be written. It is unchanged.
        StoreLockError: Another process is adding a profile.
    """
    target = Path(config_path(path))
    locks = KeyLocks(Path(token_folder()).with_name("profiles"))
    with locks.hold(str(target), _LOCK_TIMEOUT):
        data = _extended(target, name, table)
        problem = _replace(target, data)
    if problem:
        raise ConfigurationError(f"{target}: the profile could not be written: {problem}")
    return target


def _extended(path: Path, name: str, table: Mapping[str, Any]) -> bytes:
    """Return the file's content with the profile appended."""
    old = ProfileFile(path) if path.exists() else None
    if old is not None and name in old.names:
        raise ConfigurationError(f"{path}: the profile {name} already exists; choose another name.")
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
            f"{path}: cannot add a profile, because the file's profiles are not tables of the form "
            "[profiles.NAME]. Write them in that form, or choose another file with --config."
        )
    return text.encode()


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _value(name)


def _value(value: object) -> str:
    """Return a value as TOML. JSON strings are TOML strings if DEL is escaped."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{_key(key)} = {_value(each)}' for key, each in value.items())}}}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_value, value))}]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _replace(path: Path, data: bytes) -> str:
    """Replace the file's content. Return an error message, or an empty string."""
    # Preserve symbolic links, which tools for dotfiles create.
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
