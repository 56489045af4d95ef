"""Decode responses as a dialect describes. The only place that parses responses."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from grantway._log import logger
from grantway._transport.http import HttpResponse
from grantway._types.token import Token

from .provider_response import ProviderResponse, WireError
from .response_body import parse
from .shapes import ErrorShape, Path, ResponseShape

_NOTHING: Mapping[str, Any] = MappingProxyType({})
#: Longer lifetimes stand for tokens that never expire, and may end at a time that is no valid date.
_LONGEST = 100 * 366 * 86_400
#: Response members with a ``Token`` attribute.
_READ = ("expires_in", "token_type", "refresh_token", "id_token", "scope")
_UNSTATED: tuple[Any, ...] = (None, "", 0)
#: Members of a token; beside a nested token they belong to another token.
_TOKEN_FIELDS = frozenset(
    {"access_token", "expires_in", "id_token", "refresh_token", "scope", "token_type"}
)

Amend = Callable[[dict[str, Any]], dict[str, Any]]


class ResponseDecoder:
    """Decodes responses. Immutable.

    Args:
        name: The name of the dialect, for messages.
        response: The format of successful responses.
        error: The format of error responses.
        scope_separator: The separator of scope names in requests, or None.
        amend: As for ``Dialect``.
    """

    def __init__(
        self,
        name: str,
        response: ResponseShape,
        error: ErrorShape,
        scope_separator: str | None,
        amend: Amend | None,
    ) -> None:
        self._name = name
        self._response = response
        self._error_shape = error
        self._amend = amend
        self._names = dict(response.names)
        self._token_types = dict(response.token_types)
        self._codes = dict(error.codes)
        first, *others = dict.fromkeys(response.scope_separators + (scope_separator or ""))
        self._one_separator = first, tuple(others)

    def decode(self, response: HttpResponse) -> ProviderResponse:
        """Decode a response of any status. Never raises an error for its content.

        Every 2xx status is a success: RFC 6749 section 5.1 allows only 200, but providers and
        gateways send others.
        """
        decoded = ProviderResponse(response.status, response.headers)
        succeeded = response.succeeded
        found, problem = parse(response, self._expected)
        if found is not None and self._amend is not None:
            found, wrong = self._amended(found)
            problem = problem or wrong
        payload = self._payload(found) if found is not None and problem is None else None
        decoded.error = self._error(response, found, payload, succeeded=succeeded)
        if decoded.error is not None:
            decoded.members = self._renamed(found or {})
            return decoded
        if problem is None and not succeeded:
            problem = f"status {response.status} without an OAuth error code"
        if problem is None and payload is None:
            places = " or ".join(".".join(path) for path in self._response.token_at)
            problem = f"the response has no object at {places}"
        if problem is not None or payload is None:
            decoded.problem, decoded.body = problem, response.body
            decoded.members = self._renamed(found or {})
            return decoded
        decoded.payload = payload
        return decoded

    def _amended(self, found: dict[str, Any]) -> tuple[dict[str, Any], str | None]:
        """Return the object as ``amend`` converts it. If ``amend`` fails, a token is still read."""
        assert self._amend is not None
        try:
            amended: Any = self._amend(copy.deepcopy(found))
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - plugin code
            problem = f"amend raised {_kind(error)}"
        else:
            if isinstance(amended, dict):
                return amended, None
            problem = f"amend returned a {_kind(amended)}"
        if self._token_in(found):
            logger.warning("The dialect %s is faulty: %s.", self._name, problem)
            return found, None
        return found, f"the dialect {self._name} cannot decode the response: {problem}"

    def _expected(self, found: dict[str, Any]) -> bool:
        """Return whether an object contains a token or an error of this dialect."""
        return self._token_in(found) or bool(_first(found, self._error_shape.code_at))

    def _token_in(self, found: dict[str, Any]) -> bool:
        """Return whether an object contains an access token or a refresh token."""
        payload = self._payload(found) or _NOTHING
        return bool(
            _text(payload.get("access_token")) or refresh_token(payload.get("refresh_token"))
        )

    def _payload(self, found: dict[str, Any]) -> dict[str, Any] | None:
        """Return the first object with a token, or the first object if none has one; RFC names."""
        objects = []
        for path in self._response.token_at:
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
        names = self._names
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
        shape = self._error_shape
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
        members = found or _NOTHING
        return WireError(
            code=self._code(raw) or "unknown_error",
            description=_first_text(members, shape.description_at) or None,
            uri=_first_text(members, (("error_uri",),)) or None,
            reason=_first(members, shape.reason_at) or None,
        )

    def _code(self, raw: str) -> str:
        codes = self._codes
        if raw not in codes and self._error_shape.header is not None:
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
            token_type=self._token_types.get(token_type, token_type),
            expires_in=expires_in,
            expires_at=None if expires_in is None else received_at + expires_in,
            refresh_token=refresh_token(stated["refresh_token"]),
            id_token=_text(stated["id_token"]),
            scope=self._scope(stated["scope"]),
            extra=payload,
        )
        # Keep members that cannot be read in ``extra``.
        for name, value in stated.items():
            read_as_text = type(value) is str and getattr(token, name) is not None
            if not read_as_text and value not in _UNSTATED and _unread(name, value, token):
                payload[name] = value
        return token

    def _seconds(self, value: Any) -> int | None:
        """Return a lifetime given as a number or string, at most a century; else None.

        An invalid lifetime must not discard an issued token.
        """
        if isinstance(value, bool):
            return None
        try:
            seconds = max(0, min(int(float(value)), _LONGEST))
        except (TypeError, ValueError, OverflowError):
            return None
        return None if seconds == 0 and self._response.zero_never_expires else seconds

    def _scope(self, value: Any) -> tuple[str, ...] | None:
        if isinstance(value, list):
            return tuple(name for name in value if isinstance(name, str))
        if not isinstance(value, str):
            return None
        separator, others = self._one_separator
        for other in others:
            value = value.replace(other, separator)
        return tuple(filter(None, value.split(separator)))


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
