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

from .token_file import PLAIN, read_token_file

# Type checkers treat this name as True; importing ``typing`` for it would be too slow.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from .token_formats import Output

_VERSION = "1"
_LINES = 8
_OPTIONS = ("--config", "--format", "--username", "--host")


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
        name, config, output = parsed
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
    if output is None:
        print_output(f"{access_token}\n")
    else:
        _print_formatted(output, access_token, token_type, expires_at)
    return True


def _print_formatted(
    output: "Output", access_token: str, token_type: str, expires_at: "float | None"
) -> None:
    """Read the request of another program, and print the token in its format, or an error."""
    from .token_formats import FormatError

    try:
        without = output.without_token()
        text, status = without or (output.text(access_token, token_type, expires_at), 0)
    except FormatError as error:
        # The request can be read only once, so this function also reports errors.
        sys.stderr.write(f"Error: {error}.\n")
        sys.exit(1)
    except KeyboardInterrupt:  # while it waited for the request
        sys.exit("\nAborted!")  # as click does
    print_output(text, status)


def print_output(text: str, status: int = 0) -> None:
    """Write text with a token to standard output.

    Args:
        text: Complete lines.
        status: Exit status; if it is not 0, this function exits.

    Raises:
        SystemExit: Standard output could not be written, and the error was printed; or ``status``
            is not 0.
    """
    if sys.stdout is None:
        sys.exit("Error: cannot write the token to standard output: it is closed.")
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except (OSError, UnicodeError) as error:
        # Python writes the rest of the buffer when it exits, and would fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        problem = getattr(error, "strerror", None) or "its encoding lacks a character"
        sys.stderr.write(f"Error: cannot write the token to standard output: {problem}.\n")
        status = 1
    if status:
        sys.exit(status)


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


def _parse(arguments: "list[str]") -> "tuple[str, str, Output | None] | None":
    """Return profile, profile file and output, which is None for the token alone.

    Returns None for arguments that need the full parser.
    """
    words: list[str] = []
    given: dict[str, list[str]] = {each: [] for each in _OPTIONS}
    left = iter(arguments)
    for each in left:
        if each == "--json":
            given["--format"].append("json")
        elif each in given:
            given[each].append(next(left, ""))
        else:
            words.append(each)
    config = given["--config"][-1:]
    if len(words) not in (1, 2) or not all(map(_is_name, words)) or config == [""]:
        return None
    plain = len(words) == 1 and not any(given[each] for each in _OPTIONS[1:])
    output = None if plain else _output(words[1:], given)
    return (words[0], config_path(*config), output) if plain or output else None


def _output(operation: "list[str]", given: "dict[str, list[str]]") -> "Output | None":
    """Return the output for the options; None if they need the full parser."""
    from .token_formats import FORMATS, Output

    form, username = (given[each][-1] if given[each] else None for each in _OPTIONS[1:3])
    output = Output(form or "plain", operation[0] if operation else None, given["--host"], username)
    if output.form not in FORMATS or output.form == "aws" or output.mistake():
        return None
    return output


def _is_name(name: str) -> bool:
    return name[:1].isalnum() and PLAIN.issuperset(name) and not set(name) & set("/=:+~")


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
