"""Values can be copied and pickled without secrets; other objects raise a clear error."""

from __future__ import annotations

import copy
import dataclasses
import multiprocessing
import pickle
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import requests

from grantway import (
    Client,
    Credential,
    ErrorShape,
    Freshness,
    Grant,
    GrantSchema,
    HttpTransport,
    Provider,
    RequestShape,
    ResponseShape,
    RetryPolicy,
    Token,
)
from grantway._plugins.default_registry import default_registry
from grantway._processes.copies import Value
from grantway._types.fields import Text
from grantway._wire.dialect import RFC6749
from grantway_plugins import profiles
from grantway_plugins.auth import TokenAuth
from grantway_plugins.aws._cache.store import AwsCliStore
from grantway_plugins.stores.file._store import FileStore
from grantway_plugins.stores.memory._store import MemoryStore
from tests import faults
from tests.faults import FaultServer
from tests.waiting import PATIENCE

SECRET = "secret-that-stays-here-0123456789"
PROVIDER = Provider("https://as.example/token", metadata=MappingProxyType({"x": [1]}))


def pickled(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))


WAYS: list[Callable[[Any], Any]] = [copy.copy, copy.deepcopy, pickled]
EVERY_WAY = pytest.mark.parametrize("way", WAYS, ids=["copy", "deepcopy", "pickle"])


@EVERY_WAY
@pytest.mark.parametrize(
    "value",
    [
        PROVIDER,
        Provider("https://as.example/token", dialect="aws-sso-oidc"),
        RequestShape(headers=MappingProxyType({"X-A": "b"})),
        ResponseShape(names=MappingProxyType({"accessToken": "access_token"})),
        ErrorShape(codes=MappingProxyType({"nope": "access_denied"})),
        Token("at", extra=MappingProxyType({"tenant": "7"})),
        Freshness(advisory=5, mandatory=1),
        RetryPolicy(attempts=2),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_can_be_copied_and_pickled(way: Callable[[Any], Any], value: Any) -> None:
    assert way(value) == value
    assert dataclasses.replace(value) == value


@EVERY_WAY
def test_dialects_can_be_copied_and_pickled(way: Callable[[Any], Any]) -> None:
    for dialect in [*default_registry().dialects.values(), RFC6749]:
        again = way(dialect)
        assert again == dialect
        fields = {"grant_type": "refresh_token", "scope": ["a", "b"]}
        assert again.encoder.encode(fields) == dialect.encoder.encode(fields)


@dataclasses.dataclass(frozen=True, slots=True, eq=False, repr=False)
class Lean(Value):
    """A value that inherits its comparison, hash and repr."""

    name: str
    unhashed: list[int] = dataclasses.field(default_factory=list, hash=False)
    hidden: str = dataclasses.field(default="", repr=False)
    ignored: int = dataclasses.field(default=0, compare=False)


class OtherLean(Lean):
    """A value of another class."""


def test_values_inherit_their_comparison_hash_and_repr() -> None:
    value = Lean("a", [1], "h", 1)
    assert value == Lean("a", [1], "h", 2)
    assert hash(value) == hash(Lean("a", [2], "h", 2))
    for other in (Lean("b", [1], "h"), Lean("a", [2], "h"), Lean("a", [1], "other"), "a"):
        assert value != other
    assert value != OtherLean("a", [1], "h", 1)
    assert repr(value) == "Lean(name='a', unhashed=[1], ignored=1)"


def test_a_copy_of_a_provider_shares_no_mutable_state() -> None:
    copy.deepcopy(PROVIDER).metadata["x"].append(2)
    assert PROVIDER.metadata["x"] == [1]


def shared(client: Client, folder: Path) -> list[Any]:
    return [
        client,
        client.credential(grant_type="client_credentials"),
        client.credential_pool(grant_type="client_credentials"),
        HttpTransport(),
        MemoryStore(),
        FileStore(folder),
        AwsCliStore(folder),
        default_registry(),
    ]


@pytest.mark.parametrize("way", [copy.copy, copy.deepcopy])
def test_copying_a_shared_object_returns_the_object(
    way: Callable[[Any], Any], tmp_path: Path
) -> None:
    """Two credentials with one refresh token would use it twice."""
    for each in shared(Client(PROVIDER, client_id="c", client_secret=SECRET), tmp_path):
        assert way(each) is each


def test_a_public_client_can_be_pickled() -> None:
    client = Client(PROVIDER, client_id="c", timeout=7, retry=RetryPolicy(attempts=2))
    again = pickled(client)
    assert (again.provider, again.client_id, again.timeout) == (PROVIDER, "c", 7)
    assert again.auth == client.auth
    with FaultServer(faults.respond()) as server:
        there = pickled(Client(Provider(server.token_endpoint), client_id="c"))
        assert there.create_token(grant_type="client_credentials").access_token == "at-1"
        there.close()


class MoreThanAClient(Client):
    """A subclass with additional state."""


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: Client(PROVIDER, client_id="c", client_secret=SECRET), "holds a client secret"),
        (
            lambda: Client(PROVIDER, client_id="c", transport=HttpTransport()),
            "was given a transport",
        ),
        (
            lambda: Client(PROVIDER, client_id="c", registry=default_registry()),
            "was given a registry",
        ),
        (
            lambda: Client(PROVIDER, client_id="c", middleware=[lambda exchange: (yield exchange)]),
            "its middleware cannot",
        ),
        (lambda: MoreThanAClient(PROVIDER, client_id="c"), "an instance of a subclass"),
        (MemoryStore, "store that processes share"),
        (lambda: HttpTransport(proxies={"https": f"http://u:{SECRET}@p"}), "connections"),
        (default_registry, "loaded plugins"),
        (
            lambda: Client(PROVIDER, client_id="c").credential_pool(
                grant_type="client_credentials"
            ),
            "tokens of this process",
        ),
    ],
)
def test_pickling_other_objects_raises_with_the_reason(make: Callable[[], Any], why: str) -> None:
    with pytest.raises(TypeError, match=why) as refused:
        pickle.dumps(make())
    assert SECRET not in str(refused.value)


