"""Functions in parameters are called once for each send."""

from __future__ import annotations

import itertools
import traceback
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

import grantway
from grantway import (
    Client,
    Grant,
    GrantSchema,
    LoginNeededError,
    OutcomeUnknownError,
    Provider,
    Replay,
    RequestInvalidError,
    RetryPolicy,
    Text,
    Token,
)
from tests import faults
from tests.faults import FaultServer

BUSY = faults.respond(503, b"", headers={"Retry-After": "0"})


class Signed(GrantSchema):
    """A signed request."""

    nonce = Text(required=True, example='"n-1"', maximum=40)
    account = Text(example='"alice"', data_key="account-id")


def grant(replay: Replay = Replay.SAFE, kind: type[Grant] = Grant) -> Grant:
    return kind("urn:example:signed", Signed(), replay=replay, secret=frozenset({"nonce"}))


def client(server: FaultServer, used: Grant | None = None, **options: Any) -> Client:
    return Client(
        Provider(server.token_endpoint),
        client_id="c",
        registry=grantway.build_registry(only=["grantway"]),
        grants=[used or grant()],
        retry=RetryPolicy(base=0.0),
        **options,
    )


def counting(prefix: str = "nonce-") -> Callable[[], str]:
    numbers = itertools.count(1)
    return lambda: f"{prefix}{next(numbers)}"


def nonces(server: FaultServer) -> list[str]:
    return [request.form["nonce"][0] for request in server.requests]


Ask = Callable[..., Token]


@pytest.fixture(params=["create_token", "credential", "credential_pool"])
def ask(request: pytest.FixtureRequest) -> Callable[[Client], Ask]:
    """Return each function that requests a token with parameters."""

    def asking(client: Client) -> Ask:
        def create(**params: Any) -> Token:
            return client.create_token(grant_type="urn:example:signed", **params)

        def keep(**params: Any) -> Token:
            kept = client.credential(grant_type="urn:example:signed", subject="alice", **params)
            return kept.token()

        def pool(**params: Any) -> Token:
            pool = client.credential_pool(grant_type="urn:example:signed", **params)
            return pool.token("alice")

        ways: Mapping[str, Ask] = {
            "create_token": create,
            "credential": keep,
            "credential_pool": pool,
        }
        return ways[request.param]

    return asking


def test_computes_a_value_for_each_send(ask: Callable[[Client], Ask]) -> None:
    with FaultServer(BUSY, faults.reset_after_request, faults.respond()) as server:
        with client(server) as asking:
            ask(asking)(nonce=counting())
        assert nonces(server) == ["nonce-1", "nonce-2", "nonce-3"]


def test_an_extra_parameter_may_be_a_function(ask: Callable[[Client], Ask]) -> None:
    with FaultServer(BUSY, faults.respond()) as server:
        with client(server) as asking:
            ask(asking)(nonce="n", extra={"jti": counting(), "fixed": "x"})
        assert [each.form["jti"] for each in server.requests] == [["nonce-1"], ["nonce-2"]]
        assert [each.form["fixed"] for each in server.requests] == [["x"], ["x"]]


def test_a_parameter_with_a_data_key_may_be_a_function(ask: Callable[[Client], Ask]) -> None:
    with FaultServer(BUSY, faults.respond()) as server:
        with client(server) as asking:
            ask(asking)(nonce="n", account=counting("a"))
        assert [each.form["account-id"] for each in server.requests] == [["a1"], ["a2"]]


def test_a_refresh_computes_its_parameters_for_each_send() -> None:
    with FaultServer(BUSY, faults.respond()) as server:
        with client(server) as asking:
            kept = asking.credential(
                grant_type="urn:example:signed",
                subject="alice",
                nonce=counting(),
                refresh={"proof": counting("proof-")},
            )
            kept.accept(Token("at-0", refresh_token="rt-0", expires_at=1.0))
            assert kept.token()
        assert [each.form["proof"] for each in server.requests] == [["proof-1"], ["proof-2"]]


class Nonced:
    """A client authentication that requests another send, as for a DPoP nonce."""

    client_id = "c"

    def __init__(self) -> None:
        self.asked = 0

    def authenticate(self, request: Any) -> None:
        request.fields["client_id"] = self.client_id
        request.learn = self.learn

    def learn(self, response: Any) -> bool:
        self.asked += 1
        return self.asked == 1

    def secrets(self) -> tuple[str, ...]:
        return ()


