"""A transport that keeps what went over the wire, with every secret masked, for showing."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from grantway._secrets.redaction import MASK
from grantway._transport.deadline import Deadline
from grantway._transport.http import HttpRequest, HttpResponse, Transport

#: Fields that are safe to show, as they are named in both dialects. Any other value is masked.
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
    """One request and its answer.

    Attributes:
        request: ``POST /token``.
        sent: The fields of the body, secrets masked.
        status: HTTP status.
        received: The fields of the answer, secrets masked.
        milliseconds: From send to answer.
    """

    request: str
    sent: dict[str, Any]
    status: int
    received: dict[str, Any]
    milliseconds: float


class Tape:
    """Sends through another transport and keeps what it saw, masked.

    Attributes:
        recordings: All exchanges so far, in order.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self.recordings: list[Recording] = []

    def send(self, request: HttpRequest, deadline: Deadline) -> HttpResponse:
        """Send, and keep the exchange."""
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
