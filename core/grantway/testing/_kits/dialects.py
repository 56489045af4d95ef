"""Test class for dialects."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace
from typing import Any

import pytest

from grantway._exceptions import TokenError
from grantway._transport.http import HttpResponse
from grantway._types.token import Token
from grantway._wire.dialect import Dialect

from .scripted import ScriptedClient

#: Objects that a provider, a proxy or an attacker may send.
OBJECTS: tuple[dict[str, Any], ...] = (
    *({}, {"access_token": None}, {"access_token": ["at"]}, {"error": {}}, {"error": None}),
    *({"data": []}, {"data": None}, {"data": "text"}, {"body": 7}, {"result": [None]}),
    *({"ok": "maybe"}, {"success": None}, {"status": "ok"}, {"status": []}, {"errors": [None]}),
)


class DialectTests:
    """Tests for dialects: the provider's examples, unexpected objects, and copies.

    Inherit it, and define three fixtures: ``dialect``; ``success``, an ``HttpResponse`` from the
    provider's documentation and the ``Token`` in it; and ``failure``, an ``HttpResponse`` and its
    OAuth error code. Fixtures with several ``params`` test several examples.

    ::

        class TestAcme(DialectTests):
            @pytest.fixture
            def dialect(self):
                return ACME

            @pytest.fixture
            def success(self):
                return HttpResponse(200, {}, b'{"data": {"token": "t-1"}}'), Token("t-1")

            @pytest.fixture
            def failure(self):
                return HttpResponse(200, {}, b'{"fault": {"code": 17}}'), "invalid_grant"
    """

    def test_reads_the_token_of_the_example(
        self, dialect: Dialect, success: tuple[HttpResponse, Token]
    ) -> None:
        response, expected = success
        with ScriptedClient(response, dialect=dialect) as client:
            token = client.token()
        assert token.token_type.lower() == expected.token_type.lower()  # RFC 6749 section 5.1
        # The time of receipt is not part of the example.
        stated = replace(token, expires_at=expected.expires_at, token_type=expected.token_type)
        assert stated == expected

    def test_reads_the_error_of_the_example(
        self, dialect: Dialect, failure: tuple[HttpResponse, str]
    ) -> None:
        response, expected = failure
        with (
            ScriptedClient(response, dialect=dialect) as client,
            pytest.raises(TokenError) as caught,
        ):
            client.token()
        assert caught.value.error == expected

    def test_amend_accepts_every_object(self, dialect: Dialect) -> None:
        if dialect.amend is not None:
            for found in OBJECTS:
                assert isinstance(dialect.amend(copy.deepcopy(found)), dict)

    def test_can_be_pickled_and_copied(self, dialect: Dialect) -> None:
        assert pickle.loads(pickle.dumps(dialect)) == dialect  # noqa: S301 - made in this line
        assert copy.deepcopy(dialect) == dialect
