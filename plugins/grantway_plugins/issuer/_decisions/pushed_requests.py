"""Pushed authorization requests, which wait in the database for the user's browser (RFC 9126)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from grantway_plugins.server._http.denial import DenialError

from .randomness import new_secret

if TYPE_CHECKING:
    from grantway_plugins.issuer._storage.plugin_records import Records
    from grantway_plugins.issuer._storage.transaction import Transaction

REQUEST_URI = "request_uri"
#: Setting, metadata of the issuer and metadata of clients (RFC 9126 sections 5 and 6).
REQUIRED = "require_pushed_authorization_requests"
_PREFIX = "urn:ietf:params:oauth:request_uri:"
#: Time in which the user can log in and decide after the browser has opened the request, in
#: seconds.
_DECISION_SECONDS = 600.0


def push(
    pairs: Sequence[tuple[str, str]], client_id: str, until: float, transaction: Transaction
) -> str:
    """Store a valid request, and return its ``request_uri``.

    Args:
        pairs: Parameters of the request.
        client_id: The client that pushed it.
        until: Time until which a browser must open it, in seconds since the epoch.
        transaction: The transaction.

    Raises:
        DenialError: the request is too large.
    """
    uri = _PREFIX + new_secret("gwp")
    value = {"client_id": client_id, "pairs": pairs, "opened": False}
    try:
        _records(transaction).put(uri, value, until=until)
    except ValueError:
        rule = "The request is larger than 16,384 bytes; send fewer or shorter parameters"
        raise DenialError("invalid_request", rule) from None
    return uri


def is_pushed(values: Mapping[str, str]) -> bool:
    """Return whether an authorization request refers to one that was pushed."""
    return values.get(REQUEST_URI, "").startswith(_PREFIX)


def open_request(
    values: Mapping[str, str], now: float, transaction: Transaction
) -> list[tuple[str, str]] | None:
    """Return the parameters of a pushed request.

    The browser may open it again, for example after the user has logged in, until the user has
    decided.

    Args:
        values: Parameters in the query, of which only ``client_id`` and ``request_uri`` are used
            (RFC 9101 section 5).
        now: Current time in seconds since the epoch.
        transaction: The transaction.

    Returns:
        None if it has expired or was used, or if another client pushed it.
    """
    records, uri = _records(transaction), values[REQUEST_URI]
    found: dict[str, Any] | None = records.get(uri)
    if found is None or found["client_id"] != values.get("client_id"):
        return None
    if not found["opened"]:
        records.put(uri, {**found, "opened": True}, until=now + _DECISION_SECONDS)
    return [(name, value) for name, value in found["pairs"]]


def use_request(uri: str, transaction: Transaction) -> None:
    """Delete a request after the user's decision, so that it cannot be used again."""
    if uri:
        _records(transaction).delete(uri)


def _records(transaction: Transaction) -> Records:
    return transaction.records("grantway")
