"""Recognise transient failures of a provider or of an intermediary."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .http import REFUSED, SERVER_FAULT

#: Redirects that captive portals and login pages send. A permanent one
#: (301, 308) means that the configured address is wrong.
PORTAL_REDIRECTS = frozenset({302, 303, 307})
#: The server waited too long for the request, which may have reached a server behind it.
_REQUEST_TIMEOUT = 408
#: The header and body members that contain the error name at AWS.
_AWS_ERROR = "x-amzn-errortype"
_AWS_MEMBERS = ("__type", "code", "Code")
#: Error names of requests that a busy service did not process. The AWS names are botocore's.
_BUSY = frozenset(
    {
        "LimitExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "rate_limit_exceeded",
        "temporarily_unavailable",
        "too_many_requests",
    }
)
#: Error names of server failures.
_FAILED = frozenset(
    {
        "InternalError",
        "InternalErrorException",
        "InternalFailure",
        "InternalServerError",
        "InternalServerException",
        "RequestTimeout",
        "RequestTimeoutException",
        "server_error",
    }
)


def is_refused(
    status: int, code: str, headers: Mapping[str, str], members: Mapping[str, Any]
) -> bool:
    """Return whether a busy server did not process the request.

    Args:
        status: The HTTP status.
        code: The OAuth error code, or an empty string.
        headers: The headers of the response, lower-case names.
        members: The members of the response.
    """
    if status in REFUSED:
        return True
    # After any other 5xx, the outcome of the request is unknown.
    return status < SERVER_FAULT and not _names(code, headers, members).isdisjoint(_BUSY)


def is_failed(
    status: int, code: str, headers: Mapping[str, str], members: Mapping[str, Any]
) -> bool:
    """Return whether a server failed, so that the outcome of the request is unknown.

    Args:
        status: The HTTP status.
        code: The OAuth error code, or an empty string.
        headers: The headers of the response, lower-case names.
        members: The members of the response.
    """
    return failed_status(status) or not _names(code, headers, members).isdisjoint(_FAILED)


def failed_status(status: int) -> bool:
    """Return whether a status means that the server failed."""
    return status >= SERVER_FAULT or status == _REQUEST_TIMEOUT


def _names(code: str, headers: Mapping[str, str], members: Mapping[str, Any]) -> set[str]:
    """Return the names of an error, without AWS's namespace prefix and URL suffix.

    AWS services use these places with every dialect.
    """
    found = [code, headers.get(_AWS_ERROR, ""), *map(members.get, _AWS_MEMBERS)]
    return {
        name.split(":", 1)[0].rsplit("#", 1)[-1].strip() for name in found if isinstance(name, str)
    }
