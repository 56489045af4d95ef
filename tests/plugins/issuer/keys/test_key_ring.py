"""The life of signing keys: generated, published, used, rotated, retired and deleted."""

from __future__ import annotations

import base64
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from joserfc.jws import extract_compact
from sqlalchemy import text

from grantway._exceptions import ConfigurationError
from grantway_plugins.issuer import IssuerServer, IssuerSettings, KeySettings
from grantway_plugins.issuer._keys.database_ring import DatabaseRing
from grantway_plugins.issuer._keys.opening import database_ring
from grantway_plugins.issuer._storage.store import IssuerStore
from grantway_plugins.stores import generate_key
from tests.plugins.issuer.conftest import Clock
from tests.postgres import PostgresServer

DAY = 86_400.0
HOUR = 3600.0
OTHER_KEY = base64.b64encode(bytes(32))


class Replica:
    """An issuer's store and key ring."""

    def __init__(self, database: Path | str, clock: Clock, **settings: Any) -> None:
        self.clock = clock
        self.store = IssuerStore(database, clock=clock)
        self.settings = IssuerSettings(keys=KeySettings(**settings))
        try:
            ring = database_ring(self.settings, self.store)
        except BaseException:
            self.store.close()
            raise
        assert isinstance(ring, DatabaseRing)
        self.ring = ring

    def sign(self, alg: str | None = None) -> str:
        return self.store.run(lambda tx: self.ring.sign({"n": 1}, tx, self.clock(), alg=alg))

    def verifies(self, token: str) -> bool:
        found = self.store.run(lambda tx: self.ring.verified(token, tx, self.clock(), typ="JWT"))
        return found is not None

    def published(self) -> list[str]:
        keys = self.store.run(lambda tx: self.ring.published(tx, self.clock()))
        return [each.kid for each in keys]

    def stored(self) -> int:
        return len(self.store.run(lambda tx: tx.signing_keys.live(0.0)))


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "issuer.sqlite3"


@pytest.fixture
def replica(database: Path, clock: Clock) -> Iterator[Replica]:
    made = Replica(database, clock, algorithms=("ES256",))
    yield made
    made.store.close()


@pytest.fixture
def other(database: Path, clock: Clock, replica: Replica) -> Iterator[Replica]:
    """A second issuer on the same database."""
    made = Replica(database, clock, algorithms=("ES256",))
    yield made
    made.store.close()


def _header(token: str) -> dict[str, Any]:
    return dict(extract_compact(token.encode()).headers())


def test_nothing_is_generated_before_it_is_needed(database: Path, clock: Clock) -> None:
    with IssuerServer(database=database, clock=clock) as server:
        assert not server.store.run(lambda tx: tx.signing_keys.live(0.0))
        assert not database.with_name("issuer.sqlite3.key").exists()
        first = requests.get(f"{server.url}/jwks", timeout=10)
        assert first.headers["cache-control"] == "public, max-age=300"
        keys = first.json()["keys"]
        assert [(each["kty"], each["alg"]) for each in keys] == [("EC", "ES256"), ("OKP", "EdDSA")]
        assert all(not set(each) & {"d", "p", "q", "k"} for each in keys)
        assert requests.post(f"{server.url}/jwks", timeout=10).status_code == 405


@pytest.mark.parametrize("alg", ["ES256", "ES384", "EdDSA", "RS256", "PS256"])
def test_signs_with_each_algorithm(database: Path, clock: Clock, alg: str) -> None:
    made = Replica(database, clock, algorithms=("ES256", alg) if alg != "ES256" else ("ES256",))
    try:
        token = made.sign(alg)
        assert _header(token)["alg"] == alg
        assert made.verifies(token)
        assert not made.verifies(token[:-8] + "AAAAAAAA")
    finally:
        made.store.close()


