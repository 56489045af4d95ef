"""Requests for the first and the next token, by grant."""

from __future__ import annotations

from itertools import count
from typing import Any, ClassVar

import pytest

from grantway import Client, Provider, RetryPolicy, Token
from grantway._exceptions import (
    ConfigurationError,
    ConnectionFailedError,
    GrantwayError,
    LoginNeededError,
    RequestInvalidError,
    UnknownGrantTypeError,
)
from grantway_plugins.stores.memory._store import MemoryStore
from tests import faults
from tests.core.credential.conftest import Start
from tests.core.credential.scenes import SECRET, Clock, issue, reject, token
from tests.faults import Act, FaultServer

DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
CODE: dict[str, Any] = {
    "grant_type": "authorization_code",
    "code": "code-0123456789",
    "redirect_uri": "http://127.0.0.1/callback",
    "code_verifier": "v" * 43,
}
ONCE = [
    pytest.param(CODE, id="authorization_code"),
    pytest.param({"grant_type": DEVICE, "device_code": "dc-0123456789"}, id="device_code"),
    pytest.param({"grant_type": BEARER, "assertion": "a.b.c"}, id="assertion"),
]


def sent(server: FaultServer, name: str) -> list[str | None]:
    return [each.form.get(name, [None])[0] for each in server.requests]


def test_repeats_the_client_credentials_grant(start: Start, clock: Clock) -> None:
    client, server = start(issue(refresh_token=None))
    credential = client.credential(**SECRET, scope=["read", "write"], extra={"audience": "api"})
    for rounds in (1, 2, 3):
        assert credential.token().access_token == f"at-{rounds}"
        clock.step(3600)
    assert sent(server, "grant_type") == ["client_credentials"] * 3
    assert sent(server, "scope") == ["read write"] * 3
    assert sent(server, "audience") == ["api"] * 3


@pytest.mark.parametrize("given", ONCE)
def test_sends_single_use_parameters_once(
    given: dict[str, Any], start: Start, clock: Clock
) -> None:
    client, server = start(issue(refresh_token=None))
    credential = client.credential(**given)
    credential.token()
    clock.step(3600)
    for _ in range(3):
        with pytest.raises(LoginNeededError):
            credential.token()
    assert len(server.requests) == 1


@pytest.mark.parametrize("given", ONCE)
@pytest.mark.parametrize(
    "act",
    [
        pytest.param(faults.reset_after_request, id="lost"),
        pytest.param(faults.respond(200, b"<html>"), id="page"),
        pytest.param(faults.respond(502, b""), id="502"),
        pytest.param(reject(), id="refused"),
    ],
)
def test_does_not_resend_single_use_parameters_after_an_unknown_outcome(
    given: dict[str, Any], act: Act, start: Start, clock: Clock
) -> None:
    client, server = start(act, issue())
    credential = client.credential(**given)
    with pytest.raises(GrantwayError):
        credential.token()
    clock.step(60)
    with pytest.raises(LoginNeededError):
        credential.token()
    assert len(server.requests) == 1


@pytest.mark.parametrize("given", ONCE)
def test_resends_single_use_parameters_that_were_never_sent(
    given: dict[str, Any], clock: Clock
) -> None:
    port = faults.free_port()
    provider = Provider(token_endpoint=f"http://127.0.0.1:{port}/token")
    once = RetryPolicy(attempts=1)
    with Client(provider, client_id="client", client_secret="s", retry=once) as client:
        credential = client.credential(**given)
        with pytest.raises(ConnectionFailedError):
            credential.token()
        clock.step(60)
        with FaultServer(issue(), port=port):
            assert credential.token().access_token == "at-1"


def test_prefers_the_refresh_token_to_the_grant(start: Start, clock: Clock) -> None:
    client, server = start(issue())
    credential = client.credential(**CODE)
    for _ in range(3):
        credential.token()
        clock.step(3600)
    assert sent(server, "grant_type") == ["authorization_code", "refresh_token", "refresh_token"]
    assert sent(server, "refresh_token") == [None, "rt-1", "rt-2"]


