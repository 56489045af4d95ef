"""Dialects: encode requests and decode responses of a provider. The only place that parses them."""

from __future__ import annotations

import copy
import json
import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any
from urllib.parse import urlencode

from grantway._exceptions import RequestInvalidError
from grantway._processes.copies import Value
from grantway._secrets.redaction import excerpt, texts
from grantway._transport.http import HttpResponse, can_travel, retry_after
from grantway._types.callables import is_async
from grantway._types.freshness import Freshness
from grantway._types.quantity import check_seconds
from grantway._types.token import Token

from .response_body import parse
from .shapes import ErrorShape, Path, RequestShape, ResponseShape, refuse, text

__all__ = [
    "RFC6749",
    "Dialect",
    "ErrorShape",
    "Path",
    "ProviderResponse",
    "RequestShape",
    "ResponseShape",
    "WireError",
]

logger = logging.getLogger("grantway")
_NOTHING: Mapping[str, Any] = MappingProxyType({})
#: Response members with a ``Token`` attribute.
_READ = ("expires_in", "token_type", "refresh_token", "id_token", "scope")
_UNSTATED: tuple[Any, ...] = (None, "", 0)
#: Members of a token; beside a nested token they belong to another token.
_TOKEN_FIELDS = frozenset(
    {"access_token", "expires_in", "id_token", "refresh_token", "scope", "token_type"}
)


@dataclass(frozen=True, slots=True)
class WireError:
    """An error response.

    Attributes:
        code: The RFC error code, or the provider's own.
        description: The provider's description, or None.
        uri: ``error_uri``, or None.
        reason: An additional reason code, such as AWS's ``reason``, or None.
    """

    code: str
    description: str | None = None
    uri: str | None = None
    reason: str | None = None


@dataclass(slots=True)
class ProviderResponse(Value):
    """A decoded response: a payload, an error, or a problem.

    Attributes:
        status: HTTP status.
        headers: Lower-case names.
        payload: The members of a success, RFC names.
        error: The error that the provider returned, or None.
        problem: Why the body could not be used, or None.
        body: The raw body, if there is a problem.
        members: The decoded object of a failed response, with RFC names at the top level.
        token: The token, if a token request succeeded.
        attempts: Number of sends.
    """

    status: int
    headers: Mapping[str, str]
    payload: dict[str, Any] = field(default_factory=dict, repr=False)
    error: WireError | None = None
    problem: str | None = None
    body: bytes = field(default=b"", repr=False)
    members: dict[str, Any] = field(default_factory=dict, repr=False)
    token: Token | None = None
    attempts: int = 1

    @property
    def retry_after(self) -> float | None:
        """Seconds of the Retry-After header, or None."""
        return retry_after(self.headers)

    def excerpt(self, secrets: list[str]) -> str:
        """Return the start of an unusable body without secrets."""
        return excerpt(self.body, secrets)


@dataclass(frozen=True, slots=True)
class _Plan:
    """Values that a dialect computes once. The mappings are copies."""

    headers: Mapping[str, str]
    request_names: Mapping[str, str]
    authorization_names: Mapping[str, str]
    constants: Mapping[str, str]
    response_names: Mapping[str, str]
    token_types: Mapping[str, str]
    codes: Mapping[str, str]
    one_separator: tuple[str, Mapping[int, str]]

    @classmethod
    def of(cls, request: RequestShape, response: ResponseShape, error: ErrorShape) -> _Plan:
        content = "json" if request.encoding == "json" else "x-www-form-urlencoded"
        headers = {"Accept": "application/json", "Content-Type": f"application/{content}"}
        for name, value in request.headers.items():
            if name.lower() == "accept":
                del headers["Accept"]
            headers[name] = value
        first, *others = dict.fromkeys(response.scope_separators + (request.scope_separator or ""))
        return cls(
            headers=MappingProxyType(headers),
            request_names=dict(request.names),
            authorization_names=dict(request.authorization_names),
            constants=dict(request.constants),
            response_names=dict(response.names),
            token_types=dict(response.token_types),
            codes=dict(error.codes),
            one_separator=(first, {ord(other): first for other in others}),
        )