def test_a_key_is_published_before_it_signs_and_until_its_tokens_expire(
    replica: Replica, clock: Clock
) -> None:
    first = replica.sign()
    clock.tick(89 * DAY - 10)
    assert replica.published() == [_header(first)["kid"]]
    clock.tick(10)
    pending, _ = replica.published()
    assert pending != _header(first)["kid"]
    last = replica.sign()
    assert _header(last)["kid"] == _header(first)["kid"]
    clock.tick(DAY)
    second = replica.sign()
    assert _header(second)["kid"] == pending
    clock.tick(HOUR)  # the lifetime of an access token
    assert replica.verifies(last)
    clock.tick(400)
    assert not replica.verifies(last)
    assert replica.published() == [pending]
    replica.store.run(lambda tx: tx.prune(clock()))
    assert replica.stored() == 1


def test_an_idle_issuer_publishes_the_next_key_first(replica: Replica, clock: Clock) -> None:
    first = replica.sign()
    clock.tick(900 * DAY)
    assert _header(replica.sign())["kid"] == _header(first)["kid"]
    assert len(replica.published()) == 2
    clock.tick(DAY)
    assert _header(replica.sign())["kid"] != _header(first)["kid"]


def test_rotates_on_request(replica: Replica, other: Replica, clock: Clock) -> None:
    first = replica.sign()
    assert other.store.run(lambda tx: tx.signing_keys.rotate(clock())) == 1
    clock.tick(6)
    assert len(replica.published()) == 2
    assert other.store.run(lambda tx: tx.signing_keys.rotate(clock())) == 0  # it has begun
    clock.tick(DAY)
    assert _header(replica.sign())["kid"] != _header(first)["kid"]
    assert replica.verifies(first)


def test_a_removed_key_is_replaced_at_once(replica: Replica, other: Replica, clock: Clock) -> None:
    stolen = replica.sign()
    assert other.store.run(lambda tx: tx.signing_keys.remove(_header(stolen)["kid"]))
    clock.tick(6)
    fresh = replica.sign()
    assert _header(fresh)["kid"] != _header(stolen)["kid"]
    assert not replica.verifies(stolen)
    assert other.verifies(fresh)


def test_issuers_on_one_database_agree(replica: Replica, other: Replica, clock: Clock) -> None:
    token = replica.sign()
    assert other.verifies(token)
    assert _header(other.sign()) == _header(token)
    clock.tick(89 * DAY)
    assert replica.published() == other.published()
    replica.store.run(lambda tx: tx.signing_keys.remove(_header(token)["kid"]))
    clock.tick(1)  # less than the interval of reading
    assert other.verifies(replica.sign())


def test_issuers_on_postgresql_agree(postgres: PostgresServer, clock: Clock) -> None:
    postgres.sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    key = generate_key()
    replicas = [Replica(postgres.url, clock, encryption_keys=(key,)) for _ in range(2)]
    try:
        tokens = [each.sign() for each in replicas]
        assert _header(tokens[0]) == _header(tokens[1])
        clock.tick(89 * DAY)
        assert replicas[0].published() == replicas[1].published()
        assert len(replicas[0].published()) == 4
    finally:
        for each in replicas:
            each.store.close()


def test_a_key_of_a_rolled_back_transaction_is_not_used_again(replica: Replica) -> None:
    def failing(transaction: Any) -> None:
        replica.ring.sign({}, transaction, replica.clock())
        replica.ring.sign({}, transaction, replica.clock())
        raise RuntimeError

    with pytest.raises(RuntimeError):
        replica.store.run(failing)
    assert replica.stored() == 0
    token = replica.sign()
    assert replica.published() == [_header(token)["kid"]]
    assert replica.stored() == 1


def test_a_slow_clock_can_sign_with_the_first_key(replica: Replica, database: Path) -> None:
    token = replica.sign()
    slow = Clock()
    slow.tick(-2)
    late = Replica(database, slow, algorithms=("ES256",))
    try:
        assert _header(late.sign()) == _header(token)
    finally:
        late.store.close()


def test_a_removed_algorithm_is_retired(database: Path, clock: Clock) -> None:
    both = Replica(database, clock, algorithms=("ES256", "EdDSA"))
    token = both.sign("EdDSA")
    both.store.close()
    one = Replica(database, clock, algorithms=("ES256",))
    try:
        assert one.verifies(token)
        clock.tick(89 * DAY)
        one.sign()
        clock.tick(2 * DAY)
        assert not one.verifies(token)
    finally:
        one.store.close()


