"""Read a token file without importing grantway or json, which are slow to import."""

# ruff: noqa: PLC0415, PTH123

# Type checkers treat this name as True; importing ``typing`` for it would be too slow.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Characters that need no escaping in JSON, nor anywhere else.
PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-~+/=:")


def read_token_file(path: str) -> "dict[str, Any] | None":
    """Return the fields of a file of the file store, or None if only the store can read it.

    See ``grantway._credentials.token_format`` for the fields. Files of another version give None.
    """
    try:
        with open(path, "rb") as file:
            record = parsed(file.read().decode())
    except (OSError, ValueError, RecursionError):
        return None
    if isinstance(record, dict) and record.get("version") == 1:
        return record
    return None


class _Rules:
    """The scanner settings that ``json.loads`` uses."""

    strict = True
    object_hook = object_pairs_hook = None
    parse_float, parse_int = float, int
    parse_constant = float


def parsed(text: str) -> object:
    """Return the value of a JSON text, or None if it is empty.

    Raises:
        ValueError: The text is not JSON.
        RecursionError: It is nested too deeply.
    """
    try:
        from _json import make_scanner
    except ImportError:  # not CPython
        import json

        return json.loads(text)
    rules: Any = _Rules  # the type stubs require an instance of JSONDecoder
    try:
        record, end = make_scanner(rules)(text, 0)
    except StopIteration:
        return None
    return record if not text[end:].strip() else None