def test_computes_a_value_for_a_send_that_client_authentication_repeats() -> None:
    refused = faults.respond(400, {"error": "use_dpop_nonce"})
    with FaultServer(refused, faults.respond()) as server:
        with client(server, auth=Nonced()) as asking:
            asking.create_token(grant_type="urn:example:signed", nonce=counting())
        assert nonces(server) == ["nonce-1", "nonce-2"]


def test_keeps_changes_that_middleware_made() -> None:
    def tag(exchange: Any) -> Any:
        exchange.params["account"] = "tagged"
        exchange.params["trace"] = "t-1"
        return (yield exchange)

    with FaultServer(BUSY, faults.respond()) as server:
        with client(server, middleware=[tag]) as asking:
            asking.create_token(grant_type="urn:example:signed", nonce=counting(), account="alice")
        assert nonces(server) == ["nonce-1", "nonce-2"]
        for request in server.requests:
            assert (request.form["account-id"], request.form["trace"]) == (["tagged"], ["t-1"])


def test_process_token_receives_the_parameters_of_the_last_send() -> None:
    seen: list[str] = []

    class Judging(Grant):
        def process_token(self, params: Mapping[str, Any], token: Token) -> Token:
            seen.append(params["nonce"])
            return token

    with (
        FaultServer(BUSY, faults.respond()) as server,
        client(server, grant(kind=Judging)) as asking,
    ):
        asking.create_token(grant_type="urn:example:signed", nonce=counting())
    assert seen == ["nonce-2"]


def test_the_secrets_of_every_send_are_masked() -> None:
    """The error of a lost first response, which quotes the first nonce, follows the second send."""
    script = [
        faults.respond(500, b"<p>nonce-1 failed</p>"),
        faults.respond(500, b"<p>nonce-2 failed</p>"),
    ]
    with (
        FaultServer(*script) as server,
        client(server) as asking,
        pytest.raises(OutcomeUnknownError) as raised,
    ):
        asking.create_token(grant_type="urn:example:signed", nonce=counting(), attempts=2)
    shown = f"{raised.value}{raised.value.excerpt}{vars(raised.value)}"
    assert "failed" in shown
    assert "nonce-" not in shown


# --- Failures -----------------------------------------------------------------------------------


def failing_at(number: int, error: BaseException | None, value: Any = None) -> Callable[[], Any]:
    """Return a function that fails at the given call."""
    numbers = itertools.count(1)

    def compute() -> Any:
        if next(numbers) < number:
            return "nonce-1"
        if error is not None:
            raise error
        return value

    return compute


async def late() -> str:
    return "n"


@pytest.mark.parametrize(
    ("nonce", "expected"),
    [
        (lambda: 7, "nonce must be a string"),
        (lambda: "", "nonce must not be empty"),
        (lambda: None, "nonce must not be null"),
        (lambda: "very-secret" * 10, "nonce must be 1 to 40 characters long"),
        (late, "nonce could not be computed: its function is asynchronous"),
        (lambda: late(), "nonce could not be computed: its function is asynchronous"),  # noqa: PLW0108
        (
            failing_at(1, grantway.InvalidGrantException("spent")),
            "nonce could not be computed: its function raised InvalidGrantException: spent",
        ),
        (
            failing_at(1, OutcomeUnknownError("lost")),
            "nonce could not be computed: its function raised OutcomeUnknownError: lost",
        ),
    ],
)
def test_an_invalid_value_names_its_parameter(
    ask: Callable[[Client], Ask], nonce: Any, expected: str
) -> None:
    with FaultServer(faults.respond()) as server:
        with client(server) as asking, pytest.raises(RequestInvalidError) as raised:
            ask(asking)(nonce=nonce)
        assert not server.requests
    assert expected in str(raised.value)
    assert "nonce" in raised.value.errors
    assert "very-secret" not in "".join(traceback.format_exception(raised.value))


@pytest.mark.parametrize("error", [OSError("no key"), ValueError("x"), SystemExit(3)])
def test_an_exception_of_a_function_names_its_parameter(
    error: BaseException,
) -> None:
    with (
        FaultServer(faults.respond()) as server,
        client(server) as asking,
        pytest.raises(type(error)) as raised,
    ):
        asking.create_token(grant_type="urn:example:signed", nonce=failing_at(1, error))
    assert raised.value is error
    assert error.__notes__ == ["Raised by the function that computes the parameter nonce."]