# --- encryption ---


def test_the_keys_are_encrypted_with_a_file_that_only_this_user_can_read(
    replica: Replica, database: Path
) -> None:
    replica.sign()
    file = database.with_name("issuer.sqlite3.key")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    (row,) = replica.store.run(lambda tx: tx.signing_keys.live(0.0))
    assert row.key.startswith(b"gwk1.")
    assert b'"d"' not in row.key


def test_encryption_keys_are_rotated(database: Path, clock: Clock) -> None:
    old, new = generate_key(), generate_key()

    def signed(*keys: str) -> str:
        made = Replica(database, clock, encryption_keys=keys)
        try:
            return made.sign()
        finally:
            made.store.close()

    assert _header(signed(old)) == _header(signed(new, old))
    with pytest.raises(ConfigurationError, match=r"is encrypted with key [0-9a-f]{16}, and") as no:
        signed(new)
    assert "add the other key" in str(no.value)
    assert new not in str(no.value)


def corrupt(database: Path, sql: str) -> None:
    store = IssuerStore(database)
    with store._engine.begin() as connection:
        connection.execute(text(sql))
    store.close()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("key = substr(key, 1, 60)", "it is damaged; restore the database from a backup"),
        ("key = 'text'", "it is damaged"),
        ("created_at = 'text'", "it is damaged"),
        ("signs_from = 'text'", "it is damaged"),
        ("expires_at = 9e999", "it is damaged"),
        ("kid = 'other'", "it is damaged"),
        ("algorithm = 'EdDSA'", "it is damaged"),
        ("algorithm = 'ML-DSA-44'", "this version does not support 'ML-DSA-44'"),
    ],
)
def test_a_damaged_key_is_an_error_at_start(
    replica: Replica, database: Path, change: str, problem: str
) -> None:
    replica.sign()
    corrupt(database, f"UPDATE signing_keys SET {change}")
    with pytest.raises(ConfigurationError, match=f"signing key [^:]+: {problem}"):
        IssuerServer(database=database, clock=replica.clock)


