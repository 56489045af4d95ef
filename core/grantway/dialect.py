"""How requests and answers look on the wire. A dialect is data; the wire is parsed here only."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal
from urllib.parse import parse_qsl, urlencode

from .exceptions import ConfigurationError
from .http import HttpResponse
from .redaction import excerpt
from .token import Token

Path = tuple[str, ...]
_EMPTY: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class RequestShape:
    """How a request is written.

    Attributes:
        encoding: ``form`` (RFC 6749 appendix B) or ``json``.
        names: RFC name -> name on the wire, for those that differ.
        scope_separator: Between scope names; None sends a list (JSON) or repeats the field (form).
        client_auth: The method used where the client does not name one.
        basic: Whether Basic credentials are form-encoded first (RFC 6749 section 2.3.1) or raw.
        headers: Sent with every request.
        authorization_names: RFC name -> name in the query of an authorization request.
    """

    encoding: Literal["form", "json"] = "form"
    names: Mapping[str, str] = field(default_factory=dict)
    scope_separator: str | None = " "
    client_auth: str = "client_secret_basic"
    basic: Literal["encoded", "raw"] = "encoded"
    headers: Mapping[str, str] = field(default_factory=dict)
    authorization_names: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AnswerShape:
    """Where a successful answer keeps its parts.

    Attributes:
        names: Name on the wire -> RFC name, for those that differ.
        token_at: Path to the object that holds the token, when it is nested.
        success: Statuses that mean success.
        form: Whether an answer may be a form rather than JSON.
        scope_separators: Characters between scope names.
        zero_never_expires: Whether ``expires_in: 0`` means that the token does not expire.
    """

    names: Mapping[str, str] = field(default_factory=dict)
    token_at: Path = ()
    success: frozenset[int] = frozenset({200})
    form: bool = False
    scope_separators: str = " "
    zero_never_expires: bool = False


@dataclass(frozen=True, slots=True)
class ErrorShape:
    """Where an error answer keeps its parts.

    Attributes:
        header: Header that names the error, lower case, or None. ``Name``, ``Name:http://...``
            and ``namespace#Name`` are all read as ``Name``.
        code_at: Paths to the code in the body, tried in order.
        description_at: Paths to the text, tried in order.
        codes: The provider's code -> the RFC's.
        failed: Field and value that mark an error by themselves, such as ``("ok", False)``.
    """

    header: str | None = None
    code_at: tuple[Path, ...] = (("error",),)
    description_at: tuple[Path, ...] = (("error_description",), ("message",))
    codes: Mapping[str, str] = field(default_factory=dict)
    failed: tuple[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class WireError:
    """An error as the provider stated it.

    Attributes:
        code: RFC code, or the provider's own where there is none.
        description: The provider's words, or None.
        uri: ``error_uri``, or None.
        reason: AWS's finer cause, or None.
    """

    code: str
    description: str | None = None
    uri: str | None = None
    reason: str | None = None


@dataclass(slots=True)
class Answer:
    """A decoded answer: a payload, an error, or neither with the problem named.

    Attributes:
        status: HTTP status.
        headers: Lower-case names.
        payload: The fields of a success, RFC names.
        error: What the provider refused, or None.
        problem: Why the body could not be used, or None.
        body: The raw body, kept only beside a problem.
        token: What the payload says, for a token request that succeeded.
        attempts: Sends it took.
    """

    status: int
    headers: Mapping[str, str]
    payload: dict[str, Any] = field(default_factory=dict, repr=False)
    error: WireError | None = None
    problem: str | None = None
    body: bytes = field(default=b"", repr=False)
    token: Token | None = None
    attempts: int = 1

    @property
    def retry_after(self) -> float | None:
        """Seconds of the Retry-After header, given in seconds or as a date (RFC 9110 10.2.3)."""
        value = self.headers.get("retry-after")
        if value is None:
            return None
        from urllib3.exceptions import InvalidHeader  # noqa: PLC0415 - only failures need it
        from urllib3.util import Retry  # noqa: PLC0415

        try:
            return max(0.0, Retry().parse_retry_after(value))
        except InvalidHeader:
            return None

    def excerpt(self, secrets: list[str]) -> str:
        """The beginning of an unusable body, safe to show."""
        return excerpt(self.body, secrets)


def _no_amendment(payload: dict[str, Any]) -> dict[str, Any]:
    return payload


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one provider, or one kind of provider, writes requests and answers.

    Attributes:
        name: What a ``Provider`` asks for.
        request: The request.
        answer: A success.
        error: An error.
        replay_window: Seconds within which a refresh token may be presented again after its
            answer was lost; 0 where the provider states none.
        amend: Called with the decoded object before anything is looked up in it; the way out for
            what data cannot say.
    """

    name: str
    request: RequestShape = RequestShape()
    answer: AnswerShape = AnswerShape()
    error: ErrorShape = ErrorShape()
    replay_window: float = 0.0
    amend: Callable[[dict[str, Any]], dict[str, Any]] = _no_amendment
    headers: Mapping[str, str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._check()
        content = "json" if self.request.encoding == "json" else "x-www-form-urlencoded"
        headers = {
            "Accept": "application/json",
            "Content-Type": f"application/{content}",
            **self.request.headers,
        }
        object.__setattr__(self, "headers", MappingProxyType(headers))

    def _check(self) -> None:
        if not self.name:
            raise ConfigurationError("Dialect.name: must not be empty.")
        if self.request.encoding not in ("form", "json"):
            raise ConfigurationError(
                f"Dialect {self.name}: request.encoding must be 'form' or 'json', "
                f"not {self.request.encoding!r}."
            )
        if self.replay_window < 0:
            raise ConfigurationError(
                f"Dialect {self.name}: replay_window is a number of seconds and cannot be negative."
            )

    # --- requests ---------------------------------------------------------------------------

    def encode(self, fields: Mapping[str, Any]) -> bytes:
        """Write the fields of a request (RFC names) as a body."""
        shape = self.request
        names = shape.names
        written: dict[str, Any] = {}
        for name, value in fields.items():
            if name == "scope" and shape.scope_separator is not None:
                value = shape.scope_separator.join(value)  # noqa: PLW2901 - the wire's form of it
            if value is not None:
                written[names.get(name, name)] = value
        if shape.encoding == "json":
            return json.dumps(written, separators=(",", ":")).encode()
        return urlencode(written, doseq=True).encode("ascii")

    def authorization_url(self, endpoint: str, fields: Mapping[str, Any]) -> str:
        """Write an authorization request (RFC 6749 section 4.1.1) as an address.

        Args:
            endpoint: The authorization endpoint, which may have a query already.
            fields: RFC names to values; None is left out.
        """
        names = self.request.authorization_names
        separator = self.request.scope_separator or " "
        query = urlencode(
            {
                names.get(name, name): separator.join(value) if name == "scope" else value
                for name, value in fields.items()
                if value is not None
            },
            doseq=True,
        )
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{query}"

    # --- answers ----------------------------------------------------------------------------

    def decode(self, response: HttpResponse, *, also: frozenset[int] = frozenset()) -> Answer:
        """Read an answer of any status. Never raises for what the provider sent.

        Args:
            response: The answer.
            also: Statuses that mean success besides those of the answer's shape.
        """
        answer = Answer(response.status, response.headers)
        found, problem = self._parse(response)
        if found is not None:
            found = self.amend(found)
        succeeded = response.status in self.answer.success or response.status in also
        answer.error = self._error(response, found or {}, succeeded=succeeded)
        if answer.error is not None:
            return answer
        if problem is None and not succeeded:
            problem = f"status {response.status} without an OAuth error code"
        if problem is None and found is not None:
            for step in self.answer.token_at:
                found = found.get(step) if isinstance(found, dict) else None
            if not isinstance(found, dict):
                problem = f"no object at {'.'.join(self.answer.token_at)}"
        if problem is not None or found is None:
            answer.problem, answer.body = problem, response.body
            return answer
        names = self.answer.names
        answer.payload = (
            {names.get(name, name): value for name, value in found.items()} if names else found
        )
        return answer

    def _parse(self, response: HttpResponse) -> tuple[dict[str, Any] | None, str | None]:
        body = response.body
        if body.startswith(b"\xef\xbb\xbf"):
            body = body[3:]
        if not body.strip():
            return None, "the answer is empty"
        kind = response.headers.get("content-type", "")
        if self.answer.form and "json" not in kind and body[:1] not in b"{[" and b"=" in body:
            try:
                return dict(parse_qsl(body.decode("utf-8"), keep_blank_values=True)), None
            except ValueError:
                return None, "the answer is neither JSON nor a form"
        try:
            # parse_constant: NaN and Infinity are not JSON (RFC 8259 section 6).
            found = json.loads(body, parse_constant=_refuse_constant)
        except (ValueError, RecursionError):
            what = "HTML" if b"<" in body[:256] or "html" in kind else "not complete JSON"
            return None, f"the answer is {what}"
        if not isinstance(found, dict):
            return None, f"the answer is a JSON {_json_kind(found)}, not an object"
        return found, None

    def _error(
        self, response: HttpResponse, found: dict[str, Any], *, succeeded: bool
    ) -> WireError | None:
        shape = self.error
        raw = ""
        if not succeeded and shape.header is not None:
            raw = response.headers.get(shape.header, "")
        if not raw and (found or not succeeded):
            raw = _first_text(found, shape.code_at)
        failed = shape.failed is not None and found.get(shape.failed[0]) == shape.failed[1]
        if not raw and not failed:
            return None
        if succeeded and not failed and _first_text(found, (("access_token",),)):
            # Some providers send ``"error": ""`` or notes beside a token that works.
            return None
        code = raw.split(":", 1)[0].rsplit("#", 1)[-1].strip() if raw else "unknown_error"
        return WireError(
            code=shape.codes.get(code, code),
            description=_first_text(found, shape.description_at) or None,
            uri=_first_text(found, (("error_uri",),)) or None,
            reason=_first_text(found, (("reason",),)) or None,
        )

    def token(self, payload: dict[str, Any], received_at: float) -> Token:
        """Make a token of a payload (RFC 6749 section 5.1).

        Args:
            payload: The fields, RFC names. Consumed.
            received_at: Unix time to count ``expires_in`` from.

        Raises:
            ValueError: says which field is missing or unreadable; never quotes a value.
        """
        access_token = payload.pop("access_token", None)
        if not isinstance(access_token, str) or not access_token:
            raise ValueError("access_token is missing, null or empty")
        expires_in = self._seconds(payload.pop("expires_in", None))
        return Token(
            access_token=access_token,
            token_type=_text(payload.pop("token_type", None)) or "Bearer",
            expires_in=expires_in,
            expires_at=None if expires_in is None else received_at + expires_in,
            refresh_token=_text(payload.pop("refresh_token", None)),
            id_token=_text(payload.pop("id_token", None)),
            scope=self._scope(payload.pop("scope", None)),
            extra=MappingProxyType(payload),
        )

    def _seconds(self, value: Any) -> int | None:
        """Read a lifetime: a number, or a string of one; null and empty mean not stated."""
        if value is None or value == "" or isinstance(value, bool):
            return None
        try:
            seconds = int(float(value))
        except (TypeError, ValueError, OverflowError):
            raise ValueError("expires_in is not a number of seconds") from None
        if seconds < 0:
            raise ValueError("expires_in is negative")
        return None if seconds == 0 and self.answer.zero_never_expires else seconds

    def _scope(self, value: Any) -> tuple[str, ...] | None:
        if isinstance(value, list):
            return tuple(name for name in value if isinstance(name, str))
        if not isinstance(value, str):
            return None
        separators = self.answer.scope_separators
        for other in separators[1:]:
            value = value.replace(other, separators[0])
        return tuple(name for name in value.split(separators[0]) if name)


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _json_kind(value: Any) -> str:
    if value is None:
        return "null"
    names: dict[type, str] = {list: "list", str: "string", bool: "boolean"}
    return names.get(type(value), "number")


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _first_text(found: dict[str, Any], paths: tuple[Path, ...]) -> str:
    """The first non-empty string at one of the paths; a number in a path indexes a list."""
    for path in paths:
        here: Any = found
        for step in path:
            if isinstance(here, dict):
                here = here.get(step)
            elif isinstance(here, list) and step.isdigit() and int(step) < len(here):
                here = here[int(step)]
            else:
                here = None
        if isinstance(here, str) and here:
            return here
    return ""


#: The standard: forms in, JSON out, errors by ``error`` (RFC 6749).
RFC6749 = Dialect(name="rfc6749")
