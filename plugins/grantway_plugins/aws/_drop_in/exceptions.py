"""grantway's exceptions, in the forms that callers of boto3 expect.

Code written for boto3 catches ``client.exceptions.SomethingException``, or a class of
``botocore.exceptions``. The first is always grantway's class of that name. For the second, an
error also becomes an instance of botocore's class if the program has loaded botocore, which is
never loaded for this. The rules:

- Every answer that is not a success is a ``ClientError``, and a ``TokenError`` of grantway.
- Without an answer it is ``ConnectTimeoutError``, ``ReadTimeoutError``, ``SSLError``,
  ``ProxyConnectionError``, ``EndpointConnectionError`` or ``ConnectionClosedError``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from http.client import responses
from typing import TYPE_CHECKING, Any, TypeVar

from grantway._exceptions import (
    TOKEN_ERRORS,
    ConnectionFailedError,
    Evidence,
    GrantwayError,
    InvalidRequestException,
    RequestInvalidError,
    ResponseTooLargeError,
    TokenError,
    TransportError,
    UnknownTokenError,
)
from grantway._secrets.error_members import Members
from grantway._secrets.redaction import scrub

if TYPE_CHECKING:
    from grantway._wire.dialect import ProviderResponse

E = TypeVar("E", bound=GrantwayError)

_SERVER_FAULT = 500
_SUCCESS = range(200, 300)


class InvalidRequestRegionException(InvalidRequestException):
    """The application's identity store is in another region (CreateTokenWithIAM)."""

    code = "invalid_request_region"

    def __init__(
        self,
        message: str = "",
        *,
        error: str | None = None,
        error_description: str | None = None,
        error_uri: str | None = None,
        reason: str | None = None,
        evidence: Evidence | None = None,
    ) -> None:
        # AWS names this class in a header alone; in the body it says invalid_request.
        super().__init__(
            message,
            error=self.wire,
            error_description=error_description,
            error_uri=error_uri,
            reason=reason,
            evidence=evidence,
        )

    @property
    def endpoint(self) -> str | None:
        """The address to ask instead, where the service sent it."""
        return self._text("endpoint")

    @property
    def region(self) -> str | None:
        """The region to ask instead, where the service sent it."""
        return self._text("region")

    def _text(self, name: str) -> str | None:
        found = self.members.get(name)
        return found if isinstance(found, str) else None

    @property
    def response(self) -> dict[str, Any]:
        """The error in the shape of botocore's ``ClientError.response``."""
        own = {"endpoint": self.endpoint, "region": self.region}
        return {**super().response, **{name: text for name, text in own.items() if text}}


#: AWS's thirteen classes of core, and the one that only AWS has.
MODELED: dict[str, type[TokenError]] = {
    **{kind.__name__: kind for kind in TOKEN_ERRORS[:13]},
    InvalidRequestRegionException.__name__: InvalidRequestRegionException,
}
_BY_NAME: dict[str, type[TokenError]] = {
    **MODELED,
    **{kind.__name__: kind for kind in TOKEN_ERRORS},
}


class Exceptions:
    """``client.exceptions``: the classes by AWS's names, and ``ClientError`` above them."""

    ClientError = TokenError

    def from_code(self, error_code: str) -> type[TokenError]:
        """Return the class of ``error.response["Error"]["Code"]``; ``ClientError`` for others."""
        return MODELED.get(error_code, TokenError)

    def __getattr__(self, name: str) -> type[TokenError]:
        try:
            return _BY_NAME[name]
        except KeyError:
            raise AttributeError(
                f"{self!r} object has no attribute {name}. Valid exceptions are: "
                f"{', '.join(sorted(_BY_NAME))}"
            ) from None

    def __dir__(self) -> list[str]:
        return ["ClientError", "from_code", *_BY_NAME]


class _Answered:
    """Completes ``response`` of an error that an answer brought."""

    #: What botocore's retries add to the metadata.
    retried: Mapping[str, Any] = {}

    @property
    def response(self) -> dict[str, Any]:
        """The error in the shape of botocore's ``ClientError.response``."""
        found: dict[str, Any] = super().response  # type: ignore[misc]
        found["ResponseMetadata"].update(self.retried)
        return found


class _Stubbed:
    """Gives the ``response`` that an event handler brought."""

    parsed: dict[str, Any]

    @property
    def response(self) -> dict[str, Any]:
        """The handler's response, as it came."""
        return self.parsed


def refusal(
    error: TokenError | TransportError,
    operation: str,
    answer: ProviderResponse | None,
    attempts: int,
    secrets: Iterable[str],
) -> GrantwayError:
    """Turn what a call raised into what boto3 would raise.

    Args:
        error: What the call raised.
        operation: AWS's name of the operation.
        answer: The last answer, or None where none arrived.
        attempts: Sends at most.
        secrets: What must not show in the message.
    """
    if isinstance(error, TransportError) and (
        answer is None or answer.status in _SUCCESS or isinstance(error, ResponseTooLargeError)
    ):
        return _without_answer(error)
    retries = error.evidence.attempts - 1
    if isinstance(error, TransportError):
        assert answer is not None
        kind: type[GrantwayError] = _joined(type(error), (UnknownTokenError,), _Answered)
        twin: Any = _copy(kind, error)
        twin.error, twin.error_description = _unnamed(error, answer, secrets)
        twin.error_uri = twin.reason = None
        code = twin.error
    else:
        twin = _copy(_joined(type(error), (), _Answered), error)
        code = twin.response["Error"]["Code"]
    spent = ""
    if retries + 1 >= attempts:
        twin.retried = {"MaxAttemptsReached": True}
        spent = f" (reached max retries: {retries})"
    twin.message = (
        f"An error occurred ({code}) when calling the {operation} operation{spent}: "
        f"{twin.error_description or ''}"
    )
    twin.args = (twin.message,)
    twin.operation_name = operation
    return twin  # type: ignore[no-any-return]