@dataclass(frozen=True, slots=True)
class Dialect(Value):
    """The request and response formats of a provider or a family of providers.

    Attributes:
        name: The name for ``Provider(dialect=...)``.
        request: The format of requests.
        response: The format of successful responses.
        error: The format of error responses.
        replay_window: Seconds within which a refresh token may be sent again after its response was
            lost; 0 if the provider documents none.
        freshness: When a credential refreshes a token.
        amend: A function that converts the decoded object before it is read, for formats that the
            other attributes cannot describe.

    Raises:
        ConfigurationError: an attribute is invalid. The message names it.
    """

    name: str
    request: RequestShape = field(default_factory=RequestShape)
    response: ResponseShape = field(default_factory=ResponseShape)
    error: ErrorShape = field(default_factory=ErrorShape)
    replay_window: float = 0.0
    freshness: Freshness = field(default_factory=Freshness)
    amend: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    _plan: _Plan = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        text("Dialect.name", self.name)
        if any(character.isspace() for character in self.name):
            refuse("Dialect.name", f"must have no space, unlike {self.name!r:.80}")
        at = f"Dialect {self.name}"
        for part, kind in (
            ("request", RequestShape),
            ("response", ResponseShape),
            ("error", ErrorShape),
            ("freshness", Freshness),
        ):
            if not isinstance(getattr(self, part), kind):
                refuse(f"{at}: {part}", f"must be an instance of {kind.__name__}")
        check_seconds(f"{at}: replay_window", self.replay_window, least=0)
        amend: Any = self.amend
        if amend is not None and not callable(amend):
            refuse(f"{at}: amend", "must be callable, or None")
        if is_async(amend):
            refuse(f"{at}: amend", "must be a plain function, not async def")
        object.__setattr__(self, "_plan", _Plan.of(self.request, self.response, self.error))

    def __repr__(self) -> str:
        return f"Dialect({self.name!r})"

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers of every request."""
        return self._plan.headers

    # --- requests ---------------------------------------------------------------------------

    def encode(self, fields: Mapping[str, Any]) -> bytes:
        """Return the body of a request with these fields (RFC names)."""
        names = self._plan.request_names
        separator = self.request.scope_separator
        written: dict[str, Any] = dict(self._plan.constants)
        for name, value in fields.items():
            if _is_absent(name, value):
                continue
            if name == "scope" and separator is not None and not isinstance(value, str):
                written[names.get(name, name)] = separator.join(value)
            else:
                written[names.get(name, name)] = value
        if self.request.encoding == "json":
            return json.dumps(written, separators=(",", ":")).encode()
        return _form(written).encode("ascii")

    def authorization_url(self, endpoint: str, fields: Mapping[str, Any]) -> str:
        """Return the URL of an authorization request (RFC 6749 section 4.1.1).

        Args:
            endpoint: The authorization endpoint, which may have a query already.
            fields: RFC names to values; None and an empty scope are omitted.
        """
        names = self._plan.authorization_names
        separator = self.request.scope_separator or " "
        query = _form(
            {
                names.get(name, name): separator.join(value)
                if name == "scope" and not isinstance(value, str)
                else value
                for name, value in fields.items()
                if not _is_absent(name, value)
            }
        )
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{query}"

    # --- responses --------------------------------------------------------------------------

    def decode(self, response: HttpResponse) -> ProviderResponse:
        """Decode a response of any status. Never raises an error for its content.

        Every 2xx status is a success: RFC 6749 section 5.1 allows only 200, but providers and
        gateways send others.
        """
        answer = ProviderResponse(response.status, response.headers)
        succeeded = response.succeeded
        found, problem = parse(response, self._expected)
        if found is not None and self.amend is not None:
            found, wrong = self._amended(found)
            problem = problem or wrong
        payload = self._payload(found) if found is not None and problem is None else None
        answer.error = self._error(response, found, payload, succeeded=succeeded)
        if answer.error is not None:
            answer.members = self._renamed(found or {})
            return answer
        if problem is None and not succeeded:
            problem = f"status {response.status} without an OAuth error code"
        if problem is None and payload is None:
            places = " or ".join(".".join(path) for path in self.response.token_at)
            problem = f"the answer has no object at {places}"
        if problem is not None or payload is None:
            answer.problem, answer.body = problem, response.body
            answer.members = self._renamed(found or {})
            return answer
        answer.payload = payload
        return answer

    def _amended(self, found: dict[str, Any]) -> tuple[dict[str, Any], str | None]:
        """Return the object as ``amend`` converts it. If ``amend`` fails, a token is still read."""
        assert self.amend is not None
        try:
            amended: Any = self.amend(copy.deepcopy(found))
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - plugin code
            problem = f"amend raised {_kind(error)}"
        else:
            if isinstance(amended, dict):
                return amended, None
            problem = f"amend returned a {_kind(amended)}"
        if self._token_in(found):
            logger.warning("The dialect %s is faulty: %s.", self.name, problem)
            return found, None
        return found, f"the dialect {self.name} cannot read it: {problem}"

    def _expected(self, found: dict[str, Any]) -> bool:
        """Return whether an object contains a token or an error of this dialect."""
        return self._token_in(found) or bool(_first(found, self.error.code_at))

    def _token_in(self, found: dict[str, Any]) -> bool:
        """Return whether an object contains an access token or a refresh token."""
        payload = self._payload(found) or _NOTHING
        return bool(
            _text(payload.get("access_token")) or refresh_token(payload.get("refresh_token"))
        )

    def _payload(self, found: dict[str, Any]) -> dict[str, Any] | None:
        """Return the first object with a token, or the first object if none has one; RFC names."""
        objects = []
        for path in self.response.token_at:
            here = _at(found, path)
            if isinstance(here, dict):
                payload = self._renamed(here)
                if path:
                    payload = dict(payload)  # the original may go to ``extra``
                    beside = self._renamed(found)
                    payload.update(
                        (name, value)
                        for name, value in beside.items()
                        if name not in payload and name not in _TOKEN_FIELDS and name != path[0]
                    )
                if payload.get("access_token"):
                    return payload
                objects.append(payload)
        return objects[0] if objects else None

    def _renamed(self, found: dict[str, Any]) -> dict[str, Any]:
        names = self._plan.response_names
        if not names:
            return found
        renamed = {}
        for name, value in found.items():
            target = names.get(name, name)
            renamed[name if target in found else target] = value
        return renamed

    def _error(
        self,
        response: HttpResponse,
        found: dict[str, Any] | None,
        payload: dict[str, Any] | None,
        *,
        succeeded: bool,
    ) -> WireError | None:
        shape = self.error
        raw = ""
        if not succeeded and shape.header is not None:
            raw = response.headers.get(shape.header, "")
        failed = False
        if found:
            if shape.ok is not None:
                name, value = shape.ok
                failed = name in found and found[name] != value
            raw = raw or _first(found, shape.code_at)
        if not raw and not failed:
            return None
        if succeeded and not failed and payload and _text(payload.get("access_token")):
            # Some providers send ``"error": ""`` or notes beside a valid token.
            return None
        said = found or _NOTHING
        return WireError(
            code=self._code(raw) or "unknown_error",
            description=_first_text(said, shape.description_at) or None,
            uri=_first_text(said, (("error_uri",),)) or None,
            reason=_first(said, shape.reason_at) or None,
        )

    def _code(self, raw: str) -> str:
        codes = self._plan.codes
        if raw not in codes and self.error.header is not None:
            raw = raw.split(":", 1)[0].rsplit("#", 1)[-1].strip()
        return codes.get(raw, raw)

    def token(self, payload: dict[str, Any], received_at: float) -> Token:
        """Return the token of a payload (RFC 6749 section 5.1).

        Args:
            payload: The members, RFC names. Modified.
            received_at: Unix time of the response, for ``expires_in``.

        Raises:
            ValueError: a member is missing or invalid. The message contains no value.
        """
        access_token = payload.pop("access_token", None)
        if not isinstance(access_token, str) or not access_token:
            raise ValueError("access_token is missing, null or empty")
        stated = {name: payload.pop(name, None) for name in _READ}
        expires_in = self._seconds(stated["expires_in"])
        token_type = _text(stated["token_type"]) or "Bearer"
        token = Token(
            access_token=access_token,
            token_type=self._plan.token_types.get(token_type, token_type),
            expires_in=expires_in,
            expires_at=None if expires_in is None else received_at + expires_in,
            refresh_token=refresh_token(stated["refresh_token"]),
            id_token=_text(stated["id_token"]),
            scope=self._scope(stated["scope"]),
            extra=payload,
        )
        # Keep members that cannot be read in ``extra``.
        payload.update(
            (name, value)
            for name, value in stated.items()
            if value not in _UNSTATED and _unread(name, value, token)
        )
        return token

    def _seconds(self, value: Any) -> int | None:
        """Return a lifetime given as a number or string; None for anything else.

        An invalid lifetime must not discard an issued token.
        """
        if isinstance(value, bool):
            return None
        try:
            seconds = max(0, int(float(value)))
        except (TypeError, ValueError, OverflowError):
            return None
        return None if seconds == 0 and self.response.zero_never_expires else seconds

    def _scope(self, value: Any) -> tuple[str, ...] | None:
        if isinstance(value, list):
            return tuple(name for name in value if isinstance(name, str))
        if not isinstance(value, str):
            return None
        separator, others = self._plan.one_separator
        if others:
            value = value.translate(others)
        return tuple(name for name in value.split(separator) if name)


def _is_absent(name: str, value: Any) -> bool:
    """Return whether a field is omitted: None, or an empty scope (RFC 6749 section 3.3)."""
    if name == "scope" and isinstance(value, str):
        return not value.strip()
    return value is None or (name == "scope" and not value)


def _form(fields: Mapping[str, Any]) -> str:
    try:
        return urlencode({name: _form_value(value) for name, value in fields.items()}, doseq=True)
    except UnicodeEncodeError:
        rule = "holds half a character (a lone surrogate)"
        errors = {
            ascii(name)[1:-1]: [rule]
            for name, value in fields.items()
            if not all(can_travel(part) for part in (name, *texts(value)))
        }
    # Raised outside the except block, because the UnicodeEncodeError holds the value.
    raise RequestInvalidError(f"Nothing was sent: {', '.join(errors)} {rule}", errors=errors)


def _form_value(value: Any) -> Any:
    """Encode values that a form cannot express as JSON, as in RFC 9396 section 2."""
    items = value if isinstance(value, (list, tuple)) else (value,)
    if isinstance(value, bool) or any(isinstance(item, (Mapping, list, tuple)) for item in items):
        return json.dumps(value, separators=(",", ":"))
    return value


def refresh_token(value: Any) -> str | None:
    """Return a refresh token as text; some providers send a number."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else _text(value)


