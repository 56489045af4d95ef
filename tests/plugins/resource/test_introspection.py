"""Opaque tokens, about which the issuer is asked (RFC 7662)."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest
import requests

import grantway
from grantway import ConfigurationError
from grantway.testing import FaultServer
from grantway.testing.faults import respond
from grantway_plugins.issuer import IssuerServer, IssuerSettings
from grantway_plugins.resource import (
    AcceptedIssuer,
    ProtectedResource,
    VerificationUnavailableError,
    _introspection,
)
from tests.plugins.resource.conftest import API, Clock, asked, denial
from tests.waiting import PATIENCE, until

ISSUER = "https://login.example.com"

Scripted = Callable[..., tuple[ProtectedResource, FaultServer]]


def members(**more: Any) -> dict[str, Any]:
    # Parameters of tests are made at collection, long before the last test runs.
    later = int(time.time()) + 86_400
    found = {"active": True, "aud": API, "sub": "ann", "exp": later, **more}
    return {name: value for name, value in found.items() if value is not None}


@pytest.fixture
def scripted(clock: Clock) -> Iterator[Scripted]:
    """Return a function that makes a resource whose issuer plays a script."""
    with ExitStack() as opened:

        def make(*script: Any, **options: Any) -> tuple[ProtectedResource, FaultServer]:
            server = opened.enter_context(FaultServer(*script))
            client = opened.enter_context(
                grantway.Client(
                    grantway.Provider(
                        token_endpoint=server.token_endpoint,
                        metadata={"introspection_endpoint": f"{server.url}/introspect"},
                    ),
                    client_id="api",
                    client_secret="secret-of-the-api-0123456789",
                    retry=grantway.RetryPolicy(attempts=1),
                )
            )
            accepted = AcceptedIssuer(ISSUER, introspection=client, **options)
            resource = ProtectedResource(API, [accepted], clock=clock)
            opened.callback(resource.close)
            return resource, server

        yield make


def test_the_embedded_issuer_is_asked_once() -> None:
    with IssuerServer(IssuerSettings(registration="unrestricted")) as server, ExitStack() as opened:
        metadata = {"grant_types": ["client_credentials"], "scope": "read"}
        registered = requests.post(f"{server.url}/register", json=metadata, timeout=30).json()
        client = opened.enter_context(
            grantway.Client(
                grantway.Provider.discover(server.url),
                client_id=registered["client_id"],
                client_secret=registered["client_secret"],
            )
        )
        token = client.create_token(grant_type="client_credentials", resource=API)
        resource = ProtectedResource(API, [AcceptedIssuer(server.url, introspection=client)])
        opened.callback(resource.close)
        found = resource.verify(asked(f"Bearer {token.access_token}"))
        assert found.client_id == registered["client_id"]
        assert found.scope == {"read"}
        client.call("revocation", token=token.access_token)
        assert (
            resource.verify(asked(f"Bearer {token.access_token}")) is found
        )  # until cache_seconds
        other = client.create_token(grant_type="client_credentials")
        assert "not for this resource" in (
            denial(resource, asked(f"Bearer {other.access_token}"))[0].message
        )


def test_concurrent_requests_share_one_question(scripted: Scripted) -> None:
    resource, server = scripted(respond(200, members(scope="read")))

    async def many() -> list[Any]:
        request = asked("Bearer opaque")
        return await asyncio.gather(*(resource.verify_async(request) for _ in range(50)))

    assert {each.subject for each in asyncio.run(many())} == {"ann"}
    assert len(server.requests) == 1
    assert server.requests[0].form["token"] == ["opaque"]


def test_an_inactive_token_is_asked_about_once_in_a_while(scripted: Scripted, clock: Clock) -> None:
    resource, server = scripted(respond(200, {"active": False}))
    for _ in range(5):
        assert denial(resource, asked("Bearer revoked"))[0].error == "invalid_token"
    assert len(server.requests) == 1
    clock.now += 31
    denial(resource, asked("Bearer revoked"))
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ({"active": "true"}, "is not active"),
        ({}, "is not active"),
        (members(active=1), "is not active"),
        (members(iss="https://other.example"), "is of another issuer"),
        (members(aud="https://other.example"), "is not for this resource"),
        (members(aud=None), "is not an access token"),
        (members(aud=None, token_type="Bearer"), "is not for this resource"),
        (members(token_type="refresh_token"), "is not an access token"),
        (members(token_use="refresh_token", token_type="Bearer"), "is not an access token"),
        (members(token_type=["Bearer"]), "is not an access token"),
        (members(typ="ID", token_type="Bearer"), "is not an access token"),
        (members(at_hash="x"), "is not an access token"),
        (members(token_type="DPoP"), "is bound to a DPoP key that its issuer does not name"),
        (members(token_type="dpop", cnf={"x5t#S256": "x"}), "that its issuer does not name"),
        (members(exp=1), "expired"),
        (members(exp="soon"), "has no exp"),
        (members(cnf={"x5t": "x"}), "in a way that is not supported"),
    ],
)
def test_the_answer_is_checked(scripted: Scripted, answer: dict[str, Any], problem: str) -> None:
    resource, _ = scripted(respond(200, answer))
    assert problem in denial(resource, asked("Bearer opaque"))[0].message


def test_an_answer_without_expiry_is_kept_for_cache_seconds(
    scripted: Scripted, clock: Clock
) -> None:
    resource, server = scripted(respond(200, members(exp=None, iss=ISSUER)))
    for _ in range(3):
        assert resource.verify(asked("Bearer opaque")).subject == "ann"
    assert len(server.requests) == 1
    clock.now += 301
    resource.verify(asked("Bearer opaque"))
    assert len(server.requests) == 2


@pytest.mark.parametrize("status", [401, 500, 503])
def test_a_failure_is_no_rejection(scripted: Scripted, status: int) -> None:
    resource, _ = scripted(respond(status, {"error": "x"}), respond(200, members()))
    with pytest.raises(VerificationUnavailableError) as caught:
        resource.verify(asked("Bearer opaque"))
    assert "opaque" not in str(caught.value)
    assert resource.verify(asked("Bearer opaque")).subject == "ann"


def test_the_number_of_waiting_tokens_is_bounded(
    scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    resource, server = scripted(respond(200, members()))
    monkeypatch.setattr(_introspection, "THREADS", 0)
    monkeypatch.setattr(_introspection, "WAITING", 0)
    with pytest.raises(VerificationUnavailableError, match="Too many tokens"):
        resource.verify(asked("Bearer opaque"))
    assert not server.requests


def test_a_client_that_cannot_be_created_is_not_created_for_each_token() -> None:
    created = 0

    def create() -> grantway.Client:
        nonlocal created
        created += 1
        raise ConfigurationError("the issuer is down")

    resource = ProtectedResource(API, [AcceptedIssuer(ISSUER, introspection=create)])
    for number in range(5):
        with pytest.raises(VerificationUnavailableError, match="the issuer is down"):
            resource.verify(asked(f"Bearer opaque{number}"))
    assert created == 1
    resource.close()


def test_closing_ends_the_questions_that_wait(scripted: Scripted) -> None:
    """Otherwise their requests, and a server that waits for these, would never end."""
    release, count = threading.Event(), 20
    queued = count - _introspection.THREADS
    _, server = scripted(*[respond(200, members())] * count)

    def create() -> grantway.Client:
        assert release.wait(PATIENCE)
        found = {"introspection_endpoint": f"{server.url}/introspect"}
        provider = grantway.Provider(token_endpoint=server.token_endpoint, metadata=found)
        return grantway.Client(provider, client_id="api", client_secret="secret-of-the-api-0123456")

    resource = ProtectedResource(API, [AcceptedIssuer(ISSUER, introspection=create)])
    work: Any = resource._verifier._introspectors[ISSUER]._work

    def verify(number: int) -> str:
        try:
            return str(resource.verify(asked(f"Bearer opaque{number}")).subject)
        except VerificationUnavailableError as error:
            return error.message

    with ThreadPoolExecutor(count) as threads:
        waiting = threads.map(verify, range(count))
        until(lambda: work.threads._work_queue.qsize() == queued)
        resource.close()
        release.set()
        results = list(waiting)
    closed = f"Introspection at {ISSUER} failed: the resource was closed."
    assert results.count(closed) >= queued


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_process_asks_with_its_own_threads(scripted: Scripted) -> None:
    resource, server = scripted(respond(200, members()))
    resource.verify(asked("Bearer opaque"))
    child = os.fork()
    if child == 0:
        seen = resource.verify(asked("Bearer opaque"))
        found = resource.verify(asked("Bearer other"))
        os._exit(0 if (seen.subject, found.subject) == ("ann", "ann") else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert [each.form["token"] for each in server.requests] == [["opaque"], ["other"]]
    assert resource.verify(asked("Bearer third")).subject == "ann"


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_fork_while_the_client_is_created_leaves_no_lock() -> None:
    """Otherwise a worker would never be ready, and its health check would wait forever."""
    begun, created, parent = threading.Event(), threading.Event(), os.getpid()

    def create() -> grantway.Client:
        if os.getpid() == parent:
            begun.set()
            assert created.wait(PATIENCE)
        provider = grantway.Provider(token_endpoint=f"{ISSUER}/token")
        return grantway.Client(provider, client_id="api", client_secret="secret-of-the-api-0123456")

    resource = ProtectedResource(API, [AcceptedIssuer(ISSUER, introspection=create)])
    assert not resource.status()[ISSUER].available
    assert begun.wait(PATIENCE)
    child = os.fork()
    if child == 0:
        signal.alarm(int(PATIENCE / 2))
        until(lambda: resource.status()[ISSUER], lambda status: status.available)
        os._exit(len(resource.problems()))
    created.set()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert not resource.problems()
    resource.close()


def test_an_unexpected_error_is_no_rejection(monkeypatch: pytest.MonkeyPatch) -> None:
    def create() -> grantway.Client:
        raise RuntimeError("secret detail")

    resource = ProtectedResource(API, [AcceptedIssuer(ISSUER, introspection=create)])
    with pytest.raises(VerificationUnavailableError) as caught:
        resource.verify(asked("Bearer opaque"))
    assert "unexpected RuntimeError" in str(caught.value)
    assert "secret detail" not in str(caught.value)
    resource.close()
    with pytest.raises(VerificationUnavailableError, match="no thread can be started"):
        resource.verify(asked("Bearer opaque"))


def test_only_one_issuer_is_asked_about_opaque_tokens() -> None:
    def never() -> grantway.Client:
        raise AssertionError

    accepted = [AcceptedIssuer(f"{ISSUER}/{name}", introspection=never) for name in "ab"]
    with pytest.raises(ConfigurationError, match="does not name its issuer"):
        ProtectedResource(API, accepted)
