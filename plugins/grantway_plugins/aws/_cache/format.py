"""Convert tokens to and from the files of the AWS CLI's cache."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from grantway._credentials import token_format as record
from grantway._exceptions import StoreSaveError, StoreUnreadableError
from grantway._secrets.masked import Masked

from .times import FORMS, read_time, write_time

if TYPE_CHECKING:
    from grantway._types.token import Token

#: Fields of a file that belong to the client's registration.
REGISTRATION = ("clientId", "clientSecret", "registrationExpiresAt")
#: Field with the parts of a token for which the AWS tools have no field.
_OURS = "grantway"

#: Content of a file; None if it does not exist or is not a JSON object.
Fields = Masked[dict[str, Any] | None]


def name_of(key: str) -> str:
    """Return the name of a session's file: a hash, as in the AWS CLI."""
    return f"{hashlib.sha1(key.encode('utf-8', 'surrogatepass')).hexdigest()}.json"  # noqa: S324


def fields_of(data: Masked[bytes | None]) -> Fields:
    """Parse the content of a file."""
    if data.value is None:
        return Masked(None)
    try:
        found = json.loads(data.value)
    except (ValueError, RecursionError):  # invalid UTF-8 is a ValueError too
        found = None
    return Masked(found if isinstance(found, dict) else None)


def decode(fields: Fields, written_at: float, where: str) -> Token:
    """Return the token in a file.

    Args:
        fields: Content of the file.
        written_at: Unix time at which the file was written. The AWS tools store no lifetime, so
            this time and the expiry give it; the lifetime decides when to refresh the token.
        where: Path of the file, for errors.

    Raises:
        StoreUnreadableError: A field is missing or invalid; names it without its value.
    """
    problem = _problem(fields)
    if problem:
        raise StoreUnreadableError(f"{where}: not a token of the AWS CLI's cache: {problem}.")
    return record.decode_token(_as_record(fields, written_at).value, where)


def _problem(fields: Fields) -> str:
    found = fields.value
    if found is None:
        return "it is not a JSON object"
    if not isinstance(found.get("accessToken"), str):
        return "accessToken is missing"
    if found.get("expiresAt") is not None and read_time(found["expiresAt"]) is None:
        return f"expiresAt is not a time like {FORMS}"
    others = [found.get(name) for name in ("refreshToken", *REGISTRATION)]
    if any(each is not None and not isinstance(each, str) for each in others):
        return "refreshToken or a field of the client's registration is not text"
    return ""


def _as_record(fields: Fields, written_at: float) -> Masked[str]:
    """Return the token in the format of grantway's own stores."""
    found = fields.value or {}
    ours = found.get(_OURS)
    made: dict[str, Any] = {"version": record.VERSION}
    if (
        isinstance(ours, dict)
        and ours.get("of") == _mark(found)
        and ours.get("version") == record.VERSION
    ):
        made.update(ours)
    else:  # written by an AWS tool, or by a later version of grantway
        # Treat a token without an expiry as expired, because all AWS tokens expire.
        expires_at = read_time(found.get("expiresAt")) or min(written_at, time.time())
        made["expires_at"] = expires_at
        made["expires_in"] = max(0, round(expires_at - written_at))
    made.pop("of", None)
    made["access_token"] = found["accessToken"]
    if found.get("refreshToken") is not None:
        made["refresh_token"] = found["refreshToken"]
    extra = made.get("extra")
    made["extra"] = {
        **(extra if isinstance(extra, dict) else {}),
        **{name: found[name] for name in REGISTRATION if found.get(name) is not None},
    }
    return Masked(json.dumps(made))


def encode(token: Token, there: Fields, about: Mapping[str, str | None]) -> Fields:
    """Return the content of a token's file.

    Args:
        token: The token. Without a registration in ``extra``, the one in the file is kept.
        there: Current content of the file; other fields are kept.
        about: Other fields to set; None values are ignored.

    Raises:
        StoreSaveError: A value of the token cannot be written; names it without its value.
    """
    extra = {name: value for name, value in token.extra.items() if name not in REGISTRATION}
    ours = json.loads(record.encode_token(replace(token, extra=extra)))
    for name in ("access_token", "refresh_token"):
        ours.pop(name, None)
    fields = dict(there.value or {})
    fields.pop("expiresAt", None)
    fields.pop("refreshToken", None)
    fields.update((name, value) for name, value in about.items() if value is not None)
    fields.update((name, token.extra[name]) for name in REGISTRATION if name in token.extra)
    fields["accessToken"] = token.access_token
    if token.refresh_token is not None:
        fields["refreshToken"] = token.refresh_token
    if token.expires_at is not None:
        try:
            fields["expiresAt"] = write_time(token.expires_at)
        except ValueError:
            fields.clear()
        if not fields:
            raise StoreSaveError("expires_at: must be a time in the years 1 to 9999.")
    ours["of"] = _mark(fields)
    fields[_OURS] = ours
    return Masked(fields)


def _mark(fields: Mapping[str, Any]) -> str:
    """Return a digest of the token, which shows whether grantway's field belongs to it."""
    text = json.dumps([fields.get(name) for name in ("accessToken", "expiresAt")])
    return hashlib.sha256(text.encode()).hexdigest()
