"""Authorization servers that reject a refresh token with another error than ``invalid_grant``.

RFC 6749 section 5.2 defines that one. With many others, such as those of Metabase and Obot, clients
repeated the refresh forever, and users could not log in again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import requests

import grantway
from grantway_plugins.auth import ResourceAuth
from grantway_plugins.auth._resource import login_failures, rejection
from tests.plugins.auth.scripted_server import (
    ISSUER_METADATA,
    Request,
    Response,
    ScriptedServer,
)
from tests.plugins.auth.sites import Logins
from tests.waiting import PATIENCE, until

HTML = {"Content-Type": "text/html"}
REJECTIONS = [
    Response(400, {"error": "invalid_request", "error_description": "refresh_token is invalid"}),
    Response(401, {"error": "invalid_token"}),
    Response(403, {"error": "access_denied"}),
    Response(400, {"error": "unsupported_grant_type"}),
    Response(404, {"error": "not_found"}),
    Response(200, {"error": "bad_refresh_token"}),
    Response(401, {"message": "Unauthorized", "statusCode": 401}),
    Response(422, {"detail": [{"msg": "unknown refresh token"}]}),
]
FAILURES = [
    Response(500, b"failed"),
    Response(503, {"error": "server_error"}),
    Response(400, {"error": "temporarily_unavailable"}),
    Response(403, b"<h1>Blocked</h1>", HTML),
    Response(200, b"<h1>Log in to this network</h1>", HTML),
    Response(404, {"message": "no such page"}),
    Response(503, {"error": "access_denied"}),
    Response(429, {"error": "invalid_request"}),
    Response(500, {"error": "invalid_request"}),
    Response(400, {"error": "too_many_requests"}),
    Response(400, {"error": "InternalServerError"}),
]


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        yield server


def answer(server: ScriptedServer, response: Response | None) -> None:
    """Set the response to refreshes, or None for the usual one."""

    def changed(request: Request, _usual: Response) -> Response | None:
        return response if request.fields["grant_type"] == "refresh_token" else None

    server.script("/token", changed)


def logged_in(server: ScriptedServer, login: Any, **options: Any) -> ResourceAuth:
    """Return the object after a login whose token the resource does not accept any more."""
    auth = ResourceAuth(server.mcp, client_name="test", login=login, **options)
    assert get(server, auth) == requests.codes.ok
    server.revoke_tokens()
    return auth


def get(server: ScriptedServer, auth: ResourceAuth) -> int:
    return requests.get(server.mcp, auth=auth, timeout=PATIENCE).status_code


@pytest.mark.parametrize("response", REJECTIONS, ids=lambda each: str(each.body))
def test_the_user_logs_in_again(server: ScriptedServer, response: Response) -> None:
    logins = Logins()
    auth = logged_in(server, logins)
    answer(server, response)
    assert get(server, auth) == requests.codes.ok
    assert len(logins.calls) == 2
    # The second refresh finds out whether another process has stored a token.
    assert len(server.statuses("/token", grant_type="refresh_token")) == 2


@pytest.mark.parametrize("response", FAILURES, ids=lambda each: str(each.body))
def test_the_user_does_not_log_in_after_a_failure(
    server: ScriptedServer, response: Response
) -> None:
    logins = Logins()
    auth = logged_in(server, logins)
    answer(server, response)
    with pytest.raises((grantway.TransportError, grantway.TokenError)):
        get(server, auth)
    assert len(logins.calls) == 1
    answer(server, None)
    assert get(server, auth) == requests.codes.ok
    assert len(logins.calls) == 1


def test_a_rejected_refresh_token_is_kept(server: ScriptedServer) -> None:
    logins = Logins()
    auth = logged_in(server, logins)
    answer(server, REJECTIONS[0])
    logins.fail = grantway.FlowCancelledError("The user closed the window.")
    for _ in range(2):
        with pytest.raises(grantway.GrantwayError):
            get(server, auth)
    answer(server, None)
    until(partial(_is_accepted, server, auth))
    assert len(logins.calls) == 2


def _is_accepted(server: ScriptedServer, auth: ResourceAuth) -> bool:
    try:
        return get(server, auth) == requests.codes.ok
    except grantway.LoginNeededError:
        return False  # the refresh pauses for a moment


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (REJECTIONS[0], "refresh_token is invalid"),
        (Response(401, {"error": "invalid_client"}), "no longer knows the client"),
    ],
)
def test_requests_do_not_wait_for_another_rejection(
    server: ScriptedServer, response: Response, reason: str
) -> None:
    """Requests waited for the credential's pauses, which grow, and then could not get a login."""
    store = grantway.default_registry().store("memory")
    logged_in(server, Logins(), store=store)
    answer(server, response)
    auth = ResourceAuth(server.mcp, client_name="test", store=store)
    for _ in range(5):
        with pytest.raises(grantway.LoginNeededError, match=reason):
            get(server, auth)
    assert len(server.statuses("/token", grant_type="refresh_token")) <= 2