def test_pickling_a_credential_without_a_store_raises_with_the_reason(tmp_path: Path) -> None:
    public = Client(PROVIDER, client_id="c")
    store = FileStore(tmp_path)
    for credential, why in [
        (public.credential(grant_type="client_credentials"), "in this process alone"),
        (
            public.credential(grant_type="client_credentials", store=MemoryStore()),
            "its store cannot: A MemoryStore",
        ),
        (
            public.credential(grant_type="refresh_token", refresh_token=SECRET, store=store),
            r"secrets \(refresh_token\)",
        ),
        (
            public.credential(
                grant_type="client_credentials", extra={"api_key": SECRET}, store=store
            ),
            r"secrets \(api_key\)",
        ),
        (
            public.credential(
                grant_type="client_credentials", store=store, on_token=lambda _token: None
            ),
            "its on_token cannot",
        ),
        (
            Client(PROVIDER, client_id="c", client_secret=SECRET).credential(
                grant_type="client_credentials", store=store
            ),
            "its client cannot: A Client cannot be pickled: it holds a client secret",
        ),
    ]:
        with pytest.raises(TypeError, match=why) as refused:
            pickle.dumps(credential)
        assert SECRET not in str(refused.value)


def the_token(credential: Credential) -> str:
    return credential.token().access_token


def test_a_spawned_process_finds_the_token_in_the_store(tmp_path: Path) -> None:
    with FaultServer() as server:
        client = Client(Provider(server.token_endpoint), client_id="c")
        credential = client.credential(
            grant_type="client_credentials", scope=["a"], subject="s", store=FileStore(tmp_path)
        )
        credential.accept(Token(SECRET, expires_in=3600))
        assert SECRET.encode() not in pickle.dumps(credential)
        assert pickled(credential).key == credential.key
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            assert pool.submit(the_token, credential).result(PATIENCE) == SECRET
        assert server.requests == []


@EVERY_WAY
def test_a_session_with_our_auth_can_be_copied(way: Callable[[Any], Any], tmp_path: Path) -> None:
    client = Client(PROVIDER, client_id="c")
    credential = client.credential(grant_type="client_credentials", store=FileStore(tmp_path))
    credential.accept(Token(SECRET, expires_in=3600))
    session = requests.Session()
    session.auth = TokenAuth(credential, origins=["https://api.example"])
    again = way(session)
    assert again.auth._credential.token().access_token == SECRET


def test_a_profile_cannot_be_put_into_a_queue(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(
        '[profiles.work]\nprovider = "https://as.example"\nclient_id = "c"\n'
        f'client_secret = "{SECRET}"\n',
        encoding="utf-8",
    )
    with (
        profiles.load("work", file) as profile,
        pytest.raises(TypeError, match="send its name") as refused,
    ):
        pickle.dumps(profile)
    assert SECRET not in str(refused.value)


class Coupon(GrantSchema):
    """A grant whose secret has another name on the wire."""

    voucher = Text(required=True, data_key="voucher-number", example="'V-1'")


def test_does_not_pickle_a_secret_with_another_wire_name(tmp_path: Path) -> None:
    grant = Grant("urn:example:coupon", Coupon(), secret=frozenset({"voucher-number"}))
    client = Client(PROVIDER, client_id="c", grants=[grant])
    for name in ("voucher-number", "voucher"):
        credential = client.credential(
            grant_type=grant.grant_type, store=FileStore(tmp_path), **{name: SECRET}
        )
        with pytest.raises(TypeError, match="secrets") as refused:
            pickle.dumps(credential)
        assert SECRET not in str(refused.value)
