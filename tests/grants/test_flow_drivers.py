"""Blocking and asynchronous logins obey the same rules."""

from __future__ import annotations

import asyncio
import socket
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit
from urllib.request import urlopen

import pytest

from grantway import (
    AccessDeniedException,
    BrowserUnavailableError,
    Client,
    ConfigurationError,
    FlowTimeoutError,
    InvalidClientException,
    Provider,
    RedirectMismatchError,
    ResponseInvalidError,
)
from grantway_grants import authorization_code, device_code
from grantway_grants.authorization_code import AuthorizationCodeFlow
from grantway_grants.device_code import DeviceAuthorization, DeviceFlow
from grantway_plugins.grants.ciba import CibaFlow
from tests import faults
from tests.faults import Act, FaultServer
from tests.waiting import PATIENCE, until

STARTED: dict[str, Any] = {
    "device_code": "dc-very-secret-0123456789",
    "auth_req_id": "id-very-secret-0123456789",
    "user_code": "ABCD-EFGH",
    "verification_uri": "https://example.com/device",
    "expires_in": 600,
    "interval": 5,
}
BEGUN = faults.respond(200, STARTED)
PENDING = faults.respond(400, {"error": "authorization_pending"})
SLOW = faults.respond(400, {"error": "slow_down"})
DENIED = faults.respond(400, {"error": "access_denied"})
TOKEN = faults.respond()
#: Calls a function, method or its asynchronous counterpart: owner, name, arguments.
Call = Callable[..., Any]


@pytest.fixture(params=["blocking", "async"])
def call(request: pytest.FixtureRequest) -> Call:
    def blocking(owner: object, name: str, *arguments: Any, **more: Any) -> Any:
        return getattr(owner, name)(*arguments, **more)

    def asynchronous(owner: object, name: str, *arguments: Any, **more: Any) -> Any:
        return asyncio.run(getattr(owner, f"{name}_async")(*arguments, **more))

    return blocking if request.param == "blocking" else asynchronous


@contextmanager
def serving(*script: Act) -> Iterator[tuple[Client, FaultServer]]:
    """Yield a client of a server that follows a script."""
    with FaultServer(*script) as server:
        provider = Provider(
            token_endpoint=server.token_endpoint,
            authorization_endpoint=f"{server.url}/authorize",
            device_authorization_endpoint=f"{server.url}/begin",
            metadata={
                "backchannel_authentication_endpoint": f"{server.url}/begin",
                "pushed_authorization_request_endpoint": f"{server.url}/par",
            },
        )
        with Client(provider, client_id="c") as client:
            yield client, server


def visit(url: str, **fields: str) -> None:
    """Redirect the browser as the provider does."""
    query = {name: value for name, (value,) in parse_qs(urlsplit(url).query).items()}
    redirect = f"{query['redirect_uri']}?{urlencode({'state': query['state'], **fields})}"
    with urlopen(redirect, timeout=PATIENCE) as page:
        page.read()


# --- Polling --------------------------------------------------------------------------------------


def start(call: Call, flow: DeviceFlow | CibaFlow) -> Any:
    return call(flow, "start", **({"login_hint": "me"} if isinstance(flow, CibaFlow) else {}))


