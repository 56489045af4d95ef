"""Grants registered by the application, and reloads during calls."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs

import pytest

import grantway
from grantway._plugins import default_registry as process
from grantway._requests import client as client_module
from grantway._transport.deadline import Deadline
from grantway._transport.http import HttpRequest, HttpResponse
from tests.core.registry.distributions import Site, coupon

PROVIDER = grantway.Provider(token_endpoint="https://login.example.com/token")
TYPE = "urn:example:coupon"
TOKEN = HttpResponse(
    200, {"content-type": "application/json"}, b'{"access_token": "t", "token_type": "Bearer"}'
)


def grant(grant_type: str = TYPE, **more: Any) -> grantway.Grant:
    return grantway.Grant(grant_type=grant_type, schema=grantway.GrantSchema(), **more)


class Transport:
    """A transport that returns a token immediately or when an event is set."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.go = threading.Event()
        self.go.set()
        self.seen: list[str] = []

    def send(self, request: HttpRequest, deadline: Deadline) -> HttpResponse:
        self.seen.append(parse_qs(request.body.decode())["grant_type"][0])
        self.asked.set()
        assert self.go.wait(30)
        return TOKEN

    def close(self) -> None:
        pass


def client(transport: Transport | None = None, **options: Any) -> grantway.Client:
    return grantway.Client(PROVIDER, client_id="me", transport=transport or Transport(), **options)


def test_registers_a_grant_for_one_client() -> None:
    mine = grantway.Grant(grant_type=TYPE, schema=grantway.GrantSchema())
    asking = grantway.Client(PROVIDER, client_id="me", grants=[mine], transport=Transport())
    assert asking.create_token(grant_type=TYPE)
    with pytest.raises(grantway.UnknownGrantTypeError):
        client().create_token(grant_type=TYPE)


def test_registers_a_grant_for_the_process() -> None:
    before = client()
    grantway.register(grantway.Grant(grant_type=TYPE, schema=grantway.GrantSchema()))
    assert client().create_token(grant_type=TYPE)
    assert before.create_token(grant_type=TYPE)
    assert grantway.default_registry().owner(TYPE).owner == "application"


def test_create_token_sends_nothing_for_a_grant_object() -> None:
    transport = Transport()
    not_a_grant_type: Any = grant()
    with pytest.raises(grantway.UnknownGrantTypeError):
        client(transport).create_token(grant_type=not_a_grant_type)
    assert transport.seen == []


def test_a_client_keeps_the_given_registry() -> None:
    own = client(registry=grantway.build_registry(strict=True))
    grantway.register(grant())
    with pytest.raises(grantway.UnknownGrantTypeError):
        own.create_token(grant_type=TYPE)


def test_a_client_with_additional_grants_uses_the_current_registry() -> None:
    asking = client(grants=[grant("urn:example:own")])
    grantway.register(grant())
    assert {TYPE, "urn:example:own", "refresh_token"} <= set(asking.registry.grants)


def test_replacing_a_grant_requires_replaces() -> None:
    grantway.register(grant())
    with pytest.raises(grantway.GrantConflictError, match="application"):
        client(grants=[grant()])
    assert client(grants=[grant(summary="mine", replaces="application")]).registry.grants[TYPE]
    with pytest.raises(grantway.GrantConflictError, match=r"grantway 0\.1\.0 \(refresh_token\)"):
        grantway.register(grant("refresh_token"))
    grantway.register(grant("refresh_token", replaces="grantway", summary="mine"))
    assert grantway.default_registry().grants["refresh_token"].summary == "mine"


def test_unregister_removes_a_grant() -> None:
    grantway.register(grant())
    with pytest.raises(grantway.RegistryError, match="'urn:example:coupon' is registered already"):
        grantway.register(grant())
    grantway.unregister(TYPE)
    assert TYPE not in grantway.default_registry().grants
    with pytest.raises(
        grantway.RegistryError, match=r"registered no 'urn.*; it registered nothing"
    ):
        grantway.unregister(TYPE)


def test_registers_a_plugin_object_for_the_process() -> None:
    calls: list[str] = []

    class Plugin:
        @grantway.hookimpl
        def grantway_register_grants(self) -> list[grantway.Grant]:
            calls.append("grants")
            return [grant()]

        @grantway.hookimpl
        def grantway_observe(self, event: grantway.Event) -> None:
            calls.append(event.kind)

    grantway.register_plugin("mine", Plugin())
    client().create_token(grant_type=TYPE)
    grantway.reload()
    grantway.register(grant("urn:example:other"))
    assert calls == ["grants", "start", "attempt", "end"], "a hook that registers is called once"
    grantway.unregister("mine")
    assert TYPE not in grantway.default_registry().grants


