"""Parse and render HTTP requests and responses in both dialects.

AWS's dialect uses JSON with camelCase names, RFC 6749 uses forms. Other modules use RFC names only.
"""

from __future__ import annotations

import base64
import binascii
import enum
import json
import math
import re
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus

from grantway._exceptions import TOKEN_ERRORS

from .audit_event import AuditEvent
from .denial import Denial, DenialError
from .headers import Headers

if TYPE_CHECKING:
    from grantway_plugins.server._proofs.proof import Proof

#: Maximum size of a request body, in bytes.
BODY_CAP = 65_536
#: Default time limit for a request body, in seconds.
BODY_TIME = 30.0

#: Maximum number of fields of a form.
_MOST_FIELDS = 1000

Header = tuple[bytes, bytes]

_AWS_NAMES = MappingProxyType({each.wire: each.__name__ for each in TOKEN_ERRORS})
_STATUS = MappingProxyType({"invalid_client": 401, "server_error": 500})
#: Errors that are not denials: a pending device login, and a failure of the issuer.
_NOT_DENIED = frozenset({"authorization_pending", "server_error"})
_JSON: Header = (b"content-type", b"application/json")
_NO_STORE: tuple[Header, ...] = ((b"cache-control", b"no-store"), (b"pragma", b"no-cache"))
#: Parameter names that errors may contain. Other names could be a misplaced secret.
_NAME = re.compile(r"[A-Za-z_]{1,40}")
_HUMP = re.compile(r"(?<=[a-z0-9])([A-Z])")


class WireFormat(enum.Enum):
    """The dialect of a request and of its response."""

    AWS = "aws-sso-oidc"
    RFC = "rfc6749"


@dataclass(frozen=True, slots=True)
class WireResponse:
    """A complete response.

    Attributes:
        status: HTTP status.
        headers: Headers.
        body: Body.
        event: The audit event, if any.
        issued: Grant type and format of the access token in the body, for metrics, if any.
    """

    status: int
    headers: tuple[Header, ...]
    body: bytes = field(repr=False)
    event: AuditEvent | None = field(default=None, compare=False)
    issued: tuple[str, str] | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class WireRequest:
    """A parsed request.

    Attributes:
        dialect: Dialect of the request.
        params: Parameters by RFC name, without empty and null ones.
        basic: Client id and secret from the Authorization header, or None.
        bearer: Bearer token from the Authorization header, or None.
        dpop: Access token from the Authorization header with the scheme DPoP, or None.
        headers: Headers of the request.
        peer: Address that sent the request; empty if unknown.
        method: HTTP method of the request.
        path: Path of the request below the issuer's URL; empty if unknown.
        trusted: Verified or rejected tokens of other issuers, by the parameter that contains them.
        confirmation: Key whose possession the client proved, as the members of the ``cnf`` claim
            (RFC 7800 section 3.1): ``jkt`` (RFC 9449) or ``x5t#S256`` (RFC 8705). Empty if none.
        proof: The verified DPoP proof, whose use has to be recorded, or None.
    """

    dialect: WireFormat
    params: Mapping[str, Any] = field(repr=False)
    basic: tuple[str, str] | None = field(default=None, repr=False)
    bearer: str | None = field(default=None, repr=False)
    dpop: str | None = field(default=None, repr=False)
    headers: Headers = field(default_factory=Headers)
    peer: str = ""
    method: str = "POST"
    path: str = ""
    trusted: Mapping[str, Any] = field(default_factory=dict, repr=False)
    confirmation: Mapping[str, str] = field(default_factory=dict)
    proof: Proof | None = None

    def text(self, name: str) -> str | None:
        """Return the string value of a parameter, or None if it is missing.

        Raises:
            DenialError: the parameter is not a string.
        """
        value = self.params.get(name)
        if value is None or (isinstance(value, str) and _is_text(value)):
            return value
        raise DenialError("invalid_request", f"{self.shown(name)} must be a string")

    def shown(self, name: str) -> str:
        """Return the name of a parameter in the dialect's spelling."""
        return camel(name) if self.dialect is WireFormat.AWS else name


def _is_text(value: str) -> bool:
    """Return whether a string has no lone surrogates, which JSON allows but databases reject."""
    return value.isascii() or not any("\ud800" <= each <= "\udfff" for each in value)


def camel(name: str) -> str:
    """Convert a name from snake_case to camelCase."""
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


@lru_cache(256)
def snake(name: str) -> str:
    """Convert a name from camelCase to snake_case."""
    return _HUMP.sub(r"_\1", name).lower()


def dialect_of(content_type: str) -> WireFormat | None:
    """Return the dialect of a content type, or None if it is neither a form nor JSON."""
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type == "application/json":
        return WireFormat.AWS
    if media_type == "application/x-www-form-urlencoded":
        return WireFormat.RFC
    return None


