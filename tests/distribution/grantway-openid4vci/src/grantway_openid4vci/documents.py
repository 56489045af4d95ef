"""Fetch JSON documents of credential issuers, over TLS except on this machine."""

from __future__ import annotations

import json
from typing import Any, cast

from grantway import Deadline, HttpRequest, HttpTransport, Transport, require_secure

from .errors import OfferInvalidError

#: Maximum duration of a request in seconds.
TIMEOUT = 10.0
_SUCCESS = 200


def fetch_json(url: str, named: str, transport: Transport | None = None) -> dict[str, Any]:
    """Return the JSON object at a URL.

    Args:
        url: An https URL (http on this machine).
        named: The document in errors.
        transport: Sends the request; by default a new one.

    Raises:
        OfferInvalidError: There is no such document.
        InsecureEndpointError: The URL is plain http to another machine.
        ConfigurationError: It is no URL.
        TransportError: The server could not be reached.
    """
    require_secure(url, named)
    used = transport or HttpTransport()
    try:
        request = HttpRequest("GET", url, {"Accept": "application/json"})
        response = used.send(request, Deadline(TIMEOUT))
    finally:
        if transport is None:
            used.close()
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if response.status != _SUCCESS or kind != "application/json":
        raise OfferInvalidError(
            f"{named} is not available: the server responded with status {response.status} and "
            f"content type {kind or 'none'}; ask the issuer for a new credential offer"
        )
    return parse_object(response.body, named)


def parse_object(text: str | bytes, named: str) -> dict[str, Any]:
    """Return the JSON object in a text.

    Raises:
        OfferInvalidError: It is not a JSON object.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise OfferInvalidError(f"{named} is not a JSON object; ask the issuer for a new one")
    return cast("dict[str, Any]", found)
