"""The stored form of a token: JSON that this and every later version can read."""

from __future__ import annotations

import json
from typing import Any

from grantway._exceptions import StoreSaveError, StoreUnreadableError
from grantway._types.token import Token

#: Version in every record, so that later formats can be recognised.
VERSION = 1

_TEXTS = ("access_token", "token_type", "refresh_token", "id_token")


def encode_token(token: Token) -> bytes:
    """Return a token, including its secrets, as UTF-8 JSON.

    Raises:
        StoreSaveError: The token contains a value that JSON cannot represent; quotes nothing.
    """
    record: dict[str, Any] = {
        "version": VERSION,
        "access_token": token.access_token,
        "token_type": token.token_type,
        "expires_in": token.expires_in,
        "expires_at": token.expires_at,
        "refresh_token": token.refresh_token,
        "id_token": token.id_token,
        "scope": token.scope,
        "extra": dict(token.extra),
    }
    kept = {name: value for name, value in record.items() if value is not None and value != {}}
    try:
        return json.dumps(kept, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError):
        record.clear()
        kept.clear()
    raise StoreSaveError(
        "the token contains a value that JSON cannot represent; use text, numbers, lists and maps "
        "in its fields and in extra."
    )


def decode_token(data: bytes | str, where: str) -> Token:
    """Return the token of a stored record.

    Args:
        data: The output of ``encode_token``.
        where: Location for the error message, such as ``/home/you/token.json``.

    Raises:
        StoreUnreadableError: The data is no such record, or of a later version; quotes nothing.
    """
    record, problem = _read(data)
    # Tracebacks with local variables would show the secrets.
    del data
    if problem:
        record.clear()
        raise StoreUnreadableError(f"{where}: {problem}.")
    scope = record.get("scope")
    return Token(
        access_token=record["access_token"],
        token_type=record.get("token_type", "Bearer"),
        expires_in=record.get("expires_in"),
        expires_at=record.get("expires_at"),
        refresh_token=record.get("refresh_token"),
        id_token=record.get("id_token"),
        scope=None if scope is None else tuple(scope),
        extra=record.get("extra", {}),
    )


def is_newer_format(data: bytes | str) -> bool:
    """Return whether the data is a record of a later version, which must not be changed."""
    try:
        record = json.loads(data)
    except (ValueError, RecursionError):
        return False
    version = record.get("version") if isinstance(record, dict) else None
    return isinstance(version, int) and version > VERSION


def _read(data: bytes | str) -> tuple[dict[str, Any], str]:
    """Return the record and its problem; the problem is empty if there is none."""
    try:
        record = json.loads(data)
    except (ValueError, RecursionError):  # bad UTF-8 is a ValueError too
        record = None
    if not isinstance(record, dict):
        return {}, "is not a stored token (not a JSON object)"
    if record.get("version") != VERSION:
        return record, (
            f"is not a token of version {VERSION} of the records; a newer grantway may have "
            "written it"
        )
    wrong = _wrong(record)
    return record, f"is not a stored token ({wrong} is of another type)" if wrong else ""


def _wrong(record: dict[str, Any]) -> str | None:
    """Return the name of the first field with an invalid type, or None."""
    if not isinstance(record.get("access_token"), str):
        return "access_token"
    for name in _TEXTS:
        if not isinstance(record.get(name, ""), str):
            return name
    for name in ("expires_in", "expires_at"):
        value = record.get(name, 0)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return name
    scope = record.get("scope", [])
    if not isinstance(scope, list) or not all(isinstance(name, str) for name in scope):
        return "scope"
    return None if isinstance(record.get("extra", {}), dict) else "extra"
