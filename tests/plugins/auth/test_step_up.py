"""Resources that require more scope (RFC 6750) or another login (RFC 9470)."""

from __future__ import annotations

import asyncio
import functools
import pickle
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import aiohttp
import pytest

import grantway
from grantway_plugins.auth import StepUpChallenge, StepUpRequiredError, TokenAuth
from tests.plugins.auth.dpop_server import DPoPServer
from tests.plugins.auth.libraries import (
    LIBRARIES,
    Library,
    by_async_httpx,
    by_async_httpx2,
    gather,
)
from tests.plugins.auth.resource import Application, Resource, Seen

SCOPE = (
    'Bearer realm="things", error="insufficient_scope", error_description="write is needed", '
    'scope="read write", resource_metadata="https://api.example/.well-known/oauth-protected-resource"'
)
LOGIN = (
    'Bearer error="insufficient_user_authentication", '
    'error_description="A different authentication level is required", '
    'acr_values="phr phrh", max_age="5"'
)
ASYNC = [by_async_httpx, by_async_httpx2, LIBRARIES["aiohttp"]]


@pytest.fixture(params=LIBRARIES)
def send(request: pytest.FixtureRequest) -> Library:
    return LIBRARIES[request.param]


class Things(Resource):
    """A resource that accepts the token ``strong``, and challenges all others.

    Args:
        status: Status of the challenge.
        challenge: The challenge.
    """

    def __init__(self, status: int = 403, challenge: str = SCOPE) -> None:
        super().__init__(lambda token: False)
        self._challenge = (status, {"WWW-Authenticate": challenge})

    def respond_to(self, seen: Seen) -> tuple[int, dict[str, str]]:
        if seen.headers.get("authorization") == "Bearer strong":
            return 200, {}
        return self._challenge


@pytest.fixture
def things() -> Iterator[Things]:
    with Things() as things:
        yield things


@pytest.fixture
def credential(application: Application) -> Any:
    credential = application.client.credential(grant_type="refresh_token", refresh_token="none")
    credential.accept(grantway.Token("weak-token", expires_in=3600))
    return credential


def strong(challenge: StepUpChallenge) -> grantway.Token:
    return grantway.Token("strong", expires_in=3600)


@pytest.mark.parametrize(
    ("response", "expected", "words"),
    [
        (
            (403, SCOPE),
            StepUpChallenge(
                "insufficient_scope",
                scope=("read", "write"),
                realm="things",
                error_description="write is needed",
                resource_metadata="https://api.example/.well-known/oauth-protected-resource",
            ),
            "requires the scope 'read write' (insufficient_scope)",
        ),
        (
            (401, LOGIN),
            StepUpChallenge(
                "insufficient_user_authentication",
                acr_values=("phr", "phrh"),
                max_age=5,
                error_description="A different authentication level is required",
            ),
            "requires a login with one of the acr_values 'phr phrh' and a login at most 5 s old",
        ),
        (
            (403, 'Basic realm="x", Bearer error="insufficient_scope"'),
            StepUpChallenge("insufficient_scope"),
            "requires more scope",
        ),
    ],
)
def test_raises_an_error_with_the_requirements(
    send: Library,
    credential: Any,
    response: tuple[int, str],
    expected: StepUpChallenge,
    words: str,
) -> None:
    with Things(*response) as things:
        with pytest.raises(StepUpRequiredError) as caught:
            send(credential, things.url, b"x")
        assert len(things.seen) == 1
    error = caught.value
    assert error.challenge == expected
    assert words in str(error)
    assert "credential.accept()" in str(error)
    assert things.url in str(error)
    assert error.evidence.status == response[0]
    assert text_of(error.response) == (response[0], '{"sent": "x"}')
    assert credential.token().access_token == "weak-token"  # not rejected


def text_of(response: Any) -> tuple[int, str]:
    """Return the status and the body of a response of any library."""
    if isinstance(response, aiohttp.ClientResponse):
        return response.status, asyncio.run(response.text())
    return response.status_code, response.text


def test_retries_once_with_the_token_of_the_callback(
    send: Library, credential: Any, things: Things
) -> None:
    seen: list[StepUpChallenge] = []

    def on_step_up(challenge: StepUpChallenge) -> grantway.Token:
        seen.append(challenge)
        return strong(challenge)

    response = send(credential, things.url, b"x", on_step_up=on_step_up)
    assert (response.status, response.text) == (200, '{"sent": "x"}')
    assert things.authorizations == ["Bearer weak-token", "Bearer strong"]
    assert [each.scope for each in seen] == [("read", "write")]


