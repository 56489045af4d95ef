"""grantway's exceptions in the clothes that botocore's users expect.

Code written for boto3 catches ``client.exceptions.SomethingException``, or botocore's own
``ClientError``. The first is always grantway's class of that name. So that the second works too,
an error also joins botocore's family when the program has loaded botocore; botocore is never
loaded for it.
"""

from __future__ import annotations

import sys
from typing import Any, TypeVar

from grantway.exceptions import (
    TOKEN_ERRORS,
    ConnectionFailedError,
    RequestInvalidError,
    TokenError,
    TransportError,
)

E = TypeVar("E", bound=Exception)

_BY_NAME: dict[str, type[TokenError]] = {kind.__name__: kind for kind in TOKEN_ERRORS}


class Exceptions:
    """``client.exceptions``: the classes by AWS's names, and ``ClientError`` above them."""

    ClientError = TokenError

    def __getattr__(self, name: str) -> type[TokenError]:
        try:
            return _BY_NAME[name]
        except KeyError:
            raise AttributeError(
                f"{name} is not an exception of this client; there are {', '.join(_BY_NAME)}."
            ) from None

    def __dir__(self) -> list[str]:
        return ["ClientError", *_BY_NAME]


def as_botocore_error(
    error: TokenError | TransportError, operation: str
) -> TokenError | TransportError:
    """The error of botocore's family where that is loaded, and a refusal in botocore's words."""
    if isinstance(error, TransportError):
        reached = not isinstance(error, ConnectionFailedError)
        lost = _blank(
            _joined(type(error), "HTTPClientError" if reached else "EndpointConnectionError")
        )
        lost.__dict__.update(error.__dict__)
        lost.args = error.args
        return lost
    twin = _blank(_joined(type(error), "ClientError"))
    twin.__dict__.update(error.__dict__)
    code = error.response["Error"]["Code"]
    twin.message = (
        f"An error occurred ({code}) when calling the {operation} operation: "
        f"{error.error_description or ''}"
    )
    twin.args = (twin.message,)
    twin.operation_name = operation
    return twin


def param_validation_error(message: str, errors: dict[str, list[str]]) -> RequestInvalidError:
    """A refusal before sending, of botocore's family where that is loaded."""
    error = _blank(_joined(RequestInvalidError, "ParamValidationError"))
    RequestInvalidError.__init__(error, message, errors=errors)
    return error


def _blank(kind: type[E]) -> E:
    """An instance whose state is filled in by hand; botocore's __init__ must not run."""
    return kind.__new__(kind)


def _joined(kind: type[E], family: str) -> type[E]:
    botocore = sys.modules.get("botocore.exceptions")
    return kind if botocore is None else _join(kind, getattr(botocore, family))


# A handful of classes, kept for good: ``except`` needs them to be the same each time.
_made: dict[tuple[type, type], type] = {}


def _join(kind: type[E], family: type[Exception]) -> type[E]:
    def reduce(self: E) -> Any:
        # The joined class cannot be imported by name elsewhere; the plain one can.
        plain = _blank(kind)
        plain.__dict__.update(self.__dict__)
        plain.args = self.args
        return plain.__reduce__()

    if (kind, family) not in _made:
        _made[kind, family] = type(
            kind.__name__,
            (kind, family),
            {"__module__": kind.__module__, "__doc__": kind.__doc__, "__reduce__": reduce},
        )
    return _made[kind, family]
