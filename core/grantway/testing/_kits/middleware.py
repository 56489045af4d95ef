"""Test class for middleware."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Generator
from typing import Any
from urllib.parse import parse_qs

import pytest

from grantway._exceptions import InvalidGrantException, OutcomeUnknownError
from grantway._requests.exchange import Exchange
from grantway._requests.middleware.contract import problem_of
from grantway._requests.steps import Wait
from grantway._transport.http import HttpRequest, HttpResponse

from .scripted import GRANT_TYPE, MARK, ScriptedClient, issued, rejected


class MiddlewareTests:
    """Tests for middleware: it passes on tokens, errors and cancellations, and shows no secret.

    Inherit it, and define the fixture ``middleware``: a generator function of the exchange.

    ::

        class TestAudit(MiddlewareTests):
            @pytest.fixture
            def middleware(self):
                return audit

    Attributes:
        grant_type: The grant type of the requests in these tests.
    """

    grant_type = GRANT_TYPE

    def test_is_a_generator_function_of_the_exchange(self, middleware: Any) -> None:
        assert problem_of(middleware) == ""

    def test_returns_the_token_to_a_blocking_caller(self, middleware: Any) -> None:
        with ScriptedClient(issued(), middleware=[middleware]) as client:
            token = client.token()
        assert (token.access_token, token.refresh_token) == (f"at-1-{MARK}", f"rt-1-{MARK}")
        assert len(client.requests) == 1

    def test_returns_the_token_in_an_event_loop_without_blocking_it(
        self, middleware: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def sleep(_seconds: float) -> None:
            raise AssertionError("it calls time.sleep; use yield grantway.Wait(seconds)")

        with (
            ScriptedClient(issued(), middleware=[middleware]) as client,
            monkeypatch.context() as patched,
        ):
            patched.setattr(time, "sleep", sleep)
            token = asyncio.run(client.token_async())
        assert (token.access_token, token.refresh_token) == (f"at-1-{MARK}", f"rt-1-{MARK}")

    def test_concurrent_calls_get_their_own_tokens(self, middleware: Any) -> None:
        def numbered(request: HttpRequest) -> HttpResponse:
            return issued(int(parse_qs(request.body.decode())["code"][0]))

        async def main(client: ScriptedClient) -> list[str]:
            calls = [client.token_async(str(number)) for number in range(8)]
            return [token.access_token for token in await asyncio.gather(*calls)]

        with ScriptedClient(numbered, middleware=[middleware]) as client:
            assert asyncio.run(main(client)) == [f"at-{number}-{MARK}" for number in range(8)]

    def test_passes_on_the_error_of_the_provider(self, middleware: Any) -> None:
        with ScriptedClient(rejected(), middleware=[middleware]) as client:
            with pytest.raises(InvalidGrantException):
                client.token()
            assert len(client.requests) == 1

    def test_does_not_repeat_a_request_whose_outcome_is_unknown(self, middleware: Any) -> None:
        lost = OutcomeUnknownError("The response was lost.")
        with ScriptedClient(lost, issued(), middleware=[middleware]) as client:
            with pytest.raises(OutcomeUnknownError):
                client.token()
            assert len(client.requests) == 1

    def test_accepts_a_request_for_something_other_than_a_token(self, middleware: Any) -> None:
        empty = HttpResponse(200, {}, b"")
        with ScriptedClient(empty, middleware=[middleware]) as client:
            assert client.call("revocation", token=f"at-{MARK}") == {}

    @pytest.mark.parametrize("kind", [asyncio.CancelledError, KeyboardInterrupt, SystemExit])
    def test_does_not_swallow_a_cancellation(
        self, middleware: Any, kind: type[BaseException]
    ) -> None:
        generator = self.sent(middleware)
        with pytest.raises(kind):
            generator.throw(kind())

    def test_ends_when_the_call_is_abandoned(self, middleware: Any) -> None:
        self.sent(middleware).close()

    def test_logs_and_prints_no_secret(
        self,
        middleware: Any,
        caplog: pytest.LogCaptureFixture,
        capfd: pytest.CaptureFixture[str],
    ) -> None:
        with caplog.at_level(logging.DEBUG):
            for response in (issued(), rejected()):
                with ScriptedClient(response, middleware=[middleware]) as client:
                    try:
                        client.token()
                    except InvalidGrantException:
                        assert response.status == 400
        printed = capfd.readouterr()
        assert MARK not in caplog.text + printed.out + printed.err

    def sent(self, middleware: Any) -> Generator[Exchange | Wait, Any, Any]:
        """Return the generator of the middleware, after it has yielded the exchange."""
        exchanges: list[Exchange] = []

        def capture(exchange: Exchange) -> Generator[Exchange, Any, Any]:
            exchanges.append(exchange)
            return (yield exchange)

        with ScriptedClient(issued(), middleware=[capture]) as client:
            client.token()
        generator: Generator[Exchange | Wait, Any, Any] = middleware(exchanges[0])
        step = next(generator)
        while isinstance(step, Wait):
            step = generator.send(False)
        assert isinstance(step, Exchange)
        return generator