def test_the_callback_may_decline(send: Library, credential: Any, things: Things) -> None:
    response = send(credential, things.url, on_step_up=lambda challenge: None)
    assert (response.status, response.challenge) == (403, SCOPE)
    assert len(things.seen) == 1


def test_raises_if_the_token_of_the_callback_is_not_enough(
    send: Library, credential: Any, things: Things
) -> None:
    calls: list[StepUpChallenge] = []

    def on_step_up(challenge: StepUpChallenge) -> grantway.Token:
        calls.append(challenge)
        return grantway.Token("still-weak")

    with pytest.raises(StepUpRequiredError, match="on_step_up returned does not meet this"):
        send(credential, things.url, on_step_up=on_step_up)
    assert len(calls) == 1
    assert things.authorizations == ["Bearer weak-token", "Bearer still-weak"]


def test_does_not_call_the_callback_for_a_body_that_cannot_be_sent_again(
    send: Library, credential: Any, things: Things
) -> None:
    def on_step_up(challenge: StepUpChallenge) -> grantway.Token:
        raise AssertionError

    with pytest.raises(StepUpRequiredError, match="cannot be sent again"):
        send(credential, things.url, iter([b"only ", b"once"]), on_step_up=on_step_up)
    assert [seen.body for seen in things.seen] == [b"only once"]


@pytest.mark.parametrize("send", ASYNC)
def test_an_async_callback_runs_on_the_event_loop(
    send: Library, credential: Any, things: Things
) -> None:
    threads: list[threading.Thread] = []

    async def on_step_up(challenge: StepUpChallenge) -> grantway.Token:
        threads.append(threading.current_thread())
        await asyncio.sleep(0)
        return strong(challenge)

    assert send(credential, things.url, on_step_up=on_step_up).status == 200
    assert threads == [threading.current_thread()]


@pytest.mark.parametrize("send", ASYNC)
def test_a_callback_that_blocks_runs_in_a_thread(
    send: Library, credential: Any, things: Things
) -> None:
    threads: list[threading.Thread] = []

    def on_step_up(challenge: StepUpChallenge) -> grantway.Token:
        threads.append(threading.current_thread())
        return strong(challenge)

    assert send(credential, things.url, on_step_up=on_step_up).status == 200
    assert threads != [threading.current_thread()]


async def coroutine(challenge: StepUpChallenge) -> grantway.Token:
    return strong(challenge)


def undetected(challenge: StepUpChallenge) -> Any:
    """Return a coroutine, although the function is not async itself."""
    return coroutine(challenge)


@pytest.mark.parametrize("callback", [coroutine, functools.partial(coroutine), undetected])
@pytest.mark.parametrize("library", ["requests", "httpx", "httpx2"])
def test_a_sync_client_cannot_call_an_async_callback(
    credential: Any, things: Things, library: str, callback: Callable[[Any], Any]
) -> None:
    with pytest.raises(grantway.ConfigurationError, match="on_step_up: is async, but"):
        LIBRARIES[library](credential, things.url, on_step_up=callback)


def test_the_callback_must_return_a_token(send: Library, credential: Any, things: Things) -> None:
    with pytest.raises(grantway.ConfigurationError, match="return a Token or None, not a str"):
        send(credential, things.url, on_step_up=lambda challenge: "strong")
    with pytest.raises(grantway.ConfigurationError, match="on_step_up: must be a function"):
        send(credential, things.url, on_step_up="strong")


def test_a_request_of_the_callback_does_not_call_it_again(
    send: Library, credential: Any, things: Things
) -> None:
    problems: list[str] = []

    def on_step_up(challenge: StepUpChallenge) -> grantway.Token:
        try:
            send(auth, things.url)
        except StepUpRequiredError as error:
            problems.append(str(error))
        return strong(challenge)

    auth = TokenAuth(credential, on_step_up=on_step_up, origins=[things.url])
    assert send(auth, things.url).status == 200
    assert len(problems) == 1
    assert "on_step_up sent this request" in problems[0]


def test_an_error_of_the_callback_reaches_the_caller(
    send: Library, credential: Any, things: Things
) -> None:
    def on_step_up(challenge: StepUpChallenge) -> grantway.Token:
        raise grantway.FlowCancelledError("not now")

    with pytest.raises(grantway.FlowCancelledError, match="not now"):
        send(credential, things.url, on_step_up=on_step_up)