def locals_of(error: BaseException) -> str:
    """Return the local variables of grantway's frames, as error trackers record them."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return "".join(
        repr(value)
        for frame in frames
        if "grantway" in frame.f_globals["__name__"]
        for value in frame.f_locals.values()
    )


def test_tracebacks_show_no_device_code(call: Call) -> None:
    def prompt(authorization: DeviceAuthorization) -> None:
        raise KeyError("screen")

    incomplete = faults.respond(200, {**STARTED, "verification_uri": ""})
    with serving(BEGUN, incomplete) as (client, _):
        for error in (KeyError, ResponseInvalidError):
            with pytest.raises(error) as raised:
                call(device_code, "login", client, prompt)
            assert STARTED["device_code"] not in locals_of(raised.value)


@pytest.mark.parametrize("kind", [DeviceFlow, CibaFlow])
class TestPolling:
    """The device flow and CIBA."""

    def test_polls_at_the_interval(self, call: Call, kind: Any) -> None:
        pauses: list[float] = []
        polls: list[str] = []
        with serving(BEGUN, PENDING, SLOW, faults.respond(503, b""), TOKEN) as (client, server):
            flow = kind(client, scope=["a"], pause=pauses.append)
            token = call(flow, "wait", start(call, flow), on_poll=polls.append)
        assert token.access_token == "at-1"
        assert pauses == [5, 5, 10, 20]
        assert polls == ["authorization_pending", "slow_down", "provider_unavailable"]
        assert [each.target for each in server.requests] == ["/begin", *["/token"] * 4]

    def test_ends_with_a_denial(self, call: Call, kind: Any) -> None:
        with serving(BEGUN, PENDING, DENIED, TOKEN) as (client, server):
            flow = kind(client, pause=lambda seconds: None)
            with pytest.raises(AccessDeniedException):
                call(flow, "wait", start(call, flow))
            assert len(server.requests) == 3

    def test_ends_when_the_codes_expire(self, call: Call, kind: Any) -> None:
        short = faults.respond(200, {**STARTED, "expires_in": 0.02})
        with serving(short, PENDING) as (client, _):
            flow = kind(client)
            with pytest.raises(FlowTimeoutError):
                call(flow, "wait", start(call, flow))

    def test_a_cancelled_wait_sends_no_more_polls(self, kind: Any) -> None:
        async def main() -> None:
            flow = kind(client)
            begun = await flow.start_async(**({"login_hint": "me"} if kind is CibaFlow else {}))
            task = asyncio.create_task(flow.wait_async(begun))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        with serving(BEGUN, TOKEN) as (client, server):
            asyncio.run(main())
            assert len(server.requests) == 1

    def test_callbacks_may_be_asynchronous_only_in_an_event_loop(self, kind: Any) -> None:
        seen: list[object] = []

        async def see(value: object) -> None:
            await asyncio.sleep(0)
            seen.append(value)

        async def main() -> None:
            flow = kind(client, pause=see)
            begun = await flow.start_async(**({"login_hint": "me"} if kind is CibaFlow else {}))
            await flow.wait_async(begun, on_poll=see)

        with serving(BEGUN, PENDING, TOKEN) as (client, _):
            asyncio.run(main())
            assert seen == [5, "authorization_pending", 5]
        with serving(BEGUN, PENDING, TOKEN) as (client, server):
            flow = kind(client, pause=see)
            begun = flow.start(**({"login_hint": "me"} if kind is CibaFlow else {}))
            with pytest.raises(ConfigurationError, match=r"^pause: is asynchronous;.*_async"):
                flow.wait(begun)
            assert len(server.requests) == 1


def test_logs_in_on_a_device(call: Call) -> None:
    shown: list[DeviceAuthorization] = []
    quick = faults.respond(200, {**STARTED, "expires_in": 0.5})  # polls before it expires
    with serving(quick, TOKEN) as (client, server):
        token = call(device_code, "login", client, shown.append, scope=["a"], resource="https://r/")
        assert token.access_token == "at-1"
        assert [each.form["resource"] for each in server.requests] == [["https://r/"]] * 2
    assert [each.user_code for each in shown] == ["ABCD-EFGH"]


def test_the_prompt_of_a_device_login_may_be_asynchronous() -> None:
    shown: list[str] = []

    async def prompt(authorization: DeviceAuthorization) -> None:
        await asyncio.sleep(0)
        shown.append(authorization.user_code)

    quick = faults.respond(200, {**STARTED, "expires_in": 0.5})
    with serving(quick, TOKEN) as (client, _):
        asyncio.run(device_code.login_async(client, prompt))
    assert shown == ["ABCD-EFGH"]


# --- Authorization code ---------------------------------------------------------------------------


def test_begins_and_finishes_a_login(call: Call) -> None:
    pushed = faults.respond(201, {"request_uri": "urn:r", "expires_in": 60})
    with serving(pushed, TOKEN) as (client, server):
        flow = AuthorizationCodeFlow(client, scope=["a"], par=True)
        request = call(flow, "begin", "http://127.0.0.1:1/cb")
        assert parse_qs(urlsplit(request.url).query)["request_uri"] == ["urn:r"]
        with pytest.raises(RedirectMismatchError):
            call(flow, "finish", request, "?code=other&state=other")
        token = call(flow, "finish", request, f"?code=mine&state={request.state}")
        assert token.access_token == "at-1"
        assert [each.target for each in server.requests] == ["/par", "/token"]
        assert server.requests[1].form["code_verifier"] == [request.code_verifier]


def test_logs_in_with_a_browser(call: Call) -> None:
    shown: list[str] = []
    with serving(TOKEN) as (client, server):
        token = call(
            authorization_code,
            "login",
            client,
            prompt=shown.append,
            open_browser=lambda url: visit(url, code="the-code"),
            timeout=PATIENCE,
        )
        assert token.access_token == "at-1"
        assert server.requests[0].form["code"] == ["the-code"]
    assert len(shown) == 1
    assert not [each for each in threading.enumerate() if each.name == "grantway-loopback"]


@pytest.mark.parametrize(
    ("open_browser", "error"),
    [
        (lambda url: visit(url, error="access_denied"), AccessDeniedException),
        (lambda url: False, BrowserUnavailableError),
        (lambda url: 1 // 0, ZeroDivisionError),
    ],
    ids=["denied", "no browser", "broken browser"],
)
def test_reports_a_failed_login(
    call: Call, open_browser: Callable[[str], object], error: type[BaseException]
) -> None:
    with serving(TOKEN) as (client, server):
        with pytest.raises(error):
            call(authorization_code, "login", client, open_browser=open_browser, timeout=PATIENCE)
        assert not server.requests


def test_ends_a_login_that_takes_too_long(call: Call) -> None:
    with serving(TOKEN) as (client, _), pytest.raises(FlowTimeoutError, match=r"within 0\.02 s"):
        call(authorization_code, "login", client, open_browser=lambda url: True, timeout=0.02)


def test_a_cancelled_login_stops_listening() -> None:
    opened: list[str] = []

    async def main() -> None:
        login = authorization_code.login_async(client, open_browser=opened.append, timeout=PATIENCE)
        task = asyncio.create_task(login)
        await asyncio.to_thread(until, lambda: opened)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with serving(TOKEN) as (client, server):
        asyncio.run(main())
        assert not server.requests
    redirect = urlsplit(parse_qs(urlsplit(opened[0]).query)["redirect_uri"][0])
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((redirect.hostname, redirect.port), timeout=PATIENCE)


def test_waiting_for_the_browser_does_not_block_the_loop() -> None:
    async def main() -> str:
        go = asyncio.Event()
        loop = asyncio.get_running_loop()
        urls: list[str] = []

        def open_browser(url: str) -> None:
            urls.append(url)
            loop.call_soon_threadsafe(go.set)

        async def redirect() -> None:
            await go.wait()
            await asyncio.to_thread(visit, urls[0], code="the-code")

        login = authorization_code.login_async(client, open_browser=open_browser, timeout=PATIENCE)
        token, _ = await asyncio.gather(login, redirect())
        return token.access_token

    with serving(TOKEN) as (client, _):
        assert asyncio.run(main()) == "at-1"


def test_rejects_an_asynchronous_open_browser(call: Call) -> None:
    async def open_browser(url: str) -> None: ...

    with serving(TOKEN) as (client, _), pytest.raises(ConfigurationError, match=r"^open_browser: "):
        call(authorization_code, "login", client, open_browser=open_browser)


def test_logs_in_by_paste(call: Call) -> None:
    def ask(url: str) -> str:
        (state,) = parse_qs(urlsplit(url).query)["state"]
        return f"?code=the-code&state={state}"

    async def ask_later(url: str) -> str:
        return ask(url)

    uri = "https://app.example/cb"
    with serving(TOKEN) as (client, _):
        token = call(authorization_code, "login_by_paste", client, ask, redirect_uri=uri)
        assert token.access_token == "at-1"
        later = authorization_code.login_by_paste_async(client, ask_later, redirect_uri=uri)
        assert asyncio.run(later).access_token == "at-1"


def test_checks_a_registration(call: Call) -> None:
    unknown = faults.respond(401, {"error": "invalid_client"})
    known = faults.respond(400, {"error": "invalid_grant"})
    with serving(unknown, known) as (client, _):
        with pytest.raises(InvalidClientException):
            call(authorization_code, "check_registration", client)
        call(authorization_code, "check_registration", client)
