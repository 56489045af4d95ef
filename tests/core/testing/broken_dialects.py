"""Dialects with one mistake each; see ``test_kits``."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import pytest

from grantway import Dialect, ErrorShape, HttpResponse, RequestShape, ResponseShape, Token
from grantway.testing import DialectTests


def newest(found: dict[str, Any]) -> dict[str, Any]:
    results = found.get("results")
    return results[-1] if isinstance(results, list) and results else found


ACME = Dialect(
    name="acme",
    request=RequestShape(names={"client_id": "app_id"}, scope_separator=","),
    response=ResponseShape(token_at=(("data",),), names={"token": "access_token"}),
    error=ErrorShape(code_at=(("fault", "code"),), codes={"17": "invalid_grant"}),
    amend=newest,
)


class Case(DialectTests):
    """The tests of one dialect. ``fails`` are the tests that find its mistake."""

    fails: ClassVar[set[str]] = set()
    changes: ClassVar[dict[str, Any]] = {}

    @pytest.fixture
    def dialect(self) -> Dialect:
        return replace(ACME, **self.changes)

    @pytest.fixture
    def success(self) -> tuple[HttpResponse, Token]:
        body = b'{"results": [{"data": {"token": "t-1", "expires_in": 60, "refresh_token": "r"}}]}'
        return HttpResponse(200, {}, body), Token("t-1", expires_in=60, refresh_token="r")

    @pytest.fixture
    def failure(self) -> tuple[HttpResponse, str]:
        return HttpResponse(200, {}, b'{"fault": {"code": 17}}'), "invalid_grant"


class Correct(Case):
    """A correct dialect, to show that the tests pass."""


class BrokenPath(Case):
    changes: ClassVar = {"response": ResponseShape(token_at=(("body",),))}
    fails: ClassVar = {"test_reads_the_token_of_the_example"}


class BrokenAmend(Case):
    """It loses the refresh token."""

    @staticmethod
    def first_member(found: dict[str, Any]) -> dict[str, Any]:
        data = newest(found).get("data")
        return {"data": {"token": data["token"]}} if isinstance(data, dict) else found

    changes: ClassVar = {"amend": first_member}
    fails: ClassVar = {"test_reads_the_token_of_the_example"}


class BrokenCode(Case):
    changes: ClassVar = {"error": ErrorShape(code_at=(("fault", "code"),))}
    fails: ClassVar = {"test_reads_the_error_of_the_example"}


class BrokenObjects(Case):
    """It fails for objects other than a success."""

    changes: ClassVar = {"amend": lambda found: found["results"][-1]}
    fails: ClassVar = {
        "test_amend_accepts_every_object",
        "test_can_be_pickled_and_copied",
    }