@pytest.mark.parametrize("library", ["requests", "httpx", "httpx2"])
def test_threads_share_one_login(credential: Any, things: Things, library: str) -> None:
    logins: list[StepUpChallenge] = []

    def on_step_up(challenge: StepUpChallenge) -> grantway.Token:
        logins.append(challenge)
        credential.accept(strong(challenge))
        return strong(challenge)

    auth = TokenAuth(credential, on_step_up=on_step_up)
    together = threading.Barrier(16)

    def run(_: int) -> int:
        together.wait(30)
        return LIBRARIES[library](auth, things.url).status

    with ThreadPoolExecutor(16) as pool:
        assert {*pool.map(run, range(16))} == {200}
    assert len(logins) == 1


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("library", ["httpx", "httpx2", "aiohttp"])
def test_tasks_share_one_login(credential: Any, things: Things, library: str, kind: str) -> None:
    logins: list[StepUpChallenge] = []

    def on_step_up(challenge: StepUpChallenge) -> grantway.Token:
        logins.append(challenge)
        credential.accept(strong(challenge))
        return strong(challenge)

    async def on_step_up_async(challenge: StepUpChallenge) -> grantway.Token:
        await asyncio.sleep(0)
        return on_step_up(challenge)

    callback = on_step_up if kind == "sync" else on_step_up_async
    auth = TokenAuth(credential, on_step_up=callback, origins=[things.url])
    assert asyncio.run(gather(library, auth, things.url, 20)) == [200] * 20
    assert len(logins) == 1


def test_a_token_that_the_credential_has_by_then_is_tried_first(
    send: Library, credential: Any, things: Things
) -> None:
    """Another refresh may have replaced the token; the callback is called if that is not enough."""
    calls: list[StepUpChallenge] = []

    def on_step_up(challenge: StepUpChallenge) -> grantway.Token:
        calls.append(challenge)
        return strong(challenge)

    class Source:
        """A source that returns another token for each request."""

        def __init__(self) -> None:
            self.count = 0

        def token(self, timeout: float | None = None) -> grantway.Token:
            self.count += 1
            return grantway.Token(f"weak-{self.count}")

        async def token_async(self, timeout: float | None = None) -> grantway.Token:  # noqa: ASYNC109
            return self.token()

        def invalidate(self, token: grantway.Token) -> None:
            raise AssertionError

    assert send(Source(), things.url, on_step_up=on_step_up).status == 200
    assert things.authorizations == ["Bearer weak-1", "Bearer weak-2", "Bearer strong"]
    assert len(calls) == 1


def test_a_dpop_challenge_steps_up_as_well(send: Library) -> None:
    challenge = {"WWW-Authenticate": 'Bearer, DPoP error="insufficient_scope", scope="write"'}
    with (
        DPoPServer({"/x": (403, challenge)}) as server,
        pytest.raises(StepUpRequiredError) as caught,
    ):
        send(server.credential(), f"{server.url}/x")
    assert caught.value.challenge.scope == ("write",)


def test_no_error_shows_a_secret(send: Library) -> None:
    """Neither do the local variables of the frames, which error reporters record."""
    challenge = {"WWW-Authenticate": 'DPoP error="insufficient_scope"'}
    with DPoPServer({"/x": (403, challenge)}) as server:
        credential = server.credential()
        with pytest.raises(StepUpRequiredError) as caught:
            send(credential, f"{server.url}/x")
        proof = next(seen.headers["dpop"] for seen in server.seen if seen.path == "/x")
    error = caught.value
    frames = traceback.TracebackException.from_exception(error, capture_locals=True)
    ours = [frame for frame in frames.stack if "grantway_plugins" in frame.filename]
    assert ours
    shown = f"{error} {error!r} {error.challenge!r} {[frame.locals for frame in ours]}"
    assert credential.token().access_token not in shown
    assert proof not in shown


def test_masks_a_token_that_the_resource_repeats(send: Library, credential: Any) -> None:
    challenge = (
        'Bearer error="insufficient_scope", realm="weak-token", scope="a\x1b[31m weak-token"'
    )
    with Things(403, challenge) as things, pytest.raises(StepUpRequiredError) as caught:
        send(credential, things.url)
    assert caught.value.challenge.realm == "***"
    assert caught.value.challenge.scope == ("a", "***")
    assert "weak-token" not in f"{caught.value} {caught.value.challenge!r}"


def test_the_error_can_be_pickled_without_the_response(
    send: Library, credential: Any, things: Things
) -> None:
    with pytest.raises(StepUpRequiredError) as caught:
        send(credential, things.url)
    again = pickle.loads(pickle.dumps(caught.value))
    assert again.challenge == caught.value.challenge
    assert str(again) == str(caught.value)
    assert again.response is None