def _unread(name: str, value: Any, token: Token) -> bool:
    if name == "token_type":
        return not isinstance(value, str)
    if name == "scope" and isinstance(value, list):
        return not all(isinstance(each, str) for each in value)
    if isinstance(value, float) and not math.isfinite(value):
        return False  # not valid JSON
    return getattr(token, name) is None


def _kind(value: Any) -> str:
    return type(value).__name__


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _at(found: Mapping[str, Any], path: Path) -> Any:
    """Return the value at a path; a number in the path indexes a list."""
    here: Any = found
    for step in path:
        if isinstance(here, dict):
            here = here.get(step)
        elif isinstance(here, list) and step.isdecimal() and int(step) < len(here):
            here = here[int(step)]
        else:
            return None
    return here


def _first_text(found: Mapping[str, Any], paths: tuple[Path, ...]) -> str:
    """Return the first non-empty string at one of the paths."""
    for path in paths:
        here = _at(found, path)
        if isinstance(here, str) and here:
            return here
    return ""


def _first(found: Mapping[str, Any], paths: tuple[Path, ...]) -> str:
    """Return the first non-empty string or integer at one of the paths, as a string."""
    for path in paths:
        here = _at(found, path)
        if isinstance(here, str) and here:
            return here
        if isinstance(here, int) and not isinstance(here, bool):
            return str(here)
    return ""


#: The standard: form requests, JSON responses, error codes in ``error`` (RFC 6749).
RFC6749 = Dialect(name="rfc6749")
