"""A token as it stands in the AWS CLI's cache."""

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
#: Holds what a token has and the AWS tools have no field for.
_OURS = "grantway"

#: What a file holds; None where it is not there, or is no JSON object.
Fields = Masked[dict[str, Any] | None]


def name_of(key: str) -> str:
    """The name of a session's file: the AWS CLI's rule, not a safeguard."""
    return f"{hashlib.sha1(key.encode('utf-8', 'surrogatepass')).hexdigest()}.json"  # noqa: S324


def fields_of(data: Masked[bytes | None]) -> Fields:
    """The fields of a file."""
    if data.value is None:
        return Masked(None)
    try:
        found = json.loads(data.value)
    except (ValueError, RecursionError):  # bad UTF-8 is a ValueError too
        found = None
    return Masked(found if isinstance(found, dict) else None)


def decode(fields: Fields, written_at: float, where: str) -> Token:
    """The token in a file.

    Args:
        fields: What the file holds.
        written_at: Unix time at which it was written. Only there do the AWS tools tell how long
            the token lives in all, which decides when it is renewed.
        where: Names the file in an error.

    Raises:
        StoreUnreadableError: a field is missing or wrong; names it, and quotes nothing.
    """
    problem = _problem(fields)
    if problem:
        raise StoreUnreadableError(f"{where}: is not a token of the AWS CLI's cache: {problem}.")
    return record.decode_token(_as_record(fields, written_at).value, where)


def _problem(fields: Fields) -> str:
    found = fields.value
    if found is None:
        return "it is no JSON object"
    if not isinstance(found.get("accessToken"), str):
        return "accessToken is missing"
    if found.get("expiresAt") is not None and read_time(found["expiresAt"]) is None:
        return f"expiresAt is not a time like {FORMS}"
    others = [found.get(name) for name in ("refreshToken", *REGISTRATION)]
    if any(each is not None and not isinstance(each, str) for each in others):
        return "refreshToken or the client's registration is no text"
    return ""


def _as_record(fields: Fields, written_at: float) -> Masked[str]:
    """The record of a store of grantway's own that says the same."""
    found = fields.value or {}
    ours = found.get(_OURS)
    made: dict[str, Any] = {"version": record.VERSION}
    if (
        isinstance(ours, dict)
        and ours.get("of") == _mark(found)
        and ours.get("version") == record.VERSION
    ):
        made.update(ours)
    else:  # an AWS tool has written the token, or a later grantway
        # A token without an end counts as expired: all AWS tokens expire, and a refresh brings
        # one with an end.
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
    """The fields of a token's file.

    Args:
        token: The token. Without a registration in ``extra``, the one that is there stays.
        there: What the file holds now; fields that are not the token's stay.
        about: Fields to set where they are not None.

    Raises:
        StoreSaveError: a value of the token cannot be written; quotes nothing.
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
            raise StoreSaveError("expires_at: is no time of the years 1 to 9999.")
    ours["of"] = _mark(fields)
    fields[_OURS] = ours
    return Masked(fields)


def _mark(fields: Mapping[str, Any]) -> str:
    """Changes with the token, so that what is kept beside it is not taken for another's."""
    told = json.dumps([fields.get(name) for name in ("accessToken", "expiresAt")])
    return hashlib.sha256(told.encode()).hexdigest()
