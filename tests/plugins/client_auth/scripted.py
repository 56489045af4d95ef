"""A transport with scripted responses that records its requests."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from joserfc import jwt
from joserfc.jwk import JWKRegistry
from joserfc.jws import JWSRegistry

from grantway._transport.deadline import Deadline
from grantway._transport.http import HttpRequest, HttpResponse

ISSUER = "https://as.example"
TOKEN_ENDPOINT = "https://as.example/token"


def answer(status: int, body: Mapping[str, Any], **headers: str) -> HttpResponse:
    """Return a JSON response; underscores in the names of headers become hyphens."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpResponse(status, named, json.dumps(body).encode())


def token(token_type: str = "Bearer", **headers: str) -> HttpResponse:
    return answer(200, {"access_token": "at-1", "token_type": token_type}, **headers)


def refusal(code: str, description: str = "", **headers: str) -> HttpResponse:
    return answer(400, {"error": code, "error_description": description}, **headers)


def form(request: HttpRequest) -> dict[str, str]:
    return dict(parse_qsl(request.body.decode()))


def header_of(signed: str) -> dict[str, Any]:
    """Return the header of a JWT without verifying it."""
    part = signed.partition(".")[0]
    return dict(json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))))


def verified(signed: str, public: Mapping[str, Any]) -> jwt.Token:
    """Verify a JWT with joserfc and the public key or secret, and return it."""
    alg = header_of(signed)["alg"]
    registry = JWSRegistry(algorithms=[alg])
    registry.max_header_length = 16_384  # an RSA key in a header exceeds joserfc's limit
    return jwt.decode(signed, JWKRegistry.import_key(dict(public)), registry=registry)


@dataclass
class Scripted:
    """A transport that returns, or raises, the next item of a script for each request."""

    script: list[HttpResponse | Exception | Callable[[HttpRequest], HttpResponse]]
    requests: list[HttpRequest] = field(default_factory=list)

    def send(self, request: HttpRequest, deadline: Deadline) -> HttpResponse:
        self.requests.append(request)
        line = self.script.pop(0)
        if isinstance(line, Exception):
            raise line
        return line(request) if callable(line) else line

    def close(self) -> None:
        """Do nothing."""
