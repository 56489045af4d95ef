"""Responses of extensions' endpoints."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import NoneType
from typing import Any

from grantway_plugins.server._http.audit_event import AuditEvent
from grantway_plugins.server._http.wire import WireResponse

from .errors import InvalidArgumentError
from .status import WITHOUT_CONTENT, check_status

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
#: Headers that the issuer or its server sets.
_OWN = re.compile(
    r"access-control-.*|connection|content-(length|type|encoding|security-policy)|date|keep-alive|"
    r"set-cookie|te|trailer|transfer-encoding|upgrade|x-content-type-options"
)
#: Even if the content is HTML, a browser runs nothing in it.
_SAFE = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
}
_JSON = "application/json"
_JSON_HEADERS = tuple(
    (name.encode(), value.encode()) for name, value in {"content-type": _JSON, **_SAFE}.items()
)
# Shared, because creating an encoder takes longer than using it.
_ENCODER = json.JSONEncoder(allow_nan=False, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Reply:
    """The response of an endpoint. By default, it must not be cached.

    Attributes:
        content: A JSON object, or text or bytes of another media type. It must be ``""`` for the
            statuses 204, 205 and 304.
        status: HTTP status from 200 to 599.
        media_type: Media type of the content.
        headers: Additional headers. ``Cache-Control`` replaces the default, ``no-store``. Headers
            of CORS, cookies and the connection are the issuer's.
        event: An event for the audit log, which is logged after the commit.

    Raises:
        ValueError: a field is invalid. The message does not contain its value.
    """

    content: Mapping[str, Any] | str | bytes = field(repr=False)
    status: int = 200
    media_type: str = _JSON
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    event: AuditEvent | None = None

    def __post_init__(self) -> None:
        """Validate the fields."""
        if not isinstance(self.event, (AuditEvent, NoneType)):
            raise InvalidArgumentError("event must be an AuditEvent or None")
        check_status(self.status)
        if self.status in WITHOUT_CONTENT and self.content not in ("", b""):
            raise InvalidArgumentError(f'content must be "" for the status {self.status}')
        if self.media_type == _JSON and not self.headers:
            return
        if not self.media_type or not _VALUE.fullmatch(self.media_type):
            raise InvalidArgumentError("media_type must be one like application/json")
        for name, value in self.headers.items():
            if not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value):
                raise InvalidArgumentError("headers must have valid names and values in Latin-1")
            if _OWN.fullmatch(name.lower()):
                raise InvalidArgumentError(
                    f"headers must not contain {name.lower()}, which the issuer sets"
                )


def response_to(reply: Reply) -> WireResponse:
    """Return the complete response.

    Raises:
        ValueError: the content is not JSON. The message does not contain it.
    """
    body = _body(reply.content)
    if not reply.headers and reply.media_type == _JSON:
        return WireResponse(reply.status, _JSON_HEADERS, body, reply.event)
    headers = {
        "content-type": reply.media_type,
        **_SAFE,
        **{name.lower(): value for name, value in reply.headers.items()},
    }
    encoded = tuple((name.encode(), value.encode("latin-1")) for name, value in headers.items())
    return WireResponse(reply.status, encoded, body, reply.event)


def _body(content: Mapping[str, Any] | str | bytes) -> bytes:
    if isinstance(content, str):
        return content.encode()
    if isinstance(content, bytes):
        return content
    try:
        return _ENCODER.encode(dict(content)).encode()
    except (TypeError, ValueError, RecursionError):
        pass
    raise InvalidArgumentError("content must be a JSON object, text or bytes")
