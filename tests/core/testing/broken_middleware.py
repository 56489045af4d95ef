"""Middleware with one mistake each; see ``test_kits``."""

from __future__ import annotations

import contextlib
import logging
import time
from typing import Any, ClassVar

import pytest

from grantway import OutcomeUnknownError, ProviderResponse, ResponseInvalidError, Token, Wait
from grantway.testing import MiddlewareTests


def audit(exchange: Any) -> Any:
    """Log each call: a correct middleware."""
    yield Wait(0)
    try:
        response = yield exchange
    finally:
        logging.getLogger("audit").info("%s %s", exchange.step, exchange.grant_type)
    return response


class Case(MiddlewareTests):
    """The tests of one middleware. ``fails`` are the tests that find its mistake."""

    fails: ClassVar[set[str]] = set()

    @pytest.fixture
    def middleware(self) -> Any:
        return self.run

    def run(self, exchange: Any) -> Any:
        return audit(exchange)


class Correct(Case):
    """A correct middleware, to show that the tests pass."""

    @pytest.fixture
    def middleware(self) -> Any:
        return audit


class BrokenFunction(Case):
    """It is a function of the exchange and the next middleware, as in other frameworks."""

    @pytest.fixture
    def middleware(self) -> Any:
        return lambda exchange, call_next: call_next(exchange)

    fails: ClassVar = {"test_is_a_generator_function_of_the_exchange"}


class BrokenToken(Case):
    """It drops members of the token."""

    def run(self, exchange: Any) -> Any:
        response = yield exchange
        response.token = Token(response.token.access_token.upper())
        return response

    fails: ClassVar = {
        "test_returns_the_token_to_a_blocking_caller",
        "test_returns_the_token_in_an_event_loop_without_blocking_it",
    }


class BrokenWait(Case):
    def run(self, exchange: Any) -> Any:
        time.sleep(0.001)
        return (yield exchange)

    fails: ClassVar = {"test_returns_the_token_in_an_event_loop_without_blocking_it"}


class BrokenState(Case):
    """It keeps the response in an attribute."""

    latest: Any = None

    def run(self, exchange: Any) -> Any:
        response = yield exchange
        type(self).latest = type(self).latest or response
        return type(self).latest

    fails: ClassVar = {"test_concurrent_calls_get_their_own_tokens"}


class BrokenError(Case):
    """It replaces the error of the provider."""

    def run(self, exchange: Any) -> Any:
        try:
            return (yield exchange)
        except Exception as error:
            raise ResponseInvalidError("The request failed.") from error

    fails: ClassVar = {"test_passes_on_the_error_of_the_provider"}


class BrokenRetry(Case):
    """It sends a request again although the provider may have processed it."""

    def run(self, exchange: Any) -> Any:
        try:
            return (yield exchange)
        except OutcomeUnknownError:
            return (yield exchange)

    fails: ClassVar = {"test_does_not_repeat_a_request_whose_outcome_is_unknown"}


class BrokenStep(Case):
    """It expects a token in each response."""

    def run(self, exchange: Any) -> Any:
        response = yield exchange
        assert response.token.access_token
        return response

    fails: ClassVar = {"test_accepts_a_request_for_something_other_than_a_token"}


class BrokenCancellation(Case):
    """It handles a cancellation like an error."""

    def run(self, exchange: Any) -> Any:
        with contextlib.suppress(BaseException):
            return (yield exchange)
        return ProviderResponse(200, {})

    fails: ClassVar = {"test_does_not_swallow_a_cancellation"}


class BrokenCleanup(Case):
    """It sends a request when the call is abandoned."""

    def run(self, exchange: Any) -> Any:
        try:
            return (yield exchange)
        finally:
            yield exchange

    fails: ClassVar = {"test_ends_when_the_call_is_abandoned"}


class BrokenLog(Case):
    def run(self, exchange: Any) -> Any:
        response = yield exchange
        logging.getLogger("audit").debug("issued %s", response.token.access_token)
        return response

    fails: ClassVar = {"test_logs_and_prints_no_secret"}


class BrokenPrint(Case):
    def run(self, exchange: Any) -> Any:
        print(dict(exchange.params))
        return (yield exchange)

    fails: ClassVar = {"test_logs_and_prints_no_secret"}