def test_repeats_the_grant_if_the_refresh_token_is_rejected(start: Start, clock: Clock) -> None:
    client, server = start(issue(), reject(), issue())
    credential = client.credential(**SECRET)
    credential.token()
    clock.step(3600)
    assert credential.token().access_token == "at-3"
    kinds = ["client_credentials", "refresh_token", "client_credentials"]
    assert sent(server, "grant_type") == kinds


class TestSeed:
    """The grant ``refresh_token`` with a given first refresh token."""

    SEED: ClassVar[dict[str, Any]] = {"grant_type": "refresh_token", "refresh_token": "rt-seed"}

    def test_sends_the_given_token_once_and_then_its_successors(
        self, start: Start, clock: Clock
    ) -> None:
        client, server = start(issue())
        credential = client.credential(**self.SEED, scope=["read"])
        for _ in range(3):
            credential.token()
            clock.step(3600)
        assert sent(server, "refresh_token") == ["rt-seed", "rt-1", "rt-2"]
        assert sent(server, "scope") == ["read"] * 3

    def test_prefers_the_stored_token(self, start: Start, clock: Clock) -> None:
        client, server = start(issue())
        store = MemoryStore()
        client.credential(**self.SEED, store=store).token()
        clock.step(3600)
        # As after a restart with the same configuration.
        assert client.credential(**self.SEED, store=store).token().access_token == "at-2"
        assert sent(server, "refresh_token") == ["rt-seed", "rt-1"]

    def test_does_not_resend_the_given_token_after_its_successor_was_rejected(
        self, start: Start, clock: Clock
    ) -> None:
        client, server = start(issue(), reject())
        credential = client.credential(**self.SEED, store=MemoryStore())
        credential.token()
        clock.step(3600)
        for _ in range(2):
            with pytest.raises(LoginNeededError):
                credential.token()
        assert sent(server, "refresh_token") == ["rt-seed", "rt-1"]

    def test_resends_the_given_token_after_a_network_error(
        self, start: Start, clock: Clock
    ) -> None:
        client, server = start(faults.reset_after_request, issue())
        credential = client.credential(**self.SEED)
        with pytest.raises(GrantwayError):
            credential.token()
        clock.step(60)
        assert credential.token().access_token == "at-2"
        assert sent(server, "refresh_token") == ["rt-seed", "rt-seed"]

    def test_does_not_resend_a_rejected_token(self, start: Start) -> None:
        client, server = start(reject(words="spent in May"))
        credential = client.credential(**self.SEED)
        for _ in range(3):
            with pytest.raises(LoginNeededError, match="spent in May"):
                credential.token()
        assert len(server.requests) == 1


class TestCallable:
    """A parameter that is computed for each send."""

    def test_computes_a_value_for_each_request(self, start: Start, clock: Clock) -> None:
        client, server = start(issue(refresh_token=None))
        made = (f"a.{number}.c" for number in count())
        credential = client.credential(
            grant_type=BEARER, assertion=lambda: next(made), subject="tenant-7"
        )
        for _ in range(3):
            credential.token()
            clock.step(3600)
        assert sent(server, "assertion") == ["a.0.c", "a.1.c", "a.2.c"]

    def test_requires_a_subject(self, start: Start) -> None:
        client, _ = start(issue())
        with pytest.raises(
            ConfigurationError, match="assertion is computed for each send"
        ) as caught:
            client.credential(grant_type=BEARER, assertion=lambda: "a.b.c")
        assert "subject" in caught.value.errors
        client.credential(grant_type=BEARER, assertion=lambda: "a.b.c", key="mine")

    def test_each_subject_has_one_key(self, start: Start) -> None:
        client, _ = start(issue())
        keys = [
            client.credential(grant_type=BEARER, assertion=lambda: "a.b.c", subject=each).key
            for each in ("a", "b", "a")
        ]
        assert keys[0] == keys[2] != keys[1]

    def test_exceptions_propagate_to_the_caller(self, start: Start) -> None:
        client, server = start(issue())

        def broken() -> str:
            raise OSError("the key is missing")

        credential = client.credential(grant_type=BEARER, assertion=broken, subject="a")
        with pytest.raises(OSError, match="the key is missing"):
            credential.token()
        assert not server.requests