def test_register_accepts_an_issuer_grant() -> None:
    class Side:
        def decide(self, request: Any, transaction: Any) -> Any:
            raise NotImplementedError

    side = Side()
    grantway.register(grant(), issuer=side)
    assert grantway.default_registry().issuer_grants[TYPE] is side


def test_reload_finds_new_plugins_and_drops_removed_ones(site: Site) -> None:
    asking = client()
    grantway.register(grant("urn:example:mine"))
    site.install("acme-coupons", coupon())
    assert TYPE in grantway.reload(strict=True).grants
    assert asking.registry.owner(TYPE).distribution == "acme-coupons"
    site.uninstall("acme-coupons")
    grantway.reload()
    assert TYPE not in asking.registry.grants
    assert "urn:example:mine" in asking.registry.grants


def test_a_reload_that_fails_changes_nothing(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    before = grantway.default_registry()
    site.install("acme-coupons", "import no_such_library")
    with pytest.raises(grantway.PluginLoadError):
        grantway.reload(strict=True)
    assert grantway.default_registry() is before
    grantway.register(grant())
    registered = grantway.default_registry()
    site.install("best-coupons", coupon())
    with pytest.raises(grantway.GrantConflictError):
        grantway.reload()
    assert grantway.default_registry() is registered


def test_a_running_call_keeps_its_registry() -> None:
    transport = Transport()
    transport.go.clear()
    asking = client(transport)
    grantway.register(grant())
    tokens: list[grantway.Token] = []
    call = threading.Thread(target=lambda: tokens.append(asking.create_token(grant_type=TYPE)))
    call.start()
    assert transport.asked.wait(30)
    grantway.unregister(TYPE)
    with pytest.raises(grantway.UnknownGrantTypeError):
        asking.create_token(grant_type=TYPE)
    transport.go.set()
    call.join(30)
    assert len(tokens) == 1


@pytest.mark.slow
def test_calls_succeed_while_grants_are_added_removed_and_reloaded(site: Site) -> None:
    site.install("acme-coupons", coupon("urn:example:installed"))
    asking = client()
    stop = threading.Event()
    done: list[int] = []
    wrong: list[BaseException] = []

    def call() -> None:
        count = 0
        try:
            while not stop.is_set():
                asking.create_token(grant_type="urn:example:installed", coupon="c")
                with suppress(grantway.UnknownGrantTypeError):  # while it is removed
                    asking.create_token(grant_type=TYPE)
                count += 1
        except BaseException as error:  # noqa: BLE001 - a thread's error would be lost
            wrong.append(error)
        done.append(count)

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for _ in range(40):
        grantway.register(grant())
        grantway.reload()
        grantway.unregister(TYPE)
    stop.set()
    for thread in threads:
        thread.join(30)
    assert wrong == []
    assert len(done) == 8
    assert min(done) > 0


class Preempted(grantway.Client):
    """A client that calls ``between`` once, after it has stored an attribute."""

    between: Callable[[], None] | None = None

    def __setattr__(self, name: str, value: object) -> None:
        super().__setattr__(name, value)
        if name != "between" and self.between is not None:
            between, self.between = self.between, None
            between()


def test_a_slow_thread_does_not_restore_an_older_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    asking = Preempted(PROVIDER, client_id="me", transport=Transport())
    has_old, go = threading.Event(), threading.Event()
    slow = threading.Thread(target=lambda: asking.registry)

    def current() -> grantway.Registry:
        registry = grantway.default_registry()
        if threading.current_thread() is slow:
            has_old.set()
            assert go.wait(30)
        return registry

    def let_the_slow_thread_finish() -> None:
        go.set()
        slow.join(30)

    monkeypatch.setattr(client_module, "default_registry", current)
    grantway.register(grant("urn:example:first"))
    slow.start()
    assert has_old.wait(30)
    grantway.register(grant())
    asking.between = let_the_slow_thread_finish
    assert asking.create_token(grant_type=TYPE)
    assert not slow.is_alive()
    assert asking.create_token(grant_type=TYPE)


def test_concurrent_registrations_are_all_kept() -> None:
    before = len(grantway.default_registry().grants)
    barrier = threading.Barrier(8)

    def add(number: int) -> None:
        barrier.wait(30)
        for each in range(10):
            grantway.register(grant(f"urn:example:{number}:{each}"))

    threads = [threading.Thread(target=add, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(grantway.default_registry().grants) == before + 80


def test_concurrent_first_lookups_build_one_registry() -> None:
    barrier = threading.Barrier(8)
    seen: list[grantway.Registry] = []

    def look() -> None:
        barrier.wait(30)
        seen.append(process.default_registry())

    threads = [threading.Thread(target=look) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len({id(each) for each in seen}) == 1