def _unnamed(
    error: TransportError, answer: ProviderResponse, secrets: Iterable[str]
) -> tuple[str, str]:
    """The code and text that botocore gives an answer that names no error, as a page."""
    if answer.error is not None and answer.error.code != "unknown_error":
        return scrub(answer.error.code, secrets), scrub(answer.error.description or "", secrets)
    text = error.excerpt
    if answer.status >= _SERVER_FAULT and (
        not answer.body.strip() or answer.body.strip().startswith(b"<html>")
    ):
        text = responses.get(answer.status, "")
    return str(answer.status), text


def _without_answer(error: TransportError) -> TransportError:
    """The error with botocore's class for a request that brought no usable answer."""
    never_sent = isinstance(error, ConnectionFailedError)
    family = {
        "timeout": "ConnectTimeoutError" if never_sent else "ReadTimeoutError",
        "tls": "SSLError",
        "proxy": "ProxyConnectionError",
        "connection": "EndpointConnectionError" if never_sent else "ConnectionClosedError",
    }.get(error.failed, "HTTPClientError")
    botocore = sys.modules.get("botocore.exceptions")
    bases = () if botocore is None else (getattr(botocore, family),)
    twin: Any = _copy(_joined(type(error), bases), error)
    if bases:  # attributes of botocore's classes
        twin.kwargs, twin.request, twin.response = {"error": error.message}, None, None
    return twin  # type: ignore[no-any-return]


def from_response(parsed: dict[str, Any], operation: str) -> TokenError:
    """The error of a response that an event handler brought, such as a stub."""
    said = parsed.get("Error", {})
    code, text = said.get("Code", ""), said.get("Message", "")
    kind = MODELED.get(code, UnknownTokenError)
    plain = kind(
        f"An error occurred ({code}) when calling the {operation} operation: {text}",
        error=parsed.get("error") or (code if kind is UnknownTokenError else None),
        error_description=parsed.get("error_description") or text or None,
        reason=parsed.get("reason"),
        evidence=Evidence(
            status=parsed.get("ResponseMetadata", {}).get("HTTPStatusCode"),
            members=Members(parsed),
        ),
    )
    error: Any = _copy(_joined(kind, (), _Stubbed), plain)
    error.operation_name = operation
    error.parsed = parsed
    return error  # type: ignore[no-any-return]


def invalid_parameters(message: str, errors: dict[str, list[str]]) -> RequestInvalidError:
    """A refusal before sending, of botocore's family where that is loaded."""
    return as_invalid(message, "ParamValidationError", errors)


def as_invalid(
    message: str, family: str, errors: dict[str, list[str]] | None = None
) -> RequestInvalidError:
    """A refusal before sending that is also the named class of botocore, where it is loaded."""
    botocore = sys.modules.get("botocore.exceptions")
    bases = () if botocore is None else (getattr(botocore, family),)
    error = _blank(_joined(RequestInvalidError, bases))
    RequestInvalidError.__init__(error, message, errors=errors)
    error.__dict__["kwargs"] = {"report": message.partition("\n")[2] or message}
    return error


def _copy(kind: type[E], error: E) -> E:
    twin = _blank(kind)
    twin.__dict__.update(error.__dict__)
    twin.args = error.args
    twin.evidence = replace(error.evidence)
    return twin


def _blank(kind: type[E]) -> E:
    """An instance whose state is filled in by hand; botocore's __init__ must not run."""
    return kind.__new__(kind)


# A handful of classes, kept for good: ``except`` needs them to be the same each time.
_made: dict[tuple[type, ...], type] = {}


def _joined(kind: type[E], bases: tuple[type, ...], *first: type) -> type[E]:
    """The class that is all of these, with ``ClientError`` for an error of the service."""
    if first:
        botocore = sys.modules.get("botocore.exceptions")
        bases = (*bases, *(() if botocore is None else (botocore.ClientError,)))
    whole = (*first, kind, *bases)
    if len(whole) == 1:
        return kind

    def reduce(self: E) -> Any:
        # The joined class cannot be imported by name elsewhere; the plain one can.
        plain = _blank(kind)
        plain.__dict__.update(self.__dict__)
        plain.args = self.args
        return plain.__reduce__()

    if whole not in _made:
        _made[whole] = type(
            kind.__name__,
            whole,
            {"__module__": kind.__module__, "__doc__": kind.__doc__, "__reduce__": reduce},
        )
    return _made[whole]
