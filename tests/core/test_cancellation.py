"""Cancelled tasks: nothing is swallowed, repeated or left behind."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

import grantway
from grantway import Client, Grant, GrantSchema, Provider, Replay, RetryPolicy, Text, Token, Wait
from tests import faults
from tests.faults import FaultServer
from tests.waiting import PATIENCE, until

TOKEN = faults.respond()


class CouponSchema(GrantSchema):
    """A schema with one field."""

    coupon = Text(required=True, example='"SPRING"')


def client_of(server: FaultServer, replay: Replay = Replay.SAFE, **options: Any) -> Client:
    return Client(
        Provider(server.token_endpoint),
        client_id="c",
        grants=[Grant("coupon", CouponSchema(), replay=replay)],
        **options,
    )


def request(client: Client) -> Coroutine[Any, Any, Token]:
    return client.create_token_async(grant_type="coupon", coupon="SPRING")


async def cancelled(
    task: asyncio.Task[Token], when: Callable[[], object]
) -> asyncio.CancelledError:
    """Cancel a task when a condition holds, and return the error that it raises."""
    await asyncio.to_thread(until, when)
    task.cancel()
    with pytest.raises(asyncio.CancelledError) as raised:
        await task
    return raised.value


def run(main: Awaitable[Any]) -> Any:
    """Run a coroutine, and check that it leaves no task behind."""

    async def checked() -> Any:
        result = await main
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return result

    return asyncio.run(checked())


@pytest.mark.parametrize("replay", Replay)
def test_a_request_is_not_repeated_after_a_cancellation(replay: Replay) -> None:
    async def main() -> None:
        await cancelled(asyncio.create_task(request(client)), lambda: server.requests)

    with FaultServer(faults.stall_body, TOKEN) as server, client_of(server, replay) as client:
        run(main())
        assert len(server.requests) == 1


def test_a_cancelled_wait_sends_nothing_more() -> None:
    busy = faults.respond(503, b"", {"Retry-After": "20"})

    async def main() -> None:
        await cancelled(asyncio.create_task(request(client)), lambda: client_events)

    client_events: list[str] = []

    class Watch:
        @grantway.hookimpl
        def grantway_observe(self, event: grantway.Event) -> None:
            if event.kind == "retry":
                client_events.append(event.kind)

    registry = grantway.build_registry({"watch": Watch()}, only=["grantway"])
    with FaultServer(busy, TOKEN) as server, client_of(server, registry=registry) as client:
        run(main())
        assert len(server.requests) == 1


def test_middleware_cleans_up_but_cannot_swallow_a_cancellation() -> None:
    seen: list[str] = []

    def retries(exchange: Any) -> Any:
        try:
            return (yield exchange)
        except BaseException as error:  # noqa: BLE001 - a mistake that must do no harm
            seen.append(type(error).__name__)
            return (yield exchange)
        finally:
            seen.append("cleaned up")

    def returns(exchange: Any) -> Any:
        try:
            return (yield exchange)
        except asyncio.CancelledError:
            return None

    async def main() -> None:
        await cancelled(asyncio.create_task(request(client)), lambda: server.requests)

    middleware = [returns, retries]
    with (
        FaultServer(faults.stall_body, TOKEN) as server,
        client_of(server, middleware=middleware) as client,
    ):
        run(main())
        assert len(server.requests) == 1
    assert seen == ["CancelledError", "cleaned up"]


def test_a_token_that_was_received_is_in_the_cancellation() -> None:
    reached: list[str] = []

    def audit(exchange: Any) -> Any:
        response = yield exchange
        reached.append("audit")
        yield Wait(PATIENCE)
        return response

    async def main() -> asyncio.CancelledError:
        return await cancelled(asyncio.create_task(request(client)), lambda: reached)

    with FaultServer(TOKEN) as server, client_of(server, middleware=[audit]) as client:
        token = getattr(run(main()), "token", None)
    assert isinstance(token, Token)
    assert token.access_token == "at-1"


def test_a_timeout_of_the_caller_cancels_the_call() -> None:
    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await request(client)

    with FaultServer(faults.stall) as server, client_of(server) as client:
        run(main())


def test_a_coroutine_that_is_closed_ends_the_call() -> None:
    """As happens if its event loop stops before the call ends."""
    closed: list[str] = []

    def middleware(exchange: Any) -> Any:
        try:
            return (yield exchange)
        finally:
            closed.append("cleaned up")

    with FaultServer(faults.stall) as server, client_of(server, middleware=[middleware]) as client:
        loop = asyncio.new_event_loop()
        call = request(client)
        task = loop.create_task(call)
        loop.run_until_complete(asyncio.sleep(0))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            loop.run_until_complete(task)
        loop.close()
    assert closed == ["cleaned up"]


def test_retries_wait_without_blocking_the_loop() -> None:
    async def main() -> None:
        tasks = [asyncio.create_task(request(client)) for _ in range(20)]
        tokens = await asyncio.gather(*tasks)
        assert [token.access_token for token in tokens] == ["at-1"] * 20

    script = [*[faults.respond(503, b"")] * 20, TOKEN]
    retry = RetryPolicy(attempts=30, base=0.001)
    with FaultServer(*script) as server, client_of(server, retry=retry) as client:
        run(main())
