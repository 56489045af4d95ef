"""A POST request as its headers describe it: its dialect and the dialect of the response."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import unquote_plus

from .denial import Denial, DenialError
from .wire import (
    WireFormat,
    WireRequest,
    WireResponse,
    aws_names,
    basic_challenge_response,
    denial_response,
    dialect_of,
    parse_basic,
    parse_form,
    parse_json,
)

#: Every dialect.
BOTH = frozenset(WireFormat)

#: A signature that is not checked must not look as if it had been.
NO_IAM = Denial(
    "invalid_request",
    "CreateTokenWithIAM is not offered, and AWS signatures are not checked here; use CreateToken "
    "with clientId and clientSecret",
)


def names_iam(query: bytes) -> bool:
    """Return whether a query asks for CreateTokenWithIAM: ``aws_iam``, whatever its value."""
    pairs = (each.partition(b"=")[0] for each in query.split(b"&"))
    return any(unquote_plus(name.decode("latin-1")).lower() == "aws_iam" for name in pairs)


_MEDIA_TYPES = {
    WireFormat.AWS: "application/json",
    WireFormat.RFC: "application/x-www-form-urlencoded",
}


class IncomingRequest:
    """A posted request, before its body is parsed.

    Args:
        headers: Lower-case names.
        accepts: The dialects that the endpoint accepts.
        response_dialect: The dialect of the response; by default that of the request.
    """

    __slots__ = (
        "_accepts",
        "_authorization",
        "_keeps_names",
        "_request_dialect",
        "_signed",
        "_typed",
        "response_dialect",
    )

    def __init__(
        self,
        headers: Mapping[bytes, str],
        accepts: frozenset[WireFormat] = BOTH,
        response_dialect: WireFormat | None = None,
    ) -> None:
        authorization = headers.get(b"authorization", "")
        self._authorization = authorization if authorization[:6].lower() == "basic " else None
        self._signed = authorization[:5].lower() == "aws4-"
        self._accepts = accepts
        self._keeps_names = response_dialect is not None
        self._typed = b"content-type" in headers
        self._request_dialect = dialect_of(headers.get(b"content-type", ""))
        self.response_dialect = response_dialect or self._request_dialect or WireFormat.RFC

    def unsupported_media_type(self, body: bytes) -> WireResponse | None:
        """Return the error response for an unsupported content type, or None if it is supported."""
        if not body and not self._typed and WireFormat.RFC in self._accepts:
            self._request_dialect = (
                WireFormat.RFC
            )  # a form without fields, sent by many without a type
        if self._request_dialect in self._accepts:
            return None
        wanted = " or ".join(sorted(_MEDIA_TYPES[each] for each in self._accepts))
        denial = Denial("invalid_request", f"The content type must be {wanted}")
        return denial_response(denial, self.response_dialect, status=415)

    def parse(self, body: bytes, repeatable: frozenset[str]) -> WireRequest:
        """Read the body and the Authorization header.

        Args:
            body: What was posted.
            repeatable: Parameters of a form that may be repeated.

        Raises:
            DenialError: they cannot be parsed, or a parameter is a duplicate.
        """
        if self._signed:
            raise DenialError(NO_IAM.error, NO_IAM.description)
        if self._request_dialect is WireFormat.AWS:
            members = parse_json(body)
            params = members if self._keeps_names else aws_names(members)
        else:
            params = parse_form(body, repeatable=repeatable)
        basic = None if self._authorization is None else parse_basic(self._authorization)
        return WireRequest(self.response_dialect, params, basic)

    def response(self, outcome: WireResponse | Denial) -> WireResponse:
        """Return the response; add a challenge after failed Basic authentication (RFC 6749 5.2)."""
        if isinstance(outcome, WireResponse):
            return outcome
        if outcome.error == "invalid_client" and self._authorization is not None:
            return basic_challenge_response(outcome, self.response_dialect)
        return denial_response(outcome, self.response_dialect)


def method_not_allowed(allowed: str, dialect: WireFormat) -> WireResponse:
    """Return the response to a method that is not allowed."""
    denial = Denial("invalid_request", f"Only {allowed} is allowed here")
    return denial_response(denial, dialect, status=405, headers=((b"allow", allowed.encode()),))


def repeated_header_response(name: str, dialect: WireFormat) -> WireResponse:
    """Return a response that rejects a duplicate header and closes the connection."""
    denial = Denial("invalid_request", f"The {name.title()} header is repeated; send it once")
    return denial_response(denial, dialect, headers=((b"connection", b"close"),))
