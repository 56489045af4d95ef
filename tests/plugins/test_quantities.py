"""Durations and counts of the plugins are checked, and errors name the argument."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from grantway import Client, Provider
from grantway._exceptions import ConfigurationError
from grantway_plugins.auth import TokenAuth
from grantway_plugins.aws import BotocoreTokenProvider, client as aws_client
from grantway_plugins.client_auth import ClientSecretJwt
from grantway_plugins.gateway import Broker, TokenEndpoint
from grantway_plugins.gateway._metrics import GatewayMetrics
from grantway_plugins.gateway._protection import BreakerRules, BulkheadRules
from grantway_plugins.gateway.upstream import (
    AsgiUpstreamAuth,
    HttpxUpstreamAuth,
    RequestsUpstreamAuth,
    Route,
    UpstreamAuth,
    WsgiUpstreamAuth,
    from_path,
    single,
)
from grantway_plugins.grants.ciba import CibaFlow
from grantway_plugins.issuer import IssuerServer, Lifetimes
from grantway_plugins.issuer._decisions.operator_clients import rotate_secret
from grantway_plugins.registration import registered_client
from grantway_plugins.stores.keyring._store import KeyRingStore
from grantway_plugins.stores.memory._store import MemoryStore
from grantway_plugins.stores.redis._store import RedisStore
from grantway_plugins.stores.sql._store import SqlStore

WRONG = [True, math.inf, math.nan, -1, "300", [300]]
CLIENT = Client(
    Provider(
        "https://login.example.com/token",
        metadata={"backchannel_authentication_endpoint": "https://login.example.com/bc"},
    ),
    client_id="me",
    client_secret="s" * 32,
)
UPSTREAM = UpstreamAuth([])


def credential(_tenant: str = "") -> Any:
    return CLIENT.credential(grant_type="refresh_token", refresh_token="r")


def route(**options: Any) -> Route:
    return Route(
        name="orders",
        host="api.example.com",
        provider="login",
        credential=credential,
        tenant=single(),
        on_failure="closed",
        **options,
    )


def sql(**options: Any) -> SqlStore:
    return SqlStore("sqlite:////tmp/never-opened.db", **options)


def fields(rules: type[Any], kind: str) -> list[tuple[Callable[..., object], str]]:
    return [(rules, each.name) for each in dataclasses.fields(rules) if each.type == kind]


DURATIONS: list[tuple[Callable[..., object], str]] = [
    *fields(BreakerRules, "float"),
    *fields(BulkheadRules, "float"),
    *fields(Lifetimes, "float"),
    (route, "timeout"),
    (lambda **options: rotate_secret(None, "me", **options), "overlap"),  # type: ignore[arg-type]
    (lambda **options: Broker(CLIENT, keys=bytes(32), **options), "timeout"),
    (lambda **options: TokenEndpoint(Broker(CLIENT, keys=bytes(32)), **options), "body_seconds"),
    (lambda **options: aws_client("eu-west-1", **options), "timeout"),
    (
        lambda **options: registered_client(
            CLIENT.provider, client_name="me", store=MemoryStore(), transport=None, **options
        ),
        "timeout",
    ),
    (RedisStore, "timeout"),
    (RedisStore, "lease"),
    (RedisStore, "keep_for"),
    (sql, "timeout"),
    (sql, "lease"),
    (sql, "keep_for"),
]
WAITS: list[Callable[..., object]] = [
    lambda **options: TokenAuth(credential(), **options),
    lambda **options: BotocoreTokenProvider(credential(), **options),
    lambda **options: RequestsUpstreamAuth(UPSTREAM, **options),
    lambda **options: HttpxUpstreamAuth(UPSTREAM, **options),
]
COUNTS: list[tuple[Callable[..., object], str]] = [
    *fields(BreakerRules, "int"),
    *fields(BulkheadRules, "int"),
    (lambda **options: Broker(CLIENT, keys=bytes(32), **options), "threads"),
    (lambda **options: Broker(CLIENT, keys=bytes(32), **options), "waiting"),
    (lambda **options: GatewayMetrics(CollectorRegistry(), **options), "most_values"),
    (lambda **options: AsgiUpstreamAuth(None, UPSTREAM, **options), "replay"),  # type: ignore[arg-type]
    (lambda **options: WsgiUpstreamAuth(None, UPSTREAM, **options), "replay"),  # type: ignore[arg-type]
    (lambda **options: ClientSecretJwt("me", "s" * 32, **options), "lifetime"),
    (
        lambda **options: CibaFlow(CLIENT).start(login_hint="x", **options),
        "requested_expiry",
    ),
    (from_path, "segment"),
    (MemoryStore, "entries"),
    (RedisStore, "connections"),
    (RedisStore, "replicas"),
    (sql, "connections"),
    (KeyRingStore, "longest"),
    (lambda **options: IssuerServer(database=":memory:", **options), "port"),
]


def assert_rejected(make: Callable[..., object], name: str, value: object) -> None:
    with pytest.raises(ConfigurationError) as caught:
        make(**{name: value})
    assert list(caught.value.errors) == [name]
    assert name in str(caught.value)


@pytest.mark.parametrize("value", WRONG, ids=repr)
@pytest.mark.parametrize(("make", "name"), DURATIONS)
def test_a_duration_is_a_finite_number_of_seconds(
    make: Callable[..., object], name: str, value: object
) -> None:
    assert_rejected(make, name, value)


@pytest.mark.parametrize("value", [True, math.nan, -1, "300", [300]], ids=repr)
@pytest.mark.parametrize("make", WAITS)
def test_a_wait_for_a_token_may_be_unlimited(make: Callable[..., object], value: object) -> None:
    make(timeout=math.inf)
    make(timeout=0)
    assert_rejected(make, "timeout", value)


@pytest.mark.parametrize("value", [*WRONG, 1.5, 2.0, Decimal(3), 10**30], ids=repr)
@pytest.mark.parametrize(("make", "name"), COUNTS)
def test_a_count_is_a_whole_number(make: Callable[..., object], name: str, value: object) -> None:
    assert_rejected(make, name, value)


@pytest.mark.parametrize("value", ["true", "inf", "nan", "-1", "0", '"300"'])
def test_a_profile_checks_its_timeout_like_an_argument(tmp_path: Path, value: str) -> None:
    from grantway_plugins.profiles import load  # noqa: PLC0415

    file = tmp_path / "config.toml"
    file.write_text(f'[profiles.work]\nprovider = "https://login.example.com"\ntimeout = {value}\n')
    with pytest.raises(ConfigurationError, match=r"timeout must be a number of seconds"):
        load("work", file)