class TestMoreParameters:
    """The requests that contain ``extra`` and ``refresh``."""

    def test_sends_refresh_parameters_with_refreshes_only(self, start: Start, clock: Clock) -> None:
        client, server = start(issue())
        credential = client.credential(**SECRET, refresh={"scope": ["read"], "tenant": "7"})
        for _ in range(2):
            credential.token()
            clock.step(3600)
        assert sent(server, "scope") == [None, "read"]
        assert sent(server, "tenant") == [None, "7"]

    @pytest.mark.parametrize(
        "given",
        [
            {"resource": ["https://a.example/", "https://b.example/"]},
            {"extra": {"resource": ["https://a.example/", "https://b.example/"]}},
        ],
        ids=["parameter", "extra"],
    )
    def test_a_refresh_repeats_the_resource(
        self, given: dict[str, Any], start: Start, clock: Clock
    ) -> None:
        grant = {"grant_type": BEARER, "assertion": "a.b.c"} if "resource" in given else CODE
        client, server = start(issue())
        credential = client.credential(**grant, **given)
        for _ in range(2):
            credential.token()
            clock.step(3600)
        first, refresh = server.requests
        assert refresh.form["grant_type"] == ["refresh_token"]
        resources = ["https://a.example/", "https://b.example/"]
        assert first.form["resource"] == refresh.form["resource"] == resources

    def test_a_refresh_does_not_repeat_the_scope(self, start: Start, clock: Clock) -> None:
        client, server = start(issue())
        credential = client.credential(**CODE, scope=["read", "write"], extra={"audience": "api"})
        for _ in range(2):
            credential.token()
            clock.step(3600)
        assert sent(server, "scope") == ["read write", None]
        assert sent(server, "audience") == ["api", "api"]

    def test_refresh_parameters_replace_those_of_the_grant(
        self, start: Start, clock: Clock
    ) -> None:
        client, server = start(issue())
        credential = client.credential(
            **CODE, extra={"resource": "https://a.example/"}, refresh={"resource": "urn:b"}
        )
        for _ in range(2):
            credential.token()
            clock.step(3600)
        assert sent(server, "resource") == ["https://a.example/", "urn:b"]

    def test_refreshes_an_accepted_token_for_the_resource(self, start: Start) -> None:
        client, server = start(issue())
        credential = client.credential(
            grant_type="authorization_code", subject="u", refresh={"resource": "https://a.example/"}
        )
        credential.accept(token(1, seconds_left=0))
        assert credential.token().access_token == "at-1"
        assert sent(server, "resource") == ["https://a.example/"]

    def test_sends_extra_with_every_request_of_the_refresh_token_grant(
        self, start: Start, clock: Clock
    ) -> None:
        client, server = start(issue())
        credential = client.credential(
            grant_type="refresh_token", refresh_token="rt-0", extra={"audience": "api"}
        )
        for _ in range(2):
            credential.token()
            clock.step(3600)
        assert sent(server, "audience") == ["api", "api"]

    def test_rejects_a_refresh_token_in_refresh(self, start: Start) -> None:
        client, _ = start(issue())
        with pytest.raises(ConfigurationError, match="taken from the last token"):
            client.credential(**SECRET, refresh={"refresh_token": "rt"})


def test_rejects_an_unknown_parameter_before_sending(start: Start) -> None:
    client, server = start(issue())
    with pytest.raises(RequestInvalidError, match="scoep"):
        client.credential(**SECRET, scoep=["read"])
    with pytest.raises(UnknownGrantTypeError):
        client.credential(grant_type="client_credential")
    assert not server.requests


def test_uses_and_stores_the_token_of_a_login(start: Start) -> None:
    client, server = start(issue())
    store = MemoryStore()
    credential = client.credential(grant_type=DEVICE, store=store)
    credential.accept(token(9))
    assert credential.token() == store.load(credential.key)
    assert isinstance(client.credential(grant_type=DEVICE, store=store).token(), Token)
    assert not server.requests
