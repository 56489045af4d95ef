"""Responses of the portal, as the service model of AWS's ``sso`` defines them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from grantway_plugins.server._http.audit_event import AuditEvent
from grantway_plugins.server._http.wire import WireFormat, WireResponse, json_response

ErrorName = Literal[
    "InvalidRequestException",
    "ResourceNotFoundException",
    "TooManyRequestsException",
    "UnauthorizedException",
]
_STATUS: Mapping[ErrorName, int] = {
    "InvalidRequestException": 400,
    "ResourceNotFoundException": 404,
    "TooManyRequestsException": 429,
    "UnauthorizedException": 401,
}


class PortalError(Exception):
    """An error to return to the client.

    Args:
        name: The exception's name in AWS's service model.
        message: Description of the error.
    """

    def __init__(self, name: ErrorName, message: str) -> None:
        super().__init__(message)
        self._name: ErrorName = name
        self._message = message

    def response(self) -> WireResponse:
        """Return the error response."""
        name = (b"x-amzn-errortype", self._name.encode())
        content = {"message": self._message, "__type": self._name}
        return json_response(_STATUS[self._name], content, WireFormat.AWS, (name,))


def content_response(content: Mapping[str, Any], event: AuditEvent | None = None) -> WireResponse:
    """Return a successful response."""
    return json_response(200, content, WireFormat.AWS, event=event)


def failure_response() -> WireResponse:
    """Return the response to a request that failed in the issuer."""
    return json_response(500, {"message": "The issuer failed; nothing was done"}, WireFormat.AWS)
