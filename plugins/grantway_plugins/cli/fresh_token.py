"""``grantway token`` where the stored token is fresh: within a Python's start, or not at all.

The whole way reads the profile, makes the store and asks it; its imports alone take many times as
long as starting Python. It leaves a *note*: which file holds the profile's token, until when that
token is fresh, and what both files looked like. While both look so, the note is as good as the
whole way. Whatever is in doubt is left to that.
"""

# Importing pathlib, typing or json would take longer than all that is done here.
# ruff: noqa: PLC0415, PTH103, PTH105, PTH118, PTH120, PTH123

import os
import sys
import time

from grantway_plugins._config.file_signature import stamp_of
from grantway_plugins.profiles._paths import config_path
from grantway_plugins.stores.file._format import default_folder, read

_VERSION = "1"
_LINES = 8
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-~+/=:")


def answer(arguments: "list[str]") -> bool:
    """Print the token that was asked for, if looking is all that it takes.

    Args:
        arguments: What stands behind ``grantway token``.

    Returns:
        Whether it was printed. If not, nothing was.

    Raises:
        SystemExit: standard output takes nothing, which was told.
    """
    try:
        asked = _asked(arguments)
        if asked is None:
            return False
        name, config, as_json = asked
        path = _fresh(name, config)
    except Exception:  # noqa: BLE001 - such as no home directory; the whole way tells
        return False
    record = None if path is None else read(path[0])
    # Looked at again: a file that was replaced meanwhile is another token.
    if path is None or record is None or stamp_of(path[0]) != path[1]:
        return False
    shown = _shown(record, as_json)
    if shown is None or sys.stdout is None:
        return False
    put(shown)
    return True


def put(shown: str) -> None:
    """Write a line to standard output; where it takes none, end with a sentence."""
    try:
        sys.stdout.write(shown)
        sys.stdout.write("\n")
        sys.stdout.flush()
    except OSError as error:
        problem = error.strerror
    else:
        return
    # What is left of it would be tried again when Python ends.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.stderr.write(f"Error: the token could not be written to standard output: {problem}.\n")
    sys.exit(1)


def as_process(access_token: str, token_type: str, expires_at: "float | None") -> "str | None":
    """The object of ``--json``, or None where it takes a real encoder.

    Args:
        access_token: The token.
        token_type: How to present it.
        expires_at: Unix time of its end, or None where it never said.
    """
    if not _PLAIN.issuperset(access_token + token_type):
        return None
    fields = f'"Version": 1, "AccessToken": "{access_token}", "TokenType": "{token_type}"'
    if expires_at is not None:
        end = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(expires_at))
        fields += f', "Expiration": "{end}"'
    return f"{{{fields}}}"


def write_note(  # noqa: PLR0917 - called in one place, by name
    name: str,
    config: str,
    stamp: "tuple[int, ...] | None",
    path: str,
    access_token: str,
    until: float,
) -> None:
    """Leave a note for the next ``grantway token``; where that fails, it takes the whole way.

    Args:
        name: The profile.
        config: The file of the profiles.
        stamp: What that file looked like before it was read.
        path: The file that holds the token.
        access_token: The token; the note is of no other, and does not hold it.
        until: Unix time until which the token is fresh.
    """
    token, record = stamp_of(path), read(path)
    if stamp is None or record is None or record.get("access_token") != access_token:
        return
    lines = [*_facts(config, stamp), path, _text(token), repr(time.time()), repr(until)]
    if token is None or stamp_of(path) != token or any("\n" in line for line in lines):
        return
    try:
        place = _place(name, config)
    except Exception:  # noqa: BLE001 - such as no home directory, where the store has a folder
        return
    temporary = f"{place}.{os.getpid()}"
    try:
        os.makedirs(os.path.dirname(place), mode=0o700, exist_ok=True)
        with open(temporary, "w", encoding="utf-8") as file:
            file.write("\n".join(lines))
        os.replace(temporary, place)
    except (OSError, ValueError):
        return


def _asked(arguments: "list[str]") -> "tuple[str, str, bool] | None":
    """Profile, file and whether JSON is wanted; None where the parser must say what is wrong."""
    names, named, as_json = [], None, False
    left = iter(arguments)
    for each in left:
        if each == "--json":
            as_json = True
        elif each == "--config":
            named = next(left, None)
            if not named:
                return None
        else:
            names.append(each)
    if len(names) != 1 or not _is_name(names[0]):
        return None
    return names[0], config_path(named), as_json


def _is_name(name: str) -> bool:
    return name[:1].isalnum() and _PLAIN.issuperset(name) and not set(name) & set("/=:+~")


def _fresh(name: str, config: str) -> "tuple[str, tuple[int, ...]] | None":
    """The file of a token that is fresh, and what it looks like."""
    with open(_place(name, config), encoding="utf-8") as file:
        lines = file.read().split("\n")
    if len(lines) != _LINES or lines[:4] != _facts(config, stamp_of(config)):
        return None
    path, looks, written, until = lines[4:]
    # A clock that was set back makes no token younger.
    if not float(written) <= time.time() < float(until):
        return None
    token = stamp_of(path)
    return None if token is None or _text(token) != looks else (path, token)


def _facts(config: str, stamp: "tuple[int, ...] | None") -> "list[str]":
    # The home, because a store's folder may be given as ~/tokens.
    return [_VERSION, config, _text(stamp), os.environ.get("HOME", "")]


def _place(name: str, config: str) -> str:
    from binascii import crc32

    # One name may stand in several files of profiles; that two share a note costs time alone.
    number = crc32(config.encode("utf-8", "surrogateescape"))
    return os.path.join(os.path.dirname(default_folder()), "quick", f"{name}-{number:08x}")


def _text(stamp: "tuple[int, ...] | None") -> str:
    return " ".join(map(str, stamp or ()))


def _shown(record: "dict[str, object]", as_json: bool) -> "str | None":
    access_token, kind = record.get("access_token"), record.get("token_type", "Bearer")
    ends = record.get("expires_at")
    if not isinstance(access_token, str) or not isinstance(kind, str) or not access_token:
        return None
    if ends is not None and not isinstance(ends, (int, float)):
        return None
    return as_process(access_token, kind, ends) if as_json else access_token
