"""Sessions, users and consents in the database."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from grantway_plugins.issuer._decisions.randomness import digest
from grantway_plugins.issuer._storage.consents import Consent
from grantway_plugins.issuer._storage.sessions import LoginSession
from grantway_plugins.issuer._storage.store import IssuerStore
from grantway_plugins.issuer._storage.users import UserRecord
from tests.plugins.issuer.conftest import Clock
from tests.postgres import PostgresServer

DAY = 86_400.0


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, clock: Clock) -> Iterator[IssuerStore]:
    database = ":memory:"
    if request.param == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres")
        server.sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        database = server.url
    made = IssuerStore(database, clock=clock)
    yield made
    made.close()


def session(name: str, clock: Clock) -> LoginSession:
    return LoginSession(
        digest=digest(name),
        session_id=name,
        subject="ada",
        auth_time=clock(),
        used_at=clock(),
        expires_at=clock() + DAY,
        details={"name": "Ada"},
    )


def test_a_session_is_found_until_it_is_removed(store: IssuerStore, clock: Clock) -> None:
    one = session("one", clock)
    store.run(lambda t: t.sessions.add(one, most=5))
    assert store.run(lambda t: t.sessions.find(one.digest)) == one
    store.run(lambda t: t.sessions.touch(one.digest, clock() + 60))
    store.run(lambda t: t.sessions.set_details(one.digest, {"name": "Ada L."}))
    found = store.run(lambda t: t.sessions.find(one.digest))
    assert found == replace(one, used_at=clock() + 60, details={"name": "Ada L."})
    assert store.run(lambda t: t.sessions.remove(one.digest))
    assert not store.run(lambda t: t.sessions.remove(one.digest))
    assert store.run(lambda t: t.sessions.find(one.digest)) is None


def test_a_user_has_at_most_the_allowed_sessions(store: IssuerStore, clock: Clock) -> None:
    names = ["first", "second", "third"]
    for name in names:
        store.run(lambda t, name=name: t.sessions.add(session(name, clock), most=2))  # type: ignore[misc]
        clock.tick(1)
    found = [store.run(lambda t, name=name: t.sessions.find(digest(name))) for name in names]  # type: ignore[misc]
    assert [each is not None for each in found] == [False, True, True]


def test_a_user_has_the_claims_of_the_last_login(store: IssuerStore, clock: Clock) -> None:
    assert store.run(lambda t: t.users.find("ada")) is None
    for email in ("old@example.com", "new@example.com"):
        user = UserRecord("ada", {"email": email}, clock())
        store.run(lambda t, user=user: t.users.save(user))  # type: ignore[misc]
        assert store.run(lambda t: t.users.find("ada")) == user


def test_consent_covers_what_was_allowed_until_it_expires(store: IssuerStore, clock: Clock) -> None:
    allowed = Consent("ada", "tool", frozenset({"a", "b"}), frozenset({"https://r"}), clock() + 60)
    store.run(lambda t: t.consents.save(replace(allowed, scope=frozenset({"a"}))))
    store.run(lambda t: t.consents.save(allowed))
    found = store.run(lambda t: t.consents.find("ada", "tool"))
    assert found == allowed
    assert found is not None
    assert found.covers(("a",), (), clock())
    assert found.covers(("b", "a"), ("https://r",), clock())
    assert not found.covers(("c",), (), clock())
    assert not found.covers(("a",), ("https://other",), clock())
    assert not found.covers(("a",), (), clock() + 60)
    assert store.run(lambda t: t.consents.find("ada", "other")) is None


def test_expired_sessions_and_consents_are_deleted(store: IssuerStore, clock: Clock) -> None:
    store.run(lambda t: t.sessions.add(session("one", clock), most=5))
    for client in ("tool", "another"):
        consent = Consent("ada", client, frozenset({"a"}), frozenset(), clock() + 60)
        store.run(lambda t, consent=consent: t.consents.save(consent))  # type: ignore[misc]
    clock.tick(61)
    assert store.run(lambda t: t.prune(clock())) == 2
    clock.tick(DAY)
    assert store.run(lambda t: t.prune(clock())) == 1
    assert store.run(lambda t: t.prune(clock())) == 0
