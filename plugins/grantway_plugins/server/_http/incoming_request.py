"""POST requests: their dialect, parsing and response."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import unquote_plus

from .denial import Denial, DenialError
from .headers import Headers
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

#: Both dialects.
BOTH = frozenset(WireFormat)

#: Response to signed requests. Ignoring the signature would suggest that it was verified.
NO_IAM = Denial(
    "invalid_request",
    "CreateTokenWithIAM is not supported, and AWS signatures are not verified; use CreateToken "
    "with clientId and clientSecret",
)


def names_iam(query: bytes) -> bool:
    """Return whether a query string requests CreateTokenWithIAM, with ``aws_iam``."""
    pairs = (each.partition(b"=")[0] for each in query.split(b"&"))
    return any(unquote_plus(name.decode("latin-1")).lower() == "aws_iam" for name in pairs)


_MEDIA_TYPES = {
    WireFormat.AWS: "application/json",
    WireFormat.RFC: "application/x-www-form-urlencoded",
}


class IncomingRequest:
    """A POST request whose body has not been parsed yet.

    Args:
        headers: Headers with lower-case names.
        accepts: Dialects that the endpoint accepts.
        response_dialect: Dialect of the response; by default that of the request.
        peer: Address that sent the request; empty if unknown.
        method: HTTP method of the request.
        path: Path of the request below the issuer's URL; empty if unknown.
    """

    __slots__ = (
        "_accepts",
        "_authorization",
        "_headers",
        "_keep_names",
        "_method",
        "_path",
        "_peer",
        "_request_dialect",
        "response_dialect",
    )

    def __init__(
        self,
        headers: Mapping[bytes, str],
        accepts: frozenset[WireFormat] = BOTH,
        response_dialect: WireFormat | None = None,
        *,
        peer: str = "",
        method: str = "POST",
        path: str = "",
    ) -> None:
        self._authorization = headers.get(b"authorization", "")
        self._headers = headers
        self._peer = peer
        self._method = method
        self._path = path
        self._accepts = accepts
        self._keep_names = response_dialect is not None
        self._request_dialect = dialect_of(headers.get(b"content-type", ""))
        self.response_dialect = response_dialect or self._request_dialect or WireFormat.RFC

    def unsupported_media_type(self, body: bytes) -> WireResponse | None:
        """Return the error response for an unsupported content type, or None if it is supported."""
        if not body and b"content-type" not in self._headers and WireFormat.RFC in self._accepts:
            self._request_dialect = (
                WireFormat.RFC
            )  # an empty form, which many clients send without a type
        if self._request_dialect in self._accepts:
            return None
        wanted = " or ".join(sorted(_MEDIA_TYPES[each] for each in self._accepts))
        denial = Denial("invalid_request", f"The content type must be {wanted}")
        return denial_response(denial, self.response_dialect, status=415)

    def parse(
        self, content: bytes, repeatable: frozenset[str], *, is_query: bool = False
    ) -> WireRequest:
        """Parse the parameters and the Authorization header.

        Args:
            content: The body, or the query string.
            repeatable: Names of form parameters that may be repeated.
            is_query: Whether the content is the query string.

        Raises:
            DenialError: the content or the header is malformed, or a parameter is duplicated.
        """
        scheme, _, credentials = self._authorization.partition(" ")
        scheme = scheme.lower()
        if scheme.startswith("aws4-"):
            raise DenialError(NO_IAM.error, NO_IAM.description)
        if self._request_dialect is WireFormat.AWS and not is_query:
            members = parse_json(content)
            params = members if self._keep_names else aws_names(members)
        else:
            params = parse_form(content, repeatable=repeatable)
        return WireRequest(
            self.response_dialect,
            params,
            basic=parse_basic(credentials) if scheme == "basic" else None,
            bearer=credentials.strip() if scheme == "bearer" else None,
            dpop=credentials.strip() if scheme == "dpop" else None,
            headers=Headers(self._headers),
            peer=self._peer,
            method=self._method,
            path=self._path,
        )

    def response(self, outcome: WireResponse | Denial) -> WireResponse:
        """Return the response; add a challenge if Basic authentication failed (RFC 6749 5.2)."""
        if isinstance(outcome, WireResponse):
            return outcome
        if outcome.error == "invalid_client" and self._authorization[:6].lower() == "basic ":
            return basic_challenge_response(outcome, self.response_dialect)
        return denial_response(outcome, self.response_dialect)


def method_not_allowed(allowed: str, dialect: WireFormat) -> WireResponse:
    """Return a 405 response."""
    denial = Denial("invalid_request", f"Only {allowed} is allowed here")
    return denial_response(denial, dialect, status=405, headers=((b"allow", allowed.encode()),))


def repeated_header_response(name: str, dialect: WireFormat) -> WireResponse:
    """Return a response that rejects a duplicate header and closes the connection."""
    denial = Denial("invalid_request", f"The {name.title()} header is repeated; send it once")
    return denial_response(denial, dialect, headers=((b"connection", b"close"),))
