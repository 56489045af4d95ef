"""Tests of the example dialect in the documentation."""

from __future__ import annotations

from typing import Any

import pytest

import grantway
from grantway._transport.deadline import Deadline
from grantway._transport.http import HttpRequest, HttpResponse
from tests.docs.pages import DOCS, blocks

FIRST = next(block for block in blocks(DOCS / "how-to" / "write-a-dialect.md") if block.runs)


class OneResponse:
    """A transport that always returns the same response."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.requests: list[HttpRequest] = []

    def send(self, request: HttpRequest, deadline: Deadline) -> HttpResponse:
        self.requests.append(request)
        return HttpResponse(200, {}, self.body)

    def close(self) -> None:
        """Do nothing."""


@pytest.fixture
def dialect() -> grantway.Dialect:
    typed: dict[str, Any] = {}
    exec(compile(FIRST.code, "write-a-dialect.md", "exec"), typed)
    found = typed["ACME"]
    assert isinstance(found, grantway.Dialect)
    return found


def test_the_example_is_under_ten_lines() -> None:
    assert len([line for line in FIRST.code.splitlines() if line.strip()]) < 10


def ask(transport: OneResponse, **provider: Any) -> grantway.Token:
    registry = provider.pop("registry", None)
    client = grantway.Client(
        grantway.Provider(token_endpoint="https://acme.example/token", **provider),
        client_id="my-client",
        registry=registry,
        transport=transport,
    )
    return client.create_token(
        grant_type="refresh_token", refresh_token="old", scope=["read", "write"]
    )


def test_a_client_works_with_the_example(dialect: grantway.Dialect) -> None:
    transport = OneResponse(b'{"ok": true, "data": {"token": "t-1"}}')
    assert ask(transport, dialect=dialect).access_token == "t-1"
    assert b"app_id=my-client" in transport.requests[0].body
    assert b"scope=read%2Cwrite" in transport.requests[0].body
    with pytest.raises(grantway.InvalidGrantException):
        ask(OneResponse(b'{"ok": false, "fault": {"code": 17}}'), dialect=dialect)


def test_a_plugin_registers_the_example(dialect: grantway.Dialect) -> None:
    class Plugin:
        @grantway.hookimpl
        def grantway_register_dialects(self) -> list[grantway.Dialect]:
            return [dialect]

    registry = grantway.build_registry({"acme": Plugin()}, strict=True)
    transport = OneResponse(b'{"data": {"token": "t-1"}}')
    assert ask(transport, dialect="acme", registry=registry).access_token == "t-1"
