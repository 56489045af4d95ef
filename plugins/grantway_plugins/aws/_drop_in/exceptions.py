"""Turn grantway's exceptions into the ones that code for boto3 catches.

Code for boto3 catches ``client.exceptions.SomethingException``, or a class of
``botocore.exceptions``. The first is grantway's class of that name. For the second, if the program
has imported botocore, the error is also an instance of botocore's class:

- An error response is a ``ClientError``, and also a ``TokenError`` of grantway.
- A missing response is a ``ConnectTimeoutError``, ``ReadTimeoutError``, ``SSLError``,
  ``ProxyConnectionError``, ``EndpointConnectionError`` or ``ConnectionClosedError``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from grantway._exceptions import (
    TOKEN_ERRORS,
    ConnectionFailedError,
    Evidence,
    GrantwayError,
    RequestInvalidError,
    ResponseTooLargeError,
    TokenError,
    TransportError,
    UnknownTokenError,
)
from grantway._secrets.error_members import Members
from grantway._secrets.redaction import scrub
from grantway_plugins.aws._region_error import InvalidRequestRegionException

if TYPE_CHECKING:
    from grantway._wire.provider_response import ProviderResponse

E = TypeVar("E", bound=GrantwayError)

_SERVER_FAULT = 500
_SUCCESS = range(200, 300)


#: The exceptions of the service model: thirteen standard ones, and one that only AWS has.
MODELED: dict[str, type[TokenError]] = {
    **{kind.__name__: kind for kind in TOKEN_ERRORS[:13]},
    InvalidRequestRegionException.__name__: InvalidRequestRegionException,
}
_BY_NAME: dict[str, type[TokenError]] = {
    **MODELED,
    **{kind.__name__: kind for kind in TOKEN_ERRORS},
}


class Exceptions:
    """``client.exceptions``: the classes by AWS's names, and their base ``ClientError``."""

    ClientError = TokenError

    def from_code(self, error_code: str) -> type[TokenError]:
        """Return the class for ``error.response["Error"]["Code"]``; ``ClientError`` if unknown."""
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


class _WithRetryMetadata:
    """Adds the metadata of retries to ``response``."""

    #: Metadata that botocore's retries add.
    retried: Mapping[str, Any] = {}

    @property
    def response(self) -> dict[str, Any]:
        """The error in the shape of botocore's ``ClientError.response``."""
        found: dict[str, Any] = super().response  # type: ignore[misc]
        found["ResponseMetadata"].update(self.retried)
        return found


class _Stubbed:
    """Returns the response of an event handler as ``response``."""

    parsed: dict[str, Any]

    @property
    def response(self) -> dict[str, Any]:
        """The handler's response."""
        return self.parsed


def as_boto3_error(
    error: TokenError | TransportError,
    operation: str,
    response: ProviderResponse | None,
    attempts: int,
    secrets: Iterable[str],
) -> GrantwayError:
    """Return the error that boto3 would raise for an error of grantway.

    Args:
        error: Error of the call.
        operation: AWS's name of the operation.
        response: Last response, or None if there was none.
        attempts: Maximum number of attempts.
        secrets: Values to remove from the message.
    """
    if isinstance(error, TransportError) and (
        response is None or response.status in _SUCCESS or isinstance(error, ResponseTooLargeError)
    ):
        return _without_response(error)
    retries = error.evidence.attempts - 1
    if isinstance(error, TransportError):
        assert response is not None
        kind: type[GrantwayError] = _joined(type(error), (UnknownTokenError,), _WithRetryMetadata)
        twin: Any = _copy(kind, error)
        twin.error, twin.error_description = _unnamed(error, response, secrets)
        twin.error_uri = twin.reason = None
        code = twin.error
    else:
        twin = _copy(_joined(type(error), (), _WithRetryMetadata), error)
        code = twin.response["Error"]["Code"]
    exhausted = ""
    if retries + 1 >= attempts:
        twin.retried = {"MaxAttemptsReached": True}
        exhausted = f" (reached max retries: {retries})"
    twin.message = (
        f"An error occurred ({code}) when calling the {operation} operation{exhausted}: "
        f"{twin.error_description or ''}"
    )
    twin.args = (twin.message,)
    twin.operation_name = operation
    return twin  # type: ignore[no-any-return]


def _unnamed(
    error: TransportError, response: ProviderResponse, secrets: Iterable[str]
) -> tuple[str, str]:
    """Return botocore's code and text for a response that names no error, such as a page."""
    if response.error is not None and response.error.code != "unknown_error":
        return scrub(response.error.code, secrets), scrub(response.error.description or "", secrets)
    text = error.excerpt
    if response.status >= _SERVER_FAULT and (
        not response.body.strip() or response.body.strip().startswith(b"<html>")
    ):
        from http.client import responses  # noqa: PLC0415 - takes long to import

        text = responses.get(response.status, "")
    return str(response.status), text


def _without_response(error: TransportError) -> TransportError:
    """Return the error with botocore's class for a request without a usable response."""
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


def stubbed_error(parsed: dict[str, Any], operation: str) -> TokenError:
    """Return the error for the error response of an event handler, such as a stub."""
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
    """Return the error for invalid parameters; also a botocore error if botocore is imported."""
    return as_invalid(message, "ParamValidationError", errors)


def as_invalid(
    message: str, family: str, errors: dict[str, list[str]] | None = None
) -> RequestInvalidError:
    """Return an error; also an instance of the botocore class if botocore is imported."""
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
    """Return an instance without state, because botocore's ``__init__`` must not run."""
    return kind.__new__(kind)


# Created classes, cached so that each combination is a single class.
_made: dict[tuple[type, ...], type] = {}


def _joined(kind: type[E], bases: tuple[type, ...], *first: type) -> type[E]:
    """Return a subclass of these classes; with ``first``, also of botocore's ``ClientError``."""
    if first:
        botocore = sys.modules.get("botocore.exceptions")
        bases = (*bases, *(() if botocore is None else (botocore.ClientError,)))
    whole = (*first, kind, *bases)
    if len(whole) == 1:
        return kind

    def reduce(self: E) -> Any:
        # The combined class cannot be imported for unpickling, so pickle the plain one.
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
