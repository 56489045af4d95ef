"""Print a stored token that is fresh without loading the profile or most of Python's library.

Loading a profile and its store takes many times as long as starting Python. So ``grantway token``
writes a cache entry: the path of the file that holds the profile's token, the time until which the
token is fresh, and the signatures of that file and of the profile file. While both signatures
match, the next ``grantway token`` reads the token file directly. In every other case it loads the
profile (see ``token``).
"""

# Importing pathlib or typing takes longer than everything that this module does.
# ruff: noqa: PLC0415, PTH103, PTH105, PTH118, PTH120, PTH123

import os
import sys
import time

from grantway_plugins._file_signature import file_signature
from grantway_plugins._paths import config_path, token_folder

from .token_file import read_token_file

_VERSION = "1"
_LINES = 8
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-~+/=:")


def print_fresh_token(arguments: "list[str]") -> bool:
    """Print the token that the cache entry of a profile leads to.

    Args:
        arguments: The arguments after ``grantway token``.

    Returns:
        Whether the token was printed. If False, nothing was printed.

    Raises:
        SystemExit: Standard output could not be written; the error was printed.
    """
    try:
        parsed = _parse(arguments)
        if parsed is None:
            return False
        name, config, as_json = parsed
        found = _find(name, config)
    except Exception:  # noqa: BLE001 - such as no home directory; loading the profile reports it
        return False
    record = None if found is None else read_token_file(found[0])
    # Compare again: the file may have been replaced while it was read.
    if found is None or record is None or file_signature(found[0]) != found[1]:
        return False
    access_token, token_type = record.get("access_token"), record.get("token_type", "Bearer")
    expires_at = record.get("expires_at")
    if not isinstance(access_token, str) or not isinstance(token_type, str) or not access_token:
        return False
    if sys.stdout is None or not isinstance(expires_at, (int, float, type(None))):
        return False
    print_token(access_token, token_type, expires_at, as_json=as_json)
    return True


def print_token(
    access_token: str, token_type: str, expires_at: "float | None", *, as_json: bool
) -> None:
    """Write a token to standard output, as one line.

    Args:
        access_token: The access token.
        token_type: Its type, such as ``Bearer``.
        expires_at: Unix time at which it expires, or None if unknown.
        as_json: Whether to print the object of ``--json`` instead of the token alone.

    Raises:
        SystemExit: Standard output could not be written; the error was printed.
    """
    text = _as_json(access_token, token_type, expires_at) if as_json else access_token
    try:
        sys.stdout.write(text)
        sys.stdout.write("\n")
        sys.stdout.flush()
    except OSError as error:
        problem = error.strerror
    else:
        return
    # Python writes the rest of the buffer when it exits, and would fail again.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.stderr.write(f"Error: cannot write the token to standard output: {problem}.\n")
    sys.exit(1)


def _as_json(access_token: str, token_type: str, expires_at: "float | None") -> str:
    if _PLAIN.issuperset(access_token + token_type):
        access_token, token_type = f'"{access_token}"', f'"{token_type}"'
    else:
        from json import dumps  # slow to load, and usually not needed

        access_token, token_type = dumps(access_token), dumps(token_type)
    fields = f'"Version": 1, "AccessToken": {access_token}, "TokenType": {token_type}'
    if expires_at is not None:
        end = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(expires_at))
        fields += f', "Expiration": "{end}"'
    return f"{{{fields}}}"


def write_cache_entry(  # noqa: PLR0917 - called in one place, by name
    name: str,
    config: str,
    config_signature: "tuple[int, ...] | None",
    path: str,
    access_token: str,
    until: float,
) -> None:
    """Write the cache entry for the next ``grantway token``. Errors are ignored.

    Args:
        name: Name of the profile.
        config: Path of the profile file.
        config_signature: Signature of that file before it was read.
        path: Path of the file that holds the token.
        access_token: The token that the file must hold; it is not written to the entry.
        until: Unix time until which the token is fresh.
    """
    signature, record = file_signature(path), read_token_file(path)
    if config_signature is None or record is None or record.get("access_token") != access_token:
        return
    lines = [
        *_context(config, config_signature),
        path,
        _text(signature),
        repr(time.time()),
        repr(until),
    ]
    if (
        signature is None
        or file_signature(path) != signature
        or any("\n" in line for line in lines)
    ):
        return
    try:
        entry = _entry_path(name, config)
    except Exception:  # noqa: BLE001 - such as no home directory, if the store has its own folder
        return
    temporary = f"{entry}.{os.getpid()}"
    try:
        os.makedirs(os.path.dirname(entry), mode=0o700, exist_ok=True)
        with open(temporary, "w", encoding="utf-8") as file:
            file.write("\n".join(lines))
        os.replace(temporary, entry)
    except (OSError, ValueError):
        return


def _parse(arguments: "list[str]") -> "tuple[str, str, bool] | None":
    """Return profile, profile file and ``--json``; None for arguments that need the full parser."""
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


def _find(name: str, config: str) -> "tuple[str, tuple[int, ...]] | None":
    """Return the path and the signature of a token file if the cache entry is valid."""
    with open(_entry_path(name, config), encoding="utf-8") as file:
        lines = file.read().split("\n")
    if len(lines) != _LINES or lines[:4] != _context(config, file_signature(config)):
        return None
    path, expected, written, until = lines[4:]
    # An entry from the future means that the clock was set back: ignore it.
    if not float(written) <= time.time() < float(until):
        return None
    signature = file_signature(path)
    return None if signature is None or _text(signature) != expected else (path, signature)


def _context(config: str, signature: "tuple[int, ...] | None") -> "list[str]":
    # HOME, because a store's folder may be given as ~/tokens.
    return [_VERSION, config, _text(signature), os.environ.get("HOME", "")]


def _entry_path(name: str, config: str) -> str:
    from binascii import crc32

    # Several profile files can have a profile of this name. A collision only costs time.
    number = crc32(config.encode("utf-8", "surrogateescape"))
    return os.path.join(os.path.dirname(token_folder()), "fresh-tokens", f"{name}-{number:08x}")


def _text(signature: "tuple[int, ...] | None") -> str:
    return " ".join(map(str, signature or ()))
