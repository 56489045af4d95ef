"""The names of the commands that plugins add, read without importing grantway or a plugin.

``grantway --help`` and shells that complete a command need only the names. The modules that find
installed plugins take longer to import than Python to start, so this module reads the files itself.
It leaves everything unusual, such as conflicts or import hooks, to ``plugin_commands``.
"""

# ruff: noqa: PLC0415, PTH208

import os
import sys

from .overview import COMMANDS

_SECTION = b"[grantway.commands]"
#: Ends of the names of folders with metadata.
_METADATA = (".dist-info", ".egg-info")
#: Bytes to read at once.
_PART = 8192


def command_names() -> "dict[str, str]":
    """Return the commands of plugins that can be used: name -> distribution."""
    try:
        names = _names(_files())
    except Exception:  # noqa: BLE001 - unreadable metadata must not prevent the help
        names = None
    if names is not None:
        return names
    from grantway._exceptions import RegistryError
    from grantway._types.plugin_status import normal

    from .plugin_commands import plugin_commands

    try:
        found = [each.status for each in plugin_commands()]
    except RegistryError:  # such as an unknown name in GRANTWAY_PLUGINS
        return {}
    return {each.name: normal(each.distribution) for each in found if each.state == "loaded"}


def is_command_name(name: str) -> bool:
    """Return whether a shell needs no quotes for a command of this name."""
    return (
        name.isascii() and name[:1].isalnum() and name.replace("-", "").replace("_", "").isalnum()
    )


def _files() -> "dict[str, str] | None":
    """Return distribution -> its ``entry_points.txt``, for those with commands.

    None if only ``importlib.metadata`` can find all distributions.
    """
    if any(hasattr(each, "find_distributions") for each in sys.meta_path if not _is_python(each)):
        return None
    seen, found = set(), {}
    for folder in sys.path:
        try:
            children = os.listdir(folder or ".")
        except NotADirectoryError:
            return None
        except OSError:
            continue
        if folder.lower().endswith(".egg"):
            return None
        for child in sorted(each for each in children if each.lower().endswith(_METADATA)):
            name = _normal(child.rpartition(".")[0].partition("-")[0])
            if name not in seen:
                seen.add(name)
                data = _read(f"{folder or '.'}/{child}/entry_points.txt")
                if _SECTION in data:
                    found[name] = data.decode()
    return found


def _normal(name: str) -> str:
    """Return the normalised name of a distribution (PEP 503), without ``re``."""
    name = name.lower().replace("_", "-").replace(".", "-")
    while "--" in name:
        name = name.replace("--", "-")
    return name


def _is_python(finder: object) -> bool:
    return getattr(finder, "__module__", "").startswith("_frozen_importlib")


def _read(path: str) -> bytes:
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        return b""
    try:
        # Buffers, pathlib and asking for the size take longer than reading the file.
        data = part = os.read(handle, _PART)
        while len(part) == _PART:
            data += (part := os.read(handle, _PART))
        return data
    finally:
        os.close(handle)


def _names(files: "dict[str, str] | None") -> "dict[str, str] | None":
    """Return the commands in these files, or None if one may be invalid, contested or blocked."""
    if files is None or (files and "GRANTWAY_PLUGINS" in os.environ):
        return None
    found: dict[str, str] = {}
    for distribution, text in files.items():
        section = text.split(_SECTION.decode())[1].partition("\n[")[0]
        for line in filter(None, map(str.strip, section.split("\n"))):
            name, equals, _ = (part.strip() for part in line.partition("="))
            if not equals or not is_command_name(name) or name in found or name in COMMANDS:
                return None
            found[name] = distribution
    return found