def test_a_key_that_is_damaged_later_makes_the_issuer_not_ready(
    database: Path,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for module in ("health", "endpoints.jwks"):
        monkeypatch.setattr(f"grantway_plugins.issuer._http.{module}.CACHE_SECONDS", 0.0)
    with IssuerServer(database=database, clock=clock) as server:
        ready, keys = f"{server.url}/readyz", f"{server.url}/jwks"
        first, second = (each["kid"] for each in requests.get(keys, timeout=10).json()["keys"])
        assert requests.get(ready, timeout=10).status_code == 200
        # An issuer does not decrypt a key again, so the damage is found in a new one.
        copy = "SELECT 'copy', algorithm, key, created_at, signs_from, expires_at FROM signing_keys"
        corrupt(database, f"INSERT INTO signing_keys {copy} WHERE kid = '{second}'")
        clock.tick(6)
        found = requests.get(keys, timeout=10).json()["keys"]
        assert {each["kid"] for each in found} == {first, second}
        problem = requests.get(ready, timeout=10)
        assert (problem.status_code, problem.json()["error"]) == (503, "signing_key_unusable")
        assert "signing key copy: it is damaged" in caplog.text
        assert requests.get(ready, timeout=10).status_code == 503
        assert caplog.text.count("signing key copy") == 1
        server.store.run(lambda tx: tx.signing_keys.remove("copy"))
        assert requests.get(ready, timeout=10).status_code == 200


def test_keys_in_postgresql_must_be_encrypted(postgres: PostgresServer) -> None:
    postgres.sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    with IssuerServer(database=postgres.url) as server:
        assert requests.get(f"{server.url}/jwks", timeout=10).status_code == 404
    required = IssuerSettings(keys=KeySettings(enabled=True))
    with pytest.raises(ConfigurationError, match="must be encrypted; set encryption_keys"):
        IssuerServer(required, database=postgres.url)


@pytest.mark.parametrize(
    ("content", "mode", "problem"),
    [
        (b"", 0o600, "contains no key"),
        (b"\xff\xfe", 0o600, "cannot be used"),
        (b"c2hvcnQ=", 0o600, "contains no key"),
        (OTHER_KEY, 0o644, "every user of this machine can read it \\(mode 644\\)"),
        (OTHER_KEY, 0o600, "is encrypted with key"),
    ],
)
def test_checks_the_encryption_key_file(
    replica: Replica, database: Path, content: bytes, mode: int, problem: str
) -> None:
    replica.sign()
    file = database.with_name("issuer.sqlite3.key")
    file.write_bytes(content)
    file.chmod(mode)
    with pytest.raises(ConfigurationError, match=problem):
        IssuerServer(database=database, clock=replica.clock)


def test_a_lost_encryption_key_file_is_an_error(replica: Replica, database: Path) -> None:
    replica.sign()
    file = database.with_name("issuer.sqlite3.key")
    file.unlink()
    with pytest.raises(ConfigurationError, match="is missing; restore it from a backup"):
        IssuerServer(database=database, clock=replica.clock)
    # A new file would replace the lost one in the next backup.
    assert not file.exists()


def test_a_link_to_the_database_uses_the_same_encryption_key(
    replica: Replica, database: Path
) -> None:
    link = database.with_name("current")
    link.symlink_to(database)
    made = Replica(link, replica.clock, algorithms=("ES256",))
    try:
        assert made.verifies(replica.sign())
    finally:
        made.store.close()


def test_without_the_lost_encryption_key_new_keys_replace_the_stored_ones(
    replica: Replica, database: Path
) -> None:
    lost = replica.sign()
    database.with_name("issuer.sqlite3.key").unlink()
    replica.store.run(lambda tx: tx.signing_keys.remove(_header(lost)["kid"]))
    made = Replica(database, replica.clock, algorithms=("ES256",))
    try:
        assert made.verifies(made.sign())
        assert not made.verifies(lost)
    finally:
        made.store.close()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("enabled", "yes"),
        ("algorithms", ()),
        ("algorithms", ("HS256",)),
        ("algorithms", ("ES256", "ES256")),
        ("algorithms", "ES256"),
        ("publication", 5),
        ("publication", "day"),
        ("rotation_interval", DAY),
        ("encryption_keys", ("short",)),
        ("encryption_keys", "text"),
    ],
)
def test_checks_the_settings(field: str, value: Any) -> None:
    with pytest.raises(ConfigurationError) as wrong:
        KeySettings(**{field: value})
    assert list(wrong.value.errors) == [field]


def test_an_encryption_key_file_that_cannot_be_created_makes_the_issuer_not_ready(
    database: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("grantway_plugins.issuer._http.health.CACHE_SECONDS", 0.0)
    key = database.with_name("issuer.sqlite3.key")
    with IssuerServer(database=database, clock=clock) as server:
        key.symlink_to(database.parent)  # a folder, also for root
        assert requests.get(f"{server.url}/jwks", timeout=10).status_code == 500
        problem = requests.get(f"{server.url}/readyz", timeout=10)
        assert (problem.status_code, problem.json()["error"]) == (503, "signing_key_unusable")
        assert "issuer.sqlite3.key cannot be used (Is a directory)" in caplog.text
        assert requests.get(f"{server.url}/readyz", timeout=10).status_code == 503
        key.unlink()
        assert requests.get(f"{server.url}/readyz", timeout=10).status_code == 200
        assert len(requests.get(f"{server.url}/jwks", timeout=10).json()["keys"]) == 2


def test_fapi_2_limits_the_algorithms() -> None:
    settings = IssuerSettings(fapi2=True, keys=KeySettings(algorithms=("ES256", "RS256")))
    with pytest.raises(ConfigurationError, match="keys must be for ES256, PS256, EdDSA"):
        IssuerServer(settings)


def test_a_missing_library_disables_the_keys(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    monkeypatch.setattr("grantway_plugins.issuer._keys.opening.find_spec", lambda _name: None)
    with IssuerServer(clock=clock) as server:
        assert requests.get(f"{server.url}/jwks", timeout=10).status_code == 404
    with pytest.raises(ConfigurationError, match=r"pip install 'grantway\[jose\]'"):
        IssuerServer(IssuerSettings(keys=KeySettings(enabled=True)))
