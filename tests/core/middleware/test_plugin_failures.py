"""A plugin that fails after the provider has issued a token does not lose that token."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from grantway import (
    Client,
    Grant,
    GrantSchema,
    GrantwayError,
    InvalidGrantException,
    PluginError,
    Provider,
    Registry,
    ResponseInvalidError,
    StoreSaveError,
    Text,
    Token,
    TokenError,
    build_registry,
    hookimpl,
)
from grantway._types.plugin_status import PluginStatus
from grantway._wire.provider_response import ProviderResponse
from grantway_grants.refresh_token import RefreshTokenSchema
from grantway_plugins.stores.memory._store import MemoryStore
from tests import faults
from tests.core.credential.doubles import FaultyStore
from tests.core.credential.scenes import issue, reject
from tests.faults import FaultServer, Stage

REFRESH: dict[str, Any] = {"grant_type": "refresh_token", "refresh_token": "rt-0"}


class Panic(BaseException):
    """An exception like those of Rust extensions."""


def rotating(stage: Stage) -> bool:
    """Accept each refresh token once, in order, starting with ``rt-0``."""
    request = stage.read_request()
    if request is None:
        return False
    number = len(stage.server.requests)
    if request.form["refresh_token"] == [f"rt-{number - 1}"]:
        body = {**faults.TOKEN, "access_token": f"at-{number}", "refresh_token": f"rt-{number}"}
        stage.send(faults.message(200, json.dumps(body).encode()))
    else:
        stage.send(faults.message(400, b'{"error": "invalid_grant"}'))
    return True


def audit(fail: Callable[[], Any]) -> Any:
    """Return a plugin whose middleware fails once after the response."""
    failures = [fail]

    class Audit:
        @hookimpl
        def grantway_register_middleware(self) -> list[Any]:
            def check(exchange: Any) -> Any:
                response = yield exchange
                return failures.pop()() if failures else response

            return [check]

    return Audit()


def registry_of(plugin: object) -> Registry:
    """Return a registry with a plugin of a distribution."""
    registry = build_registry({"audit": plugin}, only=["grantway"])
    brought = next(each for each in registry.origins.exports if each.status.name == "audit")
    status = PluginStatus("audit", "acme-audit", "1.2")
    others = [each for each in registry.origins.exports if each is not brought]
    bare = build_registry(only=["grantway"])
    assert len(others) == len(bare.origins.exports)
    return bare.with_exports([replace(brought, status=status)])


def raising(error: BaseException) -> Callable[[], Any]:
    def fail() -> Any:
        raise error

    return fail


FAILURES: dict[str, tuple[Callable[[], Any], type[BaseException] | None, str]] = {
    "KeyError": (raising(KeyError("tenant")), KeyError, "raised KeyError"),
    "SystemExit": (raising(SystemExit(1)), SystemExit, "raised SystemExit"),
    "panic": (raising(Panic()), Panic, "raised Panic"),
    "no response": (lambda: None, None, "returned None"),
    "no token": (
        lambda: ProviderResponse(200, {}),
        None,
        "returned a ProviderResponse without a token",
    ),
}


@pytest.mark.parametrize(("fail", "cause", "said"), FAILURES.values(), ids=FAILURES)
@pytest.mark.parametrize("with_store", [True, False])
def test_a_credential_keeps_the_token_if_a_plugin_fails(
    fail: Callable[[], Any], cause: Any, said: str, with_store: bool
) -> None:
    store = MemoryStore() if with_store else None
    notified: list[str] = []
    with FaultServer(rotating) as server:
        client = Client(
            Provider(server.token_endpoint), client_id="c", registry=registry_of(audit(fail))
        )
        credential = client.credential(
            **REFRESH, store=store, on_token=lambda token: notified.append(token.access_token)
        )
        with pytest.raises(PluginError, match=said) as caught:
            credential.token()
        error = caught.value
        assert "check (audit of acme-audit 1.2)" in str(error)
        assert type(error.__cause__) is (cause or type(None))
        assert "rt-1" not in repr(error) + str(error)
        if store is not None:
            stored = store.load(credential.key)
            assert stored is not None
            assert (stored.access_token, stored.refresh_token) == ("at-1", "rt-1")
        assert notified == []
        # The next call completes the refresh without another request.
        assert credential.token().refresh_token == "rt-1"
        assert notified == ["at-1"]
        credential.invalidate(credential.token())
        assert credential.token().refresh_token == "rt-2"
        client.close()


def test_the_error_of_a_direct_call_contains_the_token() -> None:
    registry = registry_of(audit(raising(KeyError("tenant"))))
    with FaultServer(issue(refresh_token=None)) as server:
        client = Client(Provider(server.token_endpoint), client_id="c", registry=registry)
        with client, pytest.raises(PluginError) as caught:
            client.create_token(**REFRESH)
    # The grant keeps the refresh token if the response omits it.
    for error in (caught.value, pickle.loads(pickle.dumps(caught.value))):
        assert error.token is not None
        assert (error.token.access_token, error.token.refresh_token) == ("at-1", "rt-0")


def test_names_the_middleware_of_a_client() -> None:
    def metrics(exchange: Any) -> Any:
        yield exchange
        raise KeyError("tenant")

    with FaultServer(issue()) as server:
        client = Client(Provider(server.token_endpoint), client_id="c", middleware=[metrics])
        with client, pytest.raises(PluginError, match=r"metrics \(application\) raised"):
            client.create_token(**REFRESH)


def test_an_error_before_the_token_propagates_unchanged() -> None:
    def broken(exchange: Any) -> Any:
        yield from ()
        raise KeyError("tenant")

    with FaultServer(issue()) as server:
        client = Client(Provider(server.token_endpoint), client_id="c", middleware=[broken])
        with client, pytest.raises(KeyError):
            client.create_token(**REFRESH)
        assert server.requests == []


def test_names_the_innermost_middleware_that_failed() -> None:
    seen: list[type[BaseException]] = []

    def outer(exchange: Any) -> Any:
        try:
            return (yield exchange)
        except BaseException as error:
            seen.append(type(error))
            raise

    def inner(exchange: Any) -> Any:
        yield exchange
        raise Panic

    with FaultServer(issue()) as server:
        client = Client(Provider(server.token_endpoint), client_id="c", middleware=[outer, inner])
        with client, pytest.raises(PluginError, match="inner"):
            client.create_token(**REFRESH)
    assert seen == [PluginError]


@pytest.mark.parametrize("refusal", [ResponseInvalidError("no"), InvalidGrantException("no")])
def test_middleware_may_reject_a_token_without_losing_the_login(refusal: GrantwayError) -> None:
    """The error keeps its class, so programs can catch it."""
    store = MemoryStore()
    with FaultServer(rotating) as server:
        client = Client(
            Provider(server.token_endpoint),
            client_id="c",
            registry=registry_of(audit(raising(refusal))),
        )
        credential = client.credential(**REFRESH, store=store)
        with client, pytest.raises(type(refusal)) as caught:
            credential.token()
    assert "audit of acme-audit 1.2" in caught.value.__notes__[0]
    assert caught.value.token == store.load(credential.key)
    assert caught.value.token is not None
    assert caught.value.token.refresh_token == "rt-1"
    assert len(server.requests) == 1


def test_middleware_cannot_drop_a_new_refresh_token() -> None:
    def narrow(exchange: Any) -> Any:
        response = yield exchange
        response.token = Token(response.token.access_token)
        return response

    with FaultServer(issue()) as server:
        client = Client(Provider(server.token_endpoint), client_id="c", middleware=[narrow])
        with client:
            assert client.create_token(**REFRESH).refresh_token == "rt-1"


@pytest.mark.parametrize("kinds", [("attempt",), ("end",), ("start", "attempt", "end")])
@pytest.mark.parametrize("error", [KeyError("tenant"), SystemExit(1), Panic()], ids=repr)
def test_ignores_exceptions_of_observers(
    kinds: tuple[str, ...], error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    class Watch:
        @hookimpl
        def grantway_observe(self, event: Any) -> None:
            if event.kind in kinds:
                raise error

    registry = build_registry({"watch": Watch()}, only=["grantway"])
    with FaultServer(rotating) as server:
        client = Client(Provider(server.token_endpoint), client_id="c", registry=registry)
        with client:
            credential = client.credential(**REFRESH, store=MemoryStore())
            assert credential.token().refresh_token == "rt-1"
    assert f"application/watch raised {type(error).__name__}" in caplog.text


@pytest.mark.parametrize("where", ["middleware", "observer", "process_token"])
def test_an_interrupt_propagates_after_the_token_is_stored(where: str) -> None:
    def interrupted(*_arguments: Any) -> Any:
        raise KeyboardInterrupt

    class Plugin:
        @hookimpl
        def grantway_register_middleware(self) -> list[Any]:
            def check(exchange: Any) -> Any:
                response = yield exchange
                return interrupted() if where == "middleware" else response

            return [check]

        @hookimpl
        def grantway_observe(self, event: Any) -> None:
            if where == "observer" and event.kind == "end":
                interrupted()

    registry = build_registry(
        {"p": Plugin(), **broken_process_token(where, interrupted)}, only=["grantway"]
    )
    store = MemoryStore()
    with FaultServer(rotating) as server:
        client = Client(Provider(server.token_endpoint), client_id="c", registry=registry)
        credential = client.credential(**REFRESH, store=store)
        with client, pytest.raises(KeyboardInterrupt):
            credential.token()
    stored = store.load(credential.key)
    assert stored is not None
    assert stored.refresh_token == "rt-1"


def broken_process_token(where: str, process_token: Callable[..., Any]) -> dict[str, Any]:
    """Return a failing refresh token grant, if ``where`` selects it."""
    return {"grants": broken_grant(process_token)} if where == "process_token" else {}


def broken_grant(process_token: Callable[..., Any]) -> Grant:
    class Broken(Grant):
        pass

    Broken.process_token = lambda _self, params, token: process_token(params, token)  # type: ignore[method-assign]
    return Broken("refresh_token", RefreshTokenSchema(), replaces="grantway")


@pytest.mark.parametrize(
    ("process_token", "said"),
    [
        (lambda params, token: {}["tenant"], "raised KeyError"),
        (lambda params, token: None, "returned None"),
    ],
)
def test_names_the_grant_whose_process_token_fails(
    process_token: Callable[..., Any], said: str
) -> None:
    registry = build_registry({"broken": broken_grant(process_token)}, only=["grantway"])
    store = MemoryStore()
    # The provider does not rotate refresh tokens, so the one that was sent must be kept.
    with FaultServer(issue(refresh_token=None)) as server:
        client = Client(Provider(server.token_endpoint), client_id="c", registry=registry)
        credential = client.credential(**REFRESH, key="k", store=store)
        store.save("k", Token("at-0", expires_at=1.0, refresh_token="rt-0"))
        with client, pytest.raises(PluginError, match=said) as caught:
            credential.token()
    assert "grant refresh_token (plugin broken of application)" in str(caught.value)
    stored = store.load("k")
    assert stored is not None
    assert (stored.access_token, stored.refresh_token) == ("at-1", "rt-0")


def test_names_client_authentication_that_fails_after_the_response() -> None:
    class Proof:
        client_id = "c"

        def authenticate(self, request: Any) -> None:
            request.learn = lambda response: {}["nonce"]

        def secrets(self) -> tuple[str, ...]:
            return ()

    store = MemoryStore()
    with FaultServer(rotating) as server:
        client = Client(Provider(server.token_endpoint), client_id="c", auth=Proof())
        credential = client.credential(**REFRESH, store=store)
        with client, pytest.raises(PluginError, match="Proof raised KeyError"):
            credential.token()
    stored = store.load(credential.key)
    assert stored is not None
    assert stored.refresh_token == "rt-1"


def test_keeps_the_login_if_a_plugin_and_a_store_fail_together() -> None:
    store = FaultyStore()
    registry = registry_of(audit(raising(KeyError("tenant"))))
    with FaultServer(rotating) as server:
        client = Client(Provider(server.token_endpoint), client_id="c", registry=registry)
        credential = client.credential(**REFRESH, store=store)
        store.full = True
        with client, pytest.raises(StoreSaveError) as caught:
            credential.token()
        assert isinstance(caught.value.__cause__.__context__, PluginError)  # type: ignore[union-attr]
        assert credential.holds_the_only_copy()
        store.full = False
        assert credential.token().refresh_token == "rt-1"
        assert len(server.requests) == 1


def test_does_not_send_a_used_code_again() -> None:
    class CouponSchema(GrantSchema):
        """One code."""

        coupon = Text(required=True, example='"SPRING"')

    grant = Grant("urn:coupon", CouponSchema(), single_use=frozenset({"coupon"}))
    broken = [True]

    def check(exchange: Any) -> Any:
        response = yield exchange
        if broken.pop() if broken else False:
            raise KeyError("tenant")
        return response

    with FaultServer(issue(refresh_token=None), reject()) as server:
        client = Client(
            Provider(server.token_endpoint), client_id="c", grants=[grant], middleware=[check]
        )
        credential = client.credential(grant_type="urn:coupon", coupon="SPRING")
        with client, pytest.raises(PluginError):
            credential.token()
        assert credential.token().access_token == "at-1"
        assert len(server.requests) == 1


def test_checks_the_response_of_another_endpoint() -> None:
    with FaultServer(faults.respond(200, {"device_code": "d"})) as server:
        provider = Provider(
            server.token_endpoint, device_authorization_endpoint=server.token_endpoint
        )
        client = Client(provider, client_id="c", registry=registry_of(audit(SimpleNamespace)))
        with client, pytest.raises(PluginError, match="SimpleNamespace") as caught:
            client.call("device_authorization")
    assert caught.value.token is None


def test_a_reused_error_does_not_contain_the_token_of_another_call() -> None:
    """Middleware may raise the same error repeatedly, as a circuit breaker does."""
    refused = GrantwayError("Refused by policy.")

    def policy(exchange: Any) -> ProviderResponse:
        if exchange.params["refresh_token"] == "rt-0":
            yield exchange
        raise refused

    store = MemoryStore()
    with FaultServer(rotating) as server:
        client = Client(Provider(server.token_endpoint), client_id="c", middleware=[policy])
        with client:
            for tenant in ("rt-0", "rt-b"):
                store.save(tenant, Token("old", expires_at=1.0, refresh_token=tenant))
                credential = client.credential(
                    grant_type="refresh_token", refresh_token=tenant, key=tenant, store=store
                )
                with pytest.raises(GrantwayError, match="policy"):
                    credential.token()
    kept = {tenant: store.load(tenant) for tenant in ("rt-0", "rt-b")}
    assert {tenant: token and token.refresh_token for tenant, token in kept.items()} == {
        "rt-0": "rt-1",
        "rt-b": "rt-b",
    }
    assert refused.token is None


def test_names_an_error_class_that_panics() -> None:
    class FussyError(TokenError):
        def __init__(self, message: str, **options: Any) -> None:
            super().__init__(message, **options)
            if self.members:
                raise Panic("rust")

    class Errors:
        @hookimpl
        def grantway_register_errors(self) -> dict[str, type[TokenError]]:
            return {"fussy": FussyError}

    registry = build_registry({"fussy": Errors()}, only=["grantway"])
    with FaultServer(faults.respond(400, {"error": "fussy"})) as server:
        client = Client(Provider(server.token_endpoint), client_id="c", registry=registry)
        with client, pytest.raises(PluginError, match="FussyError, raised Panic"):
            client.create_token(**REFRESH)


def test_a_token_is_not_lost_in_a_copy_of_the_exchange() -> None:
    def audit_copy(exchange: Any) -> ProviderResponse:
        yield replace(exchange)
        raise KeyError("tenant")

    with FaultServer(rotating) as server:
        client = Client(Provider(server.token_endpoint), client_id="c", middleware=[audit_copy])
        with client, pytest.raises(PluginError, match="audit_copy") as raised:
            client.create_token(**REFRESH)
    assert raised.value.token is not None
    assert raised.value.token.refresh_token == "rt-1"


class Learning:
    """Client authentication that always requests another send."""

    client_id = "c"

    def __init__(self, learn: Callable[[ProviderResponse], Any]) -> None:
        self.learn = learn

    def authenticate(self, request: Any) -> None:
        request.learn = self.learn

    def secrets(self) -> tuple[str, ...]:
        return ()


def test_client_authentication_cannot_repeat_a_request_after_a_token() -> None:
    with FaultServer(rotating) as server:
        proof = Learning(lambda response: True)
        with Client(Provider(server.token_endpoint), client_id="c", auth=proof) as client:
            assert client.create_token(**REFRESH).refresh_token == "rt-1"
        assert len(server.requests) == 1


def test_names_client_authentication_with_an_asynchronous_learn() -> None:
    async def learn(response: ProviderResponse) -> bool:
        return True

    with FaultServer(rotating) as server:
        proof = Learning(lambda response: learn(response))  # noqa: PLW0108 - hides that it is async
        with (
            Client(Provider(server.token_endpoint), client_id="c", auth=proof) as client,
            pytest.raises(PluginError, match="has an asynchronous learn") as raised,
        ):
            client.create_token(**REFRESH)
        assert len(server.requests) == 1
    assert raised.value.token is not None