def test_an_outage_after_a_rejection_is_no_rejection(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many servers keep the refresh token, so that it is the one that they rejected before."""
    monkeypatch.setattr(rejection, "_PAUSE", 0.0)
    logins = Logins()
    auth = logged_in(server, logins)
    answer(server, REJECTIONS[0])
    logins.fail = grantway.FlowCancelledError("The user closed the window.")
    with pytest.raises(grantway.FlowCancelledError):
        get(server, auth)
    answer(server, Response(200, {"access_token": "next", "token_type": "Bearer"}))
    server.tokens.add("next")
    until(partial(_is_accepted, server, auth))
    auth._tokens.jobs.failures.clear()
    searches = len(server.statuses(ISSUER_METADATA))
    server.revoke_tokens()
    answer(server, Response(503, {"error": "server_error"}))
    for _ in range(2):
        with pytest.raises(grantway.TransportError):
            get(server, auth)
    assert len(logins.calls) == 2
    assert len(server.statuses(ISSUER_METADATA)) == searches  # those of logins


def test_a_rejected_refresh_does_not_hide_the_token_of_another_process(
    server: ScriptedServer,
) -> None:
    store = grantway.default_registry().store("memory")
    logged_in(server, Logins(), store=store)
    answer(server, REJECTIONS[0])
    auth = ResourceAuth(server.mcp, client_name="test", store=store)
    with pytest.raises(grantway.LoginNeededError):
        get(server, auth)
    logins = Logins()
    other = ResourceAuth(server.mcp, client_name="test", store=store, login=logins)
    assert get(server, other) == requests.codes.ok
    assert get(server, auth) == requests.codes.ok
    assert len(logins.calls) == 1


def test_requests_on_an_event_loop_do_not_wait_either(server: ScriptedServer) -> None:
    store = grantway.default_registry().store("memory")
    logged_in(server, Logins(), store=store)
    answer(server, REJECTIONS[0])
    auth = ResourceAuth(server.mcp, client_name="test", store=store)
    auth.invalidate(auth.token())

    async def requests_of_one_loop() -> None:
        for _ in range(5):
            with pytest.raises(grantway.LoginNeededError, match="refresh_token is invalid"):
                await auth.token_async()

    asyncio.run(requests_of_one_loop())
    assert len(server.statuses("/token", grant_type="refresh_token")) <= 2


def test_without_a_login_the_error_names_the_reason(server: ScriptedServer) -> None:
    store = grantway.default_registry().store("memory")
    logged_in(server, Logins(), store=store)
    answer(server, REJECTIONS[0])
    auth = ResourceAuth(server.mcp, client_name="test", store=store)
    with pytest.raises(grantway.LoginNeededError, match="refresh_token is invalid") as caught:
        get(server, auth)
    assert isinstance(caught.value.__cause__, grantway.InvalidRequestException)


@pytest.mark.parametrize(("status", "registrations"), [(401, 2), (400, 1)])
def test_a_client_may_be_unknown_with_another_error(
    server: ScriptedServer, status: int, registrations: int
) -> None:
    """Servers with an earlier version of MCP's Python SDK return this error with status 401."""
    store = grantway.default_registry().store("memory")
    logged_in(server, Logins(), store=store, subject="ann")
    rejected: list[Request] = []

    def forget(request: Request, _usual: Response) -> Response | None:
        if rejected:
            return None
        rejected.append(request)
        return Response(status, {"error": "unauthorized_client"})

    server.script("/token", forget)
    logins = Logins()
    auth = ResourceAuth(server.mcp, client_name="test", login=logins, store=store, subject="bob")
    assert get(server, auth) == requests.codes.ok
    assert len(server.statuses("/register")) == registrations


@pytest.mark.parametrize("error", ["unauthorized_client", "invalid_client"])
def test_an_unknown_client_registers_again_after_its_refresh(
    server: ScriptedServer, error: str
) -> None:
    """Otherwise a browser would show an error page of the server, and the login would not end."""
    registered: list[str] = []

    def register(_request: Request, usual: Response) -> Response:
        assert isinstance(usual.body, dict)
        registered.append(f"client-{len(registered) + 1}")
        return usual._replace(body={**usual.body, "client_id": registered[-1]})

    server.script("/register", register)
    auth = logged_in(server, Logins())
    answer(server, Response(401, {"error": error}))
    assert get(server, auth) == requests.codes.ok
    pages = [each.fields["client_id"] for each, _ in server.requests if each.path == "/authorize"]
    assert pages == ["client-1", "client-2"]


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (Response(403, {"error": "access_denied"}), grantway.AccessDeniedException),
        (Response(403, {"message": "Forbidden"}), grantway.ResponseInvalidError),
        (Response(429, {}), grantway.ProviderUnavailableError),
    ],
)
def test_a_rejected_registration_is_not_repeated_for_each_request(
    server: ScriptedServer,
    monkeypatch: pytest.MonkeyPatch,
    response: Response,
    expected: type[Exception],
) -> None:
    """Providers limit registrations, and each attempt may count."""
    monkeypatch.setattr(login_failures, "_SHORT_PAUSE", PATIENCE)
    server.script("/register", lambda _request, _usual: response)
    auth = ResourceAuth(server.mcp, client_name="test", login=Logins())
    with pytest.raises(expected):
        get(server, auth)
    for _ in range(3):
        with pytest.raises(
            grantway.LoginNeededError, match=r"the login \d+ s ago failed"
        ) as caught:
            get(server, auth)
        assert isinstance(caught.value.__cause__, expected)
    assert len(server.statuses("/register")) == 1
    server.script("/register", lambda _request, _usual: None)
    assert auth.log_in().access_token  # the program may ask for a login at any time
    assert get(server, auth) == requests.codes.ok
