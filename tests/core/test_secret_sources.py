"""Client secrets, client assertions and parameters that come from secret sources."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import grantway
from grantway import (
    Client,
    ClientSecretPost,
    ConfigurationError,
    Credential,
    FlowCancelledError,
    InvalidClientException,
    InvalidGrantException,
    Provider,
    ProviderPausedError,
    RequestInvalidError,
    RetryPolicy,
    Secret,
    SecretUnavailableError,
    SourcedAuth,
    Token,
)
from grantway_plugins.client_auth import DPoP, PrivateKeyJwt
from tests import faults
from tests.core.test_cached_source import Vault, Versioned
from tests.faults import FaultServer
from tests.waiting import PATIENCE, until

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
BUSY = faults.respond(503, b"", headers={"Retry-After": "0"})


def rejects(code: str, status: int = 400, **members: str) -> faults.Act:
    return faults.respond(status, {"error": code, **members})


def client(server: FaultServer, **options: Any) -> Client:
    return Client(
        Provider(server.token_endpoint, dialect=options.pop("dialect", "rfc6749")),
        client_id="c",
        retry=RetryPolicy(base=0.0),
        **options,
    )


def posted(server: FaultServer, name: str = "client_secret") -> list[str]:
    return [request.form[name][0] for request in server.requests]


def post(**options: Any) -> dict[str, Any]:
    return {"auth": "client_secret_post", **options}


Ask = Callable[..., Token]


@pytest.fixture(params=["blocking", "async"])
def ask(request: pytest.FixtureRequest) -> Ask:
    """Return a function that requests a token, in a thread and on an event loop."""

    def asking(client: Client, grant_type: str = "client_credentials", **params: Any) -> Token:
        if request.param == "blocking":
            return client.create_token(grant_type=grant_type, **params)

        async def once() -> Token:
            try:
                return await client.create_token_async(grant_type=grant_type, **params)
            finally:
                await client.aclose()

        return asyncio.run(once())

    return asking


# --- Client secrets and assertions --------------------------------------------------------------


def test_a_source_is_read_when_a_request_needs_it(ask: Ask) -> None:
    vault = Vault("one")
    with FaultServer(faults.respond()) as server, client(server, **post(client_secret=vault)) as c:
        assert vault.reads == 0
        ask(c)
        assert posted(server) == ["one"]
    assert vault.reads == 1


def test_requests_share_what_was_read() -> None:
    vault = Vault("one")
    with FaultServer(faults.respond()) as server, client(server, **post(client_secret=vault)) as c:
        for _ in range(3):
            c.create_token(grant_type="client_credentials")
        assert posted(server) == ["one"] * 3
    assert vault.reads == 1


def test_each_send_has_the_current_secret(ask: Ask) -> None:
    vault = Versioned("one", "two")

    def rotate(stage: faults.Stage) -> bool:
        vault.current = 2
        return BUSY(stage)

    with FaultServer(rotate, faults.respond()) as server:
        ask(client(server, **post(client_secret=vault)))
        assert posted(server) == ["one", "two"]


def test_a_rejected_secret_is_replaced_by_a_new_one(ask: Ask) -> None:
    with FaultServer(rejects("invalid_client", 401), faults.respond()) as server:
        ask(client(server, **post(client_secret=Vault("one", "two"))))
        assert posted(server) == ["one", "two"]


def test_a_rejected_secret_that_did_not_change_is_sent_once(ask: Ask) -> None:
    vault = Vault("one", "one")
    with FaultServer(rejects("invalid_client", 401)) as server:
        with pytest.raises(InvalidClientException):
            ask(client(server, **post(client_secret=vault)))
        assert posted(server) == ["one"]
    assert vault.reads == 2


def test_a_second_rejection_is_final(ask: Ask) -> None:
    vault = Vault("one", "two", "three")
    with FaultServer(rejects("invalid_client", 401)) as server:
        with pytest.raises(InvalidClientException):
            ask(client(server, **post(client_secret=vault)))
        assert posted(server) == ["one", "two"]


def test_the_rejection_is_raised_if_the_source_fails_afterwards(ask: Ask) -> None:
    expired = Secret("one", expires_at=time.time() - 1)
    vault = Vault(expired, SecretUnavailableError("sealed"))
    with FaultServer(rejects("invalid_client", 401)) as server:
        with pytest.raises(InvalidClientException):
            ask(client(server, **post(client_secret=vault)))
        assert len(server.requests) == 1


def test_nothing_is_sent_without_the_secret(ask: Ask) -> None:
    vault = Vault(SecretUnavailableError("the vault is sealed; unseal it"))
    with FaultServer(faults.respond()) as server:
        with pytest.raises(SecretUnavailableError) as caught:
            ask(client(server, client_secret=vault))
        assert server.requests == []
    assert str(caught.value) == (
        "client_secret: the secret source tests.core.test_cached_source.Vault cannot be read: "
        "the vault is sealed; unseal it"
    )


@pytest.mark.parametrize("source", [False, True])
def test_an_assertion_authenticates_the_client(source: bool, ask: Ask) -> None:
    """RFC 7521 section 4.2 and RFC 7523 section 2.2."""
    assertion: Any = Vault("e30.e30.sig") if source else "e30.e30.sig"
    with FaultServer(faults.respond()) as server:
        ask(client(server, client_assertion=assertion))
        (request,) = server.requests
    assert request.form == {
        "grant_type": ["client_credentials"],
        "client_id": ["c"],
        "client_assertion": ["e30.e30.sig"],
        "client_assertion_type": ["urn:ietf:params:oauth:client-assertion-type:jwt-bearer"],
    }
    assert "authorization" not in request.headers


def test_an_assertion_may_have_another_type() -> None:
    saml = "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"
    with FaultServer(faults.respond()) as server:
        made = client(server, client_assertion="PHNhbWw", client_assertion_type=saml)
        made.create_token(grant_type="client_credentials")
        assert posted(server, "client_assertion_type") == [saml]


def test_an_expired_assertion_is_read_again(ask: Ask) -> None:
    with FaultServer(rejects("invalid_client", 401), faults.respond()) as server:
        ask(client(server, client_assertion=Vault("e30.e30.old", "e30.e30.new")))
        assert posted(server, "client_assertion") == ["e30.e30.old", "e30.e30.new"]


def test_a_method_may_use_the_secret_as_a_key() -> None:
    key = Vault("k" * 32)
    with FaultServer(faults.respond()) as server:
        made = client(server, client_secret=key, auth="client_secret_jwt")
        made.create_token(grant_type="client_credentials")
        assert posted(server, "client_assertion")[0].count(".") == 2


def test_another_method_may_wrap_a_source() -> None:
    """DPoP adds a proof, and the source is still read in time and after a rejection."""
    from joserfc.jwk import ECKey  # noqa: PLC0415 - slow to load

    key = ECKey.generate_key("P-256").as_pem(private=True).decode()
    inner = SourcedAuth("c", Vault("one", "two"), lambda value: ClientSecretPost("c", value))
    bound = faults.respond(body={**faults.TOKEN, "token_type": "DPoP"})
    with FaultServer(rejects("invalid_client", 401), bound) as server:
        client(server, auth=DPoP(inner, key)).create_token(grant_type="client_credentials")
        assert posted(server) == ["one", "two"]
        assert all("dpop" in request.headers for request in server.requests)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"client_secret": 7}, "client_secret: an int has no method read; give a string or a"),
        ({"client_secret": Vault}, "client_secret: a type is a type; give a string or a secret"),
        ({"client_secret": Vault("x"), "auth": "psot"}, "auth: 'psot' is not registered"),
        ({"client_assertion": ""}, "client_assertion: must be a non-empty string"),
        ({"client_assertion": "e30", "auth": "none"}, "client_assertion: cannot be combined with"),
        (
            {"client_assertion": "e30", "client_secret": Vault("x")},
            "client_assertion: cannot be combined with client_secret or auth; remove one",
        ),
        (
            {"client_assertion": "e30", "client_assertion_type": None},
            "client_assertion_type: must be a non-empty string",
        ),
    ],
)
def test_invalid_arguments_are_rejected_at_once(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Client(Provider("https://provider.example/token"), client_id="c", **options)
    assert str(caught.value).startswith(problem)


def test_a_single_use_source_cannot_authenticate_the_client() -> None:
    provider = Provider("https://provider.example/token")
    with pytest.raises(ConfigurationError, match=r"client_secret: .*Signatures is single-use"):
        Client(provider, client_id="c", client_secret=Signatures())


# --- Parameters ---------------------------------------------------------------------------------


def exchange(**params: Any) -> dict[str, Any]:
    kind = "urn:ietf:params:oauth:token-type:jwt"
    return {"grant_type": EXCHANGE, "subject_token_type": kind, **params}


def test_a_parameter_may_be_a_source(ask: Ask) -> None:
    vault = Vault("subject-1")
    with FaultServer(faults.respond()) as server:
        ask(client(server), **exchange(subject_token=vault))
        assert posted(server, "subject_token") == ["subject-1"]
    assert vault.reads == 1


def test_each_send_has_the_current_parameter(ask: Ask) -> None:
    vault = Versioned("subject-1", "subject-2")

    def rotate(stage: faults.Stage) -> bool:
        vault.current = 2
        return BUSY(stage)

    with FaultServer(rotate, faults.respond()) as server:
        ask(client(server), **exchange(subject_token=vault))
        assert posted(server, "subject_token") == ["subject-1", "subject-2"]


def test_a_rejected_parameter_is_replaced_by_a_new_one(ask: Ask) -> None:
    with FaultServer(rejects("invalid_grant"), faults.respond()) as server:
        ask(client(server), **exchange(subject_token=Vault("subject-1", "subject-2")))
        assert posted(server, "subject_token") == ["subject-1", "subject-2"]


def test_a_rejected_grant_does_not_read_the_client_secret_again() -> None:
    secret = Vault("one")
    with FaultServer(rejects("invalid_grant")) as server:
        with pytest.raises(InvalidGrantException):
            client(server, **post(client_secret=secret)).create_token(
                grant_type="refresh_token", refresh_token="rt"
            )
        assert len(server.requests) == 1
    assert secret.reads == 1


def test_the_value_of_a_source_is_checked_by_the_schema(ask: Ask) -> None:
    with FaultServer(faults.respond()) as server:
        with pytest.raises(RequestInvalidError, match="Nothing was sent: assertion"):
            ask(
                client(server),
                grant_type="urn:ietf:params:oauth:grant-type:jwt-bearer",
                assertion=Vault("not a token"),
            )
        assert server.requests == []


def test_the_error_of_a_source_names_the_parameter(ask: Ask) -> None:
    with FaultServer(faults.respond()) as server:
        with pytest.raises(SecretUnavailableError, match=r"^subject_token: the secret"):
            ask(client(server), **exchange(subject_token=Vault(ValueError("?"))))
        assert server.requests == []


def test_a_credential_keeps_what_its_source_returned() -> None:
    vault = Vault("subject-1")
    with FaultServer(faults.respond(body={**faults.TOKEN})) as server:
        kept = client(server).credential(subject="alice", **exchange(subject_token=vault))
        kept.invalidate(kept.token())
        kept.token()
        assert posted(server, "subject_token") == ["subject-1"] * 2
    assert vault.reads == 1


def test_a_refresh_token_survives_a_failing_source() -> None:
    """It is kept, and used when the source works again."""
    renewed = time.time() + 3600
    secret = Vault(SecretUnavailableError("sealed"), Secret("one", expires_at=renewed))
    live = Token("at-0", expires_in=60, expires_at=time.time() + 60, refresh_token="rt-0")
    with FaultServer(faults.respond()) as server:
        kept = client(server, **post(client_secret=secret)).credential(grant_type="refresh_token")
        kept.accept(live)
        kept.invalidate(live)
        with pytest.raises(SecretUnavailableError):
            kept.token()
        assert server.requests == []
        token = until(lambda: after_pause(kept))
        assert token.access_token == "at-1"
        assert posted(server, "refresh_token") == ["rt-0"]


def after_pause(kept: Credential) -> Token | None:
    try:
        return kept.token()
    except ProviderPausedError:
        return None


def test_a_credential_with_a_source_needs_a_subject() -> None:
    """Two machines with the same settings may have different subjects."""
    made = Client(Provider("https://provider.example/token"), client_id="c")
    with pytest.raises(ConfigurationError, match=r"^subject: is required because"):
        made.credential(**exchange(subject_token=Vault("subject-1")))


class Signatures:
    """A source of signatures, each of which the provider accepts once."""

    single_use = True

    def __init__(self) -> None:
        self.made = itertools.count(1)

    def read(self) -> Secret:
        return Secret(f"signature-{next(self.made)}")


def test_each_send_has_its_own_single_use_value(ask: Ask) -> None:
    with FaultServer(BUSY, BUSY, faults.respond()) as server:
        ask(client(server), **exchange(subject_token=Signatures()))
        sent = posted(server, "subject_token")
    assert sent == ["signature-1", "signature-2", "signature-3"]


def test_a_rejected_single_use_value_is_not_replaced(ask: Ask) -> None:
    """The value was new, so the provider would reject another one as well."""
    with FaultServer(rejects("invalid_grant")) as server:
        with pytest.raises(InvalidGrantException):
            ask(client(server), **exchange(subject_token=Signatures()))
        assert posted(server, "subject_token") == ["signature-1"]


def test_calls_share_no_single_use_value() -> None:
    class AtOnce(Signatures):
        """Returns when all calls read."""

        together = threading.Barrier(4, timeout=PATIENCE)

        def read(self) -> Secret:
            self.together.wait()
            return super().read()

    registry = grantway.build_registry({"signatures": SignaturePlugin(AtOnce)})
    shared = registry.secret_source("signatures")
    with FaultServer(faults.respond()) as server, client(server) as c:
        with ThreadPoolExecutor(4) as threads:
            for call in [
                threads.submit(c.create_token, **exchange(subject_token=shared)) for _ in range(4)
            ]:
                call.result(PATIENCE)
        assert sorted(posted(server, "subject_token")) == [f"signature-{n}" for n in range(1, 5)]


class SignaturePlugin:
    """Registers the source `signatures`."""

    def __init__(self, kind: type[Signatures]) -> None:
        self.kind = kind

    @grantway.hookimpl
    def grantway_register_secret_sources(self) -> dict[str, type[Signatures]]:
        return {"signatures": self.kind}


def test_a_credential_gets_each_token_with_another_single_use_value() -> None:
    token = faults.respond(body={**faults.TOKEN, "expires_in": 0})
    with FaultServer(token) as server, client(server) as c:
        credential = c.credential(subject="robot", **exchange(subject_token=Signatures()))
        for _ in range(2):
            credential.token()
        assert posted(server, "subject_token") == ["signature-1", "signature-2"]


def test_an_extra_parameter_may_be_a_source(ask: Ask) -> None:
    with FaultServer(faults.respond()) as server:
        ask(client(server), extra={"ticket": Vault("t-1")})
        assert posted(server, "ticket") == ["t-1"]


def test_a_call_of_another_endpoint_reads_sources() -> None:
    with FaultServer(faults.respond(body={"active": True})) as server:
        provider = Provider(
            server.token_endpoint, metadata={"introspection_endpoint": server.token_endpoint}
        )
        made = Client(provider, client_id="c", **post(client_secret=Vault("one")))
        made.call("introspection", token=Vault("at-1"))
        assert (posted(server), posted(server, "token")) == (["one"], ["at-1"])


# --- Waiting ------------------------------------------------------------------------------------


class Slow(Vault):
    """A source that responds when the test lets it."""

    def __init__(self, *answers: Any) -> None:
        super().__init__(*answers)
        self.begun, self.go_on = threading.Event(), threading.Event()

    def read(self) -> Secret:
        self.begun.set()
        assert self.go_on.wait(PATIENCE)
        return super().read()


def test_an_event_loop_is_not_blocked_by_a_source() -> None:
    slow = Slow("one")

    async def ten(server: FaultServer) -> None:
        async with client(server, **post(client_secret=slow)) as c:
            asked = [
                asyncio.create_task(c.create_token_async(grant_type="client_credentials"))
                for _ in range(10)
            ]
            await asyncio.to_thread(slow.begun.wait, PATIENCE)
            slow.go_on.set()
            await asyncio.gather(*asked)

    with FaultServer(faults.respond()) as server:
        asyncio.run(ten(server))
        assert posted(server) == ["one"] * 10
    assert slow.reads == 1


def test_sources_of_one_request_are_read_at_once(ask: Ask) -> None:
    """Otherwise the second would wait for the first, which waits for it here."""
    first, second = Slow("actor-1"), Slow("subject-1")
    first.go_on, second.go_on = second.begun, first.begun
    params = exchange(subject_token=second, actor_token=first)
    with FaultServer(faults.respond()) as server:
        ask(client(server), **params, actor_token_type=params["subject_token_type"])
        assert posted(server, "subject_token") == ["subject-1"]
    assert (first.reads, second.reads) == (1, 1)


def test_a_source_cannot_exceed_the_timeout_of_a_call(ask: Ask) -> None:
    slow = Slow("one")
    try:
        with FaultServer(faults.respond()) as server:
            with pytest.raises(SecretUnavailableError) as caught:
                ask(client(server, client_secret=slow, timeout=0.05))
            assert server.requests == []
    finally:
        slow.go_on.set()
    assert "did not respond within the call's timeout of 0.05 s" in str(caught.value)


def test_a_caller_can_cancel_while_a_source_is_read() -> None:
    slow, cancel = Slow("one"), threading.Event()

    def stop() -> None:
        slow.begun.wait(PATIENCE)
        cancel.set()

    stopping = threading.Thread(target=stop)
    stopping.start()
    try:
        with (
            FaultServer(faults.respond()) as server,
            pytest.raises(FlowCancelledError, match="while client_secret was read"),
        ):
            client(server, client_secret=slow).create_token(
                grant_type="client_credentials", cancel=cancel
            )
    finally:
        slow.go_on.set()
        stopping.join()


# --- Secrecy ------------------------------------------------------------------------------------

LEAK = "very-secret-0123456789-0123456789-0123456789"


@pytest.mark.parametrize(
    "options",
    [
        {"client_secret": Vault(LEAK, LEAK)},
        post(client_secret=Vault(LEAK, LEAK)),
        {"client_assertion": Vault(LEAK, LEAK)},
        {"client_secret": Vault(LEAK, LEAK), "auth": "client_secret_jwt"},
        {"auth": SourcedAuth("c", Vault(LEAK), lambda key: PrivateKeyJwt("c", key))},
    ],
    ids=["basic", "post", "assertion", "jwt", "invalid key"],
)
def test_a_secret_is_not_in_the_traceback_of_a_rejection(
    options: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    with FaultServer(rejects("invalid_client", 401, error_description=f"No, {LEAK}")) as server:
        made = client(server, **options)
        with pytest.raises(grantway.GrantwayError) as caught:
            made.create_token(grant_type="client_credentials")
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert LEAK not in "".join(shown.format()) + repr(made) + repr(made.auth) + caplog.text


def test_a_secret_is_not_in_the_error_about_another_parameter(ask: Ask) -> None:
    with (
        FaultServer(rejects("invalid_grant", error_description=f"unknown {LEAK}")) as server,
        pytest.raises(InvalidGrantException) as caught,
    ):
        ask(client(server), extra={"plain": Vault(LEAK, LEAK)})
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert LEAK not in "".join(shown.format())
    assert "unknown ***" in str(caught.value)


def test_a_client_with_a_source_is_not_pickled() -> None:
    import pickle  # noqa: PLC0415

    made = Client(Provider("https://provider.example/token"), client_id="c", client_secret=Vault())
    with pytest.raises(TypeError, match="it holds a secret; create it in the process that uses"):
        pickle.dumps(made)