def parse_form(body: bytes, *, repeatable: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Parse a form (RFC 6749 appendix B).

    Args:
        body: The form, percent-encoded.
        repeatable: Names that may be repeated; their values are lists.

    Raises:
        DenialError: the body is not a form, or a parameter is duplicated.
    """
    try:
        pairs = list(_fields(body.decode("ascii")))
    except ValueError:  # includes UnicodeDecodeError
        raise DenialError("invalid_request", "The body is not a form in UTF-8") from None
    return _once(pairs, repeatable)


def _fields(form: str) -> Iterator[tuple[str, str | None]]:
    """Yield the fields of a form; an empty value is None.

    Raises:
        ValueError: the form is malformed, or has too many fields.
    """
    fields = form.split("&")
    if len(fields) > _MOST_FIELDS:
        raise ValueError
    for field_ in fields:
        if not field_:
            continue  # many clients append "&" to a form (WHATWG URL section 5.1)
        name, equals, value = field_.partition("=")
        if not equals:
            raise ValueError
        yield _decoded(name), _decoded(value) or None


def _decoded(text: str) -> str:
    if "%" in text or "+" in text:
        return unquote_plus(text, errors="strict")
    return text


def parse_json(body: bytes) -> dict[str, Any]:
    """Parse a JSON object without converting names.

    Raises:
        DenialError: the body is not a JSON object, or a name is duplicated.
    """
    try:
        value = _DECODER.decode(body.decode("utf-8"))
    except (ValueError, RecursionError):
        raise DenialError("invalid_request", "The body is not a JSON object in UTF-8") from None
    if not isinstance(value, dict):
        raise DenialError("invalid_request", "The body must be a JSON object")
    return value


def aws_names(members: Mapping[str, Any]) -> dict[str, Any]:
    """Convert camelCase names into RFC names.

    Raises:
        DenialError: two names are equal after the conversion.
    """
    return _once((snake(name), value) for name, value in members.items())


def parse_basic(credentials: str) -> tuple[str, str]:
    """Return the client id and secret of Basic credentials (RFC 6749 section 2.3.1).

    Raises:
        DenialError: the credentials cannot be parsed.
    """
    try:
        pair = base64.b64decode(credentials.strip(), validate=True).decode("utf-8")
        client_id, colon, secret = pair.partition(":")
        if colon:
            return unquote_plus(client_id, errors="strict"), unquote_plus(secret, errors="strict")
    except (binascii.Error, ValueError):
        pass
    raise DenialError(
        "invalid_client", "The Authorization header is not valid Basic authentication"
    )


def json_response(
    status: int,
    content: Mapping[str, Any],
    dialect: WireFormat = WireFormat.RFC,
    headers: tuple[Header, ...] = (),
    event: AuditEvent | None = None,
    *,
    issued: tuple[str, str] | None = None,
) -> WireResponse:
    """Return a response that must not be cached.

    Args:
        status: HTTP status.
        content: Members of the body, in the dialect's spelling.
        dialect: Dialect of the response. AWS's has a request id.
        headers: Additional headers.
        event: The audit event, if any.
        issued: As for ``WireResponse``.
    """
    if dialect is WireFormat.AWS:
        headers = (*headers, (b"x-amzn-requestid", str(uuid.uuid4()).encode()))
    body = _ENCODER.encode(content).encode()
    return WireResponse(status, (_JSON, *_NO_STORE, *headers), body, event, issued)


def denial_response(
    denial: Denial,
    dialect: WireFormat,
    *,
    status: int | None = None,
    headers: tuple[Header, ...] = (),
) -> WireResponse:
    """Return an error response (RFC 6749 section 5.2) in the request's dialect.

    Args:
        denial: The error.
        dialect: Dialect of the response.
        status: HTTP status; by default that of the error code.
        headers: Additional headers.
    """
    content = {"error": denial.error, "error_description": denial.description}
    if dialect is WireFormat.AWS:
        name = _AWS_NAMES.get(denial.error, "InvalidRequestException")
        headers = (*headers, (b"x-amzn-errortype", name.encode()))
        content["message"] = denial.description
        if denial.reason is not None:
            content["reason"] = denial.reason
    status = status or _STATUS.get(denial.error, 400)
    return json_response(status, content, dialect, (*headers, *denial.headers), _event_of(denial))


def _event_of(denial: Denial) -> AuditEvent | None:
    event = denial.event or AuditEvent("denial")
    if event.name == "denial" and denial.error in _NOT_DENIED:
        return None
    return replace(event, error=denial.error, reason=denial.description)


def basic_challenge_response(denial: Denial, dialect: WireFormat) -> WireResponse:
    """Return the response to failed Basic authentication (RFC 6749 section 5.2)."""
    challenge = (b"www-authenticate", b'Basic realm="grantway", charset="UTF-8"')
    return denial_response(denial, dialect, headers=(challenge,))


def busy_response(
    dialect: WireFormat,
    description: str = "The database is busy, and nothing was done; try again",
    event: AuditEvent | None = None,
) -> WireResponse:
    """Return a response that asks the client to retry after a second."""
    denial = Denial("server_error", description, event=event)
    status = 500 if dialect is WireFormat.AWS else 503  # AWS's clients retry only 500
    return denial_response(denial, dialect, status=status, headers=((b"retry-after", b"1"),))


def _once(
    pairs: Iterable[tuple[str, Any]], repeatable: frozenset[str] = frozenset()
) -> dict[str, Any]:
    """Return the pairs as a dictionary, without None values.

    Raises:
        DenialError: a name is duplicated.
    """
    collected: dict[str, Any] = {}
    seen: set[str] = set()
    for name, value in pairs:
        if name in repeatable:
            if value is not None:
                collected.setdefault(name, []).append(value)
            continue
        if name in seen:
            shown = f": {name}" if _NAME.fullmatch(name) else ""
            raise DenialError("invalid_request", f"Duplicate parameter{shown}; send it once")
        seen.add(name)
        if value is not None:
            collected[name] = value
    return collected


def _no_constant(_name: str) -> Any:
    raise ValueError


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):  # such as 1e999
        raise ValueError
    return number


# Shared, because creating a decoder or encoder takes longer than using it.
_DECODER = json.JSONDecoder(
    object_pairs_hook=_once, parse_constant=_no_constant, parse_float=_finite
)
_ENCODER = json.JSONEncoder(separators=(",", ":"))
