"""A provider of a few lines: answers from a script, and what it was asked."""

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
    """An answer in JSON; underscores in the names of headers stand for hyphens."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpResponse(status, named, json.dumps(body).encode())


def token(token_type: str = "Bearer", **headers: str) -> HttpResponse:
    return answer(200, {"access_token": "at-1", "token_type": token_type}, **headers)


def refusal(code: str, description: str = "", **headers: str) -> HttpResponse:
    return answer(400, {"error": code, "error_description": description}, **headers)


def form(request: HttpRequest) -> dict[str, str]:
    return dict(parse_qsl(request.body.decode()))


def header_of(signed: str) -> dict[str, Any]:
    """The header of a JWT, unchecked."""
    part = signed.partition(".")[0]
    return dict(json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))))


def verified(signed: str, public: Mapping[str, Any]) -> jwt.Token:
    """A JWT, its signature checked by joserfc with the public half of a key or a secret."""
    alg = header_of(signed)["alg"]
    registry = JWSRegistry(algorithms=[alg])
    registry.max_header_length = 16_384  # an RSA key in a header is longer than joserfc's cap
    return jwt.decode(signed, JWKRegistry.import_key(dict(public)), registry=registry)


@dataclass
class Scripted:
    """A transport: each line of the script answers one request, or raises."""

    script: list[HttpResponse | Exception | Callable[[HttpRequest], HttpResponse]]
    requests: list[HttpRequest] = field(default_factory=list)

    def send(self, request: HttpRequest, deadline: Deadline) -> HttpResponse:
        self.requests.append(request)
        line = self.script.pop(0)
        if isinstance(line, Exception):
            raise line
        return line(request) if callable(line) else line

    def close(self) -> None:
        """There is nothing to close."""
