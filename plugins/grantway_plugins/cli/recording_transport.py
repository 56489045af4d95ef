"""A transport that records requests and responses with their secrets masked."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from grantway._secrets.redaction import MASK
from grantway._transport.deadline import Deadline
from grantway._transport.http import HttpRequest, HttpResponse, Transport

#: Names, in both dialects, of the fields that are safe to show. All other values are masked.
_SHOWN = frozenset(
    {
        *("grant_type", "grantType", "client_id", "clientId", "client_name", "clientName"),
        *("client_type", "clientType", "scope", "scopes", "redirect_uri", "redirectUri"),
        *("redirect_uris", "redirectUris", "grant_types", "grantTypes", "token_type", "tokenType"),
        *("expires_in", "expiresIn", "interval", "user_code", "userCode", "start_url", "startUrl"),
        *("verification_uri", "verificationUri", "error", "error_description", "message"),
        *(
            "token_endpoint_auth_method",
            "issuer",
            "tokenEndpoint",
            "authorizationEndpoint",
            "client_id_issued_at",
            "clientIdIssuedAt",
        ),
        *("client_secret_expires_at", "clientSecretExpiresAt", "response_types"),
    }
)


@dataclass(frozen=True, slots=True)
class Recording:
    """One request and its response.

    Attributes:
        request: Method and path, like ``POST /token``.
        sent: Fields of the request's body, with secrets masked.
        status: HTTP status.
        received: Fields of the response, with secrets masked.
        milliseconds: Time from the request to the response.
    """

    request: str
    sent: dict[str, Any]
    status: int
    received: dict[str, Any]
    milliseconds: float


class RecordingTransport:
    """Sends through another transport, and records each request with its response.

    Args:
        transport: Transport that sends the requests.

    Attributes:
        recordings: All recordings so far, in order.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self.recordings: list[Recording] = []

    def send(self, request: HttpRequest, deadline: Deadline) -> HttpResponse:
        """Send the request, and record it with its response."""
        began = time.perf_counter()
        response = self._transport.send(request, deadline)
        taken = (time.perf_counter() - began) * 1000
        self.recordings.append(
            Recording(
                request=f"{request.method} {urlsplit(request.url).path}",
                sent=_masked(request.body),
                status=response.status,
                received=_masked(response.body) if request.method == "POST" else {},
                milliseconds=taken,
            )
        )
        return response

    def close(self) -> None:
        """Close the transport."""
        self._transport.close()


def _masked(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        found = dict(parse_qsl(body.decode("utf-8", "replace")))
    if not isinstance(found, dict):
        return {}
    return {
        name: value if name in _SHOWN or isinstance(value, int) else MASK
        for name, value in found.items()
    }