def test_reports_that_another_credential_needs_a_login() -> None:
    needed = LoginNeededError("Log in.")
    vars(needed)["token"] = Token("of-another")
    needed.add_note("An earlier note.")
    with (
        FaultServer(faults.respond()) as server,
        client(server) as asking,
        pytest.raises(LoginNeededError) as raised,
    ):
        asking.create_token(grant_type="urn:example:signed", nonce=failing_at(1, needed))
    assert str(raised.value) == "Log in."
    assert raised.value.__cause__ is needed
    named = "Raised by the function that computes the parameter nonce."
    assert raised.value.__notes__ == ["An earlier note.", named]
    assert needed.__notes__ == ["An earlier note."]
    assert vars(raised.value)["token"] is None


@pytest.mark.parametrize(
    "second", [failing_at(2, OSError("no key")), failing_at(2, None, 7)], ids=["raises", "invalid"]
)
def test_an_error_that_prevents_the_second_send(second: Any) -> None:
    """After a rejection, its error is raised; after a lost response, OutcomeUnknownError."""
    with FaultServer(faults.reset_after_request, faults.respond()) as server:
        with client(server) as asking, pytest.raises(OutcomeUnknownError):
            asking.create_token(grant_type="urn:example:signed", nonce=second)
        assert len(server.requests) == 1


def test_after_a_rejection_the_error_says_that_no_retry_was_sent() -> None:
    with (
        FaultServer(BUSY, faults.respond()) as server,
        client(server) as asking,
        pytest.raises(RequestInvalidError, match="The request was not sent again: nonce must be"),
    ):
        asking.create_token(grant_type="urn:example:signed", nonce=failing_at(2, None, 7))


def test_computes_nothing_for_an_invalid_request() -> None:
    calls: list[int] = []

    def compute() -> Iterator[str]:
        calls.append(1)
        return iter(())

    with (
        FaultServer(faults.respond()) as server,
        client(server) as asking,
        pytest.raises(RequestInvalidError, match="nonse is not a parameter"),
    ):
        asking.create_token(grant_type="urn:example:signed", nonce=compute, nonse="x")
    assert not calls


@pytest.mark.parametrize("step", ["device_authorization", "revocation"])
def test_every_endpoint_accepts_functions(step: str) -> None:
    with FaultServer(BUSY, faults.respond(200, {"device_code": "d"})) as server:
        provider = Provider(
            server.token_endpoint, metadata={f"{step}_endpoint": server.token_endpoint}
        )
        with Client(provider, client_id="c", retry=RetryPolicy(base=0.0)) as asking:
            asking.call(step, nonce=counting(), left_out=lambda: None)
        assert nonces(server) == ["nonce-1", "nonce-2"]
        assert "left_out" not in server.requests[1].form


def test_an_endpoint_accepts_parameters_named_like_arguments() -> None:
    extra = {"timeout": "a", "cancel": "b", "step": "c", "extra": "d", "nonce": counting()}
    with FaultServer(faults.respond(200, {})) as server:
        provider = Provider(
            server.token_endpoint, metadata={"revocation_endpoint": server.token_endpoint}
        )
        with Client(provider, client_id="c") as asking:
            asking.call("revocation", token="t", extra=extra)
        form = server.requests[0].form
    assert [form[name] for name in extra] == [["a"], ["b"], ["c"], ["d"], ["nonce-1"]]
    assert form["token"] == ["t"]


@pytest.mark.parametrize("stated", [None, "read write"])
def test_a_refresh_with_a_computed_scope_returns_that_scope(
    stated: str | None,
) -> None:
    body = {"access_token": "at-2", "token_type": "Bearer", "expires_in": 60, "scope": stated}
    with FaultServer(faults.respond(200, body)) as server, client(server) as asking:
        credential = asking.credential(
            grant_type="authorization_code", subject="u", refresh={"scope": lambda: ["read"]}
        )
        last = ("read", "write", "admin")
        credential.accept(Token("at-1", expires_at=1.0, refresh_token="rt-1", scope=last))
        token = credential.token()
        assert server.requests[0].form["scope"] == ["read"]
    assert token.scope == (("read",) if stated is None else ("read", "write"))
