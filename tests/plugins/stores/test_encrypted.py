"""Tests of the store ``encrypted``: confidentiality, tampering, keys and the inner store."""

from __future__ import annotations

import asyncio
import base64
import json
import multiprocessing
import os
import string
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, cast

import keyring
import keyring.core
import pytest
from hypothesis import given, strategies as st

import grantway
from grantway import Store, Token
from grantway._exceptions import ConfigurationError, StoreSaveError, StoreUnreadableError
from grantway.testing import store_on_loop
from grantway.testing._kits.on_loop import StoreOnLoop
from grantway.testing._kits.processes import Opener
from grantway_plugins.stores.encrypted._keys import generate_key, rotate_key_in_ring
from grantway_plugins.stores.encrypted._store import EncryptedStore
from grantway_plugins.stores.memory._store import MemoryStore
from tests.plugins.stores import rings
from tests.plugins.stores.contract import (
    LOCK_WAIT,
    MARK,
    WHOLE,
    DurableStoreContract,
    StoreContract,
    shown,
)

#: Two keys for these tests.
KEY = base64.urlsafe_b64encode(bytes(range(32))).decode()
OTHER = base64.urlsafe_b64encode(bytes(range(32, 64))).decode()


def over_file(folder: Path, key: str = KEY) -> EncryptedStore:
    return EncryptedStore({"kind": "file", "folder": str(folder)}, key=key)


class TestEncryptedStore(StoreContract):
    """The contract for a store in memory."""

    @pytest.fixture
    def store(self) -> Store:
        return EncryptedStore("memory", key=KEY)


class TestEncryptedStoreOnLoop(StoreContract):
    """The contract for the asynchronous methods."""

    @pytest.fixture(params=["memory", "file"])
    def store(self, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StoreOnLoop]:
        inner = "memory" if request.param == "memory" else {"kind": "file", "folder": str(tmp_path)}
        with store_on_loop(EncryptedStore(inner, key=KEY)) as store:
            yield store


class TestEncryptedFile(StoreContract, DurableStoreContract):
    """The contract for a store of files."""

    @pytest.fixture
    def reopen(self, tmp_path: Path) -> Opener:
        return partial(over_file, tmp_path)

    @pytest.fixture
    def store(self, reopen: Opener) -> Store:
        return reopen()

    @pytest.fixture
    def corrupt(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> Callable[[str, bytes], None]:
        def corrupt(key: str, data: bytes) -> None:
            # Encrypt these bytes with the right key.
            with monkeypatch.context() as patched:
                patched.setattr(
                    "grantway._credentials.token_format.encode_token", lambda token: data
                )
                envelope = over_file(tmp_path)._seal(key, Token(""))
            file = grantway.default_registry().store("file", folder=str(tmp_path))
            file.save(key, envelope)

        return corrupt

    def test_the_files_contain_no_part_of_the_token(self, store: Store, tmp_path: Path) -> None:
        store.save("key", WHOLE)
        held = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
        assert b"access_token" in held
        for part in (MARK.encode(), b"DPoP", b"read", b"write", b"authed_user", b"1000000000"):
            assert part not in held


@pytest.fixture
def inner() -> MemoryStore:
    return MemoryStore()


def sealed(inner: Store, key: str = "key") -> str:
    envelope = inner.load(key)
    assert envelope is not None
    return envelope.access_token


def put(inner: Store, text: str, key: str = "key") -> None:
    inner.save(key, Token(text, "encrypted"))


# --- Content of the inner store -----------------------------------------------------------------


def test_passes_the_expiry_of_a_token_without_a_refresh_token_to_the_inner_store(
    inner: MemoryStore,
) -> None:
    store = EncryptedStore(inner, key=KEY)
    lasting = Token("at", expires_at=4e9, expires_in=60, scope=("read",), extra={"a": 1})
    store.save("key", lasting)
    envelope = inner.load("key")
    assert envelope == Token(sealed(inner), "encrypted", expires_at=4e9)
    assert store.load("key") == lasting
    store.save("key", Token("at", expires_at=4e9, refresh_token="rt"))
    assert inner.load("key") == Token(sealed(inner), "encrypted")


def test_each_save_creates_a_different_ciphertext(inner: MemoryStore) -> None:
    store = EncryptedStore(inner, key=KEY)
    seen = set()
    for _ in range(100):
        store.save("key", WHOLE)
        seen.add(sealed(inner))
    assert len(seen) == 100


# --- Tampering with the inner store -------------------------------------------------------------


@given(st.data())
def test_rejects_any_flipped_bit(data: st.DataObject) -> None:
    inner = MemoryStore()
    store = EncryptedStore(inner, key=KEY)
    store.save("key", WHOLE)
    text = bytearray(sealed(inner).encode())
    place = data.draw(st.integers(0, len(text) - 1), "place")
    text[place] ^= 1 << data.draw(st.integers(0, 6), "bit")
    put(inner, text.decode())
    before = inner.load("key")
    with pytest.raises(StoreUnreadableError) as rejected:
        store.load("key")
    assert MARK not in shown(rejected.value)
    assert inner.load("key") == before


@given(st.data())
def test_rejects_any_modified_byte_of_the_ciphertext(data: st.DataObject) -> None:
    inner = MemoryStore()
    store = EncryptedStore(inner, key=KEY)
    store.save("key", WHOLE)
    before, _, text = sealed(inner).rpartition(".")
    raw = bytearray(base64.urlsafe_b64decode(text))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    put(inner, f"{before}.{base64.urlsafe_b64encode(raw).decode()}")
    with pytest.raises(StoreUnreadableError, match="was modified, or moved"):
        store.load("key")


@pytest.mark.parametrize("length", [1, 2, 3])
def test_rejects_another_encoding_of_the_same_ciphertext(inner: MemoryStore, length: int) -> None:
    store = EncryptedStore(inner, key=KEY)
    store.save("key", Token("a" * length))
    text = sealed(inner)
    head, bare, padding = text.rpartition(".")[0], text.rstrip("="), text.count("=")
    last = string.ascii_letters + string.digits + "-_"
    others = {f"{bare[:-1]}{each}{'=' * padding}" for each in last}
    others |= {f"{text}=", f"{text}\n", f"{text}!", text.replace(f"{head}.", f"{head}.\n")}
    for other in others - {text}:
        put(inner, other)
        with pytest.raises(StoreUnreadableError):
            store.load("key")


@given(st.text())
def test_rejects_any_other_text(text: str) -> None:
    inner = MemoryStore()
    store = EncryptedStore(inner, key=KEY)
    store.save("key", WHOLE)
    head = sealed(inner).rpartition(".")[0]
    for other in (text, f"1.{text}", f"{head}.{text}", sealed(inner)[: len(text)]):
        put(inner, other, "other")
        with pytest.raises(StoreUnreadableError):
            store.load("other")


def test_rejects_a_ciphertext_moved_from_another_key(inner: MemoryStore) -> None:
    store = EncryptedStore(inner, key=KEY)
    store.save("one tenant", WHOLE)
    put(inner, sealed(inner, "one tenant"), "another tenant")
    with pytest.raises(StoreUnreadableError, match="moved from another key") as rejected:
        store.load("another tenant")
    assert MARK not in shown(rejected.value)
    assert store.load("one tenant") == WHOLE


def test_rejects_an_unencrypted_token(inner: MemoryStore) -> None:
    inner.save("key", WHOLE)
    with pytest.raises(StoreUnreadableError, match="not encrypted") as rejected:
        EncryptedStore(inner, key=KEY).load("key")
    assert MARK not in shown(rejected.value)
    assert inner.load("key") == WHOLE


def test_leaves_a_token_of_a_newer_layout_unchanged(inner: MemoryStore) -> None:
    put(inner, "2.whatever")
    with pytest.raises(StoreUnreadableError, match="upgrade grantway"):
        EncryptedStore(inner, key=KEY).load("key")
    assert sealed(inner) == "2.whatever"


# --- Keys ---------------------------------------------------------------------------------------


def test_reports_a_wrong_key_and_removes_nothing(inner: MemoryStore) -> None:
    EncryptedStore(inner, key=KEY).save("key", WHOLE)
    with pytest.raises(StoreUnreadableError, match="key whose ID is") as rejected:
        EncryptedStore(inner, key=OTHER).load("key")
    seen = shown(rejected.value)
    assert not [secret for secret in (KEY, OTHER, MARK) if secret in seen]
    assert EncryptedStore(inner, key=KEY).load("key") == WHOLE


def test_the_first_key_encrypts_and_all_keys_decrypt(inner: MemoryStore) -> None:
    old, new = EncryptedStore(inner, key=KEY), EncryptedStore(inner, key=[OTHER, KEY])
    old.save("key", WHOLE)
    assert new.load("key") == WHOLE
    new.save("key", Token("newer"))
    with pytest.raises(StoreUnreadableError):
        old.load("key")
    # After every token was saved again, the old key is not needed.
    assert EncryptedStore(inner, key=OTHER).load("key") == Token("newer")


def test_reencrypting_ends_the_need_for_the_old_key_and_is_repeatable(inner: MemoryStore) -> None:
    EncryptedStore(inner, key=KEY).save("t", Token("at-old", refresh_token="rt-old"))
    rotated = EncryptedStore(inner, key=[OTHER, KEY])

    async def main() -> list[bool]:
        return [await rotated.reencrypt_async(key) for key in ("t", "t", "missing")]

    assert asyncio.run(main()) == [True, False, False]
    loaded = EncryptedStore(inner, key=OTHER).load("t")
    assert loaded is not None
    assert loaded.refresh_token == "rt-old"


def test_reencrypting_with_a_wrong_key_changes_nothing(inner: MemoryStore) -> None:
    EncryptedStore(inner, key=KEY).save("t", Token("at", refresh_token="rt"))
    inner.save("plain", Token("at"))
    other = EncryptedStore(inner, key=OTHER)
    for key, problem in (("t", "Add that key"), ("plain", "not encrypted")):
        with pytest.raises(StoreUnreadableError, match=problem):
            asyncio.run(other.reencrypt_async(key))
    assert EncryptedStore(inner, key=KEY).load("t") is not None


def test_reencrypting_does_not_overwrite_a_refresh_that_holds_the_lock(inner: MemoryStore) -> None:
    EncryptedStore(inner, key=KEY).save("t", Token("at-1", refresh_token="rt-1"))
    rotated = EncryptedStore(inner, key=[OTHER, KEY])

    async def main() -> bool:
        async with rotated.lock_async("t", 10) as fence:
            waiting = asyncio.create_task(rotated.reencrypt_async("t"))
            await asyncio.sleep(0.05)
            assert not waiting.done()
            old = EncryptedStore(inner, key=KEY)  # a gateway that does not have the new key yet
            await old.save_async("t", Token("at-2", refresh_token="rt-2"), fence=fence)
        return await waiting

    assert asyncio.run(main())
    loaded = EncryptedStore(inner, key=OTHER).load("t")
    assert loaded is not None
    assert loaded.refresh_token == "rt-2"


@pytest.mark.parametrize(
    "key",
    [
        bytes(range(32)),
        base64.b64encode(bytes(range(32))).decode(),
        KEY.rstrip("="),
        f" {KEY} , {OTHER} ",
        [KEY, OTHER],
        (bytes(range(32)), OTHER),
    ],
)
def test_a_key_may_be_bytes_or_their_base64(
    inner: MemoryStore, key: bytes | str | Sequence[bytes | str]
) -> None:
    EncryptedStore(inner, key=KEY).save("key", WHOLE)
    assert EncryptedStore(inner, key=key).load("key") == WHOLE


@pytest.mark.parametrize(
    "key",
    [
        "",
        b"",
        b"0123456789abcdef",
        "not-a-key-but-very-secret",
        KEY[:-2],
        KEY + KEY,
        f"{KEY},",
        f"{KEY};{OTHER}",
        "\u00e4" * 43,
        [],
        [KEY, "not-a-key-but-very-secret"],
        7,
    ],
)
def test_rejects_an_invalid_key_without_quoting_it(inner: MemoryStore, key: Any) -> None:
    with pytest.raises(ConfigurationError, match="generate_key") as rejected:
        EncryptedStore(inner, key=key)
    assert list(rejected.value.errors) == ["key"]
    seen = shown(rejected.value)
    assert not [secret for secret in (KEY, OTHER, "very-secret") if secret in seen]


def test_a_generated_key_is_random_and_valid(inner: MemoryStore) -> None:
    keys = {generate_key() for _ in range(100)}
    assert {len(base64.urlsafe_b64decode(key)) for key in keys} == {32}
    assert len(keys) == 100
    store = EncryptedStore(inner, key=keys.pop())
    store.save("key", WHOLE)
    assert store.load("key") == WHOLE


def test_reads_keys_from_an_environment_variable(
    inner: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRANTWAY_STORE_KEY", KEY)
    EncryptedStore(inner, key_env="GRANTWAY_STORE_KEY").save("key", WHOLE)
    monkeypatch.setenv("GRANTWAY_STORE_KEY", f"{OTHER},{KEY}")
    assert EncryptedStore(inner, key_env="GRANTWAY_STORE_KEY").load("key") == WHOLE


@pytest.mark.parametrize("value", [None, "", " ", "very-secret-but-no-key"])
def test_names_an_environment_variable_without_a_key(
    inner: MemoryStore, monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    monkeypatch.delenv("GRANTWAY_STORE_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("GRANTWAY_STORE_KEY", value)
    with pytest.raises(ConfigurationError, match=r"GRANTWAY_STORE_KEY.*generate_key") as rejected:
        EncryptedStore(inner, key_env="GRANTWAY_STORE_KEY")
    assert "very-secret" not in shown(rejected.value)


@pytest.mark.parametrize("given", [{}, {"key": KEY, "key_env": "A"}, {"key": KEY, "key_ring": "a"}])
def test_requires_exactly_one_source_of_keys(inner: MemoryStore, given: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match=f"not {len(given)} of them") as rejected:
        EncryptedStore(inner, **cast("dict[str, Any]", given))
    assert KEY not in shown(rejected.value)


# --- Keys in the key ring -----------------------------------------------------------------------


@pytest.fixture
def ring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> rings.CrashingRing:
    """The key ring of the process, with its lock file in the test's folder."""
    ring = rings.CrashingRing()
    monkeypatch.setattr(keyring.core, "_keyring_backend", ring)
    _state_lies_in(tmp_path, monkeypatch)
    return ring


def _state_lies_in(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("XDG_STATE_HOME", "HOME", "LOCALAPPDATA"):  # Linux, macOS, Windows
        monkeypatch.setenv(name, str(folder))


def test_generates_a_first_key_in_the_key_ring_and_reuses_it(
    inner: MemoryStore, ring: rings.CrashingRing
) -> None:
    EncryptedStore(inner, key_ring="grantway").save("key", WHOLE)
    kept = dict(ring.entries)
    assert EncryptedStore(inner, key_ring="grantway").load("key") == WHOLE
    assert ring.entries == kept
    assert len(kept) == 1


def test_running_programs_adopt_a_rotated_key(inner: MemoryStore, ring: rings.CrashingRing) -> None:
    running = EncryptedStore(inner, key_ring="grantway")
    running.save("old", Token("old"))
    rotate_key_in_ring("grantway")
    started = EncryptedStore(inner, key_ring="grantway")
    assert started.load("old") == Token("old")
    started.save("new", Token("new"))
    assert running.load("new") == Token("new")
    running.save("old", Token("old reopen"))
    ids = {sealed(inner, key).split(".")[1] for key in ("old", "new")}
    assert len(ids) == 1


def test_rotating_generates_a_first_key(inner: MemoryStore, ring: rings.CrashingRing) -> None:
    rotate_key_in_ring()
    EncryptedStore(inner, key_ring="grantway").save("key", WHOLE)
    assert EncryptedStore(inner, key_ring="grantway").load("key") == WHOLE


def test_leaves_an_invalid_key_ring_entry_unchanged(
    inner: MemoryStore, ring: rings.CrashingRing
) -> None:
    EncryptedStore(inner, key_ring="grantway")
    (entry,) = ring.entries
    digest = "1:9:1:b3e8b0b0a3a4a1d0fd5fbd6c4a9ab9a2b8c6dd0d1dbd8f4f6b0e7de0cbb7bb36"
    for value in (f"{digest}:very-secret", "very-secret"):
        ring.entries[entry] = value
        for use in (lambda: EncryptedStore(inner, key_ring="grantway"), rotate_key_in_ring):
            with pytest.raises(StoreUnreadableError, match="encryption-keys") as rejected:
                use()
            assert "very-secret" not in shown(rejected.value)
        assert ring.entries == {entry: value}


def test_reports_a_locked_key_ring(
    inner: MemoryStore, ring: rings.CrashingRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked = rings.LockedRing()
    locked.priority = 5
    monkeypatch.setattr(keyring.core, "_keyring_backend", locked)
    with pytest.raises(StoreUnreadableError, match="unlock it"):
        EncryptedStore(inner, key_ring="grantway")


#: Number of empty key ring services that the processes use at the same time.
TURNS = 10
START: Any = None


def _begin(start: Any) -> None:
    globals()["START"] = start


def _over_the_ring(folder: Path, turn: int) -> EncryptedStore:
    return EncryptedStore({"kind": "file", "folder": str(folder)}, key_ring=f"grantway {turn}")


def _save_with_the_first_key(folder: Path, number: int) -> int:
    keyring.get_keyring()  # before the barrier, so that all processes start together
    for turn in range(TURNS):
        START.wait(LOCK_WAIT)
        _over_the_ring(folder, turn).save(f"{turn} {number}", Token(f"at {turn} {number}"))
    return os.getpid()


@pytest.mark.slow
def test_eight_processes_started_together_generate_one_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _state_lies_in(tmp_path, monkeypatch)
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyrings.alt.file.PlaintextKeyring")
    monkeypatch.setenv("KEYRING_PROPERTY_FILE_PATH", str(tmp_path / "ring.cfg"))
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(8, spawn, _begin, (spawn.Barrier(8),)) as pool:
        saved = pool.map(_save_with_the_first_key, [tmp_path / "tokens"] * 8, range(8))
        assert len(set(saved)) == 8
    monkeypatch.setattr(keyring.core, "_keyring_backend", None)
    for turn in range(TURNS):
        store = _over_the_ring(tmp_path / "tokens", turn)
        for number in range(8):
            assert store.load(f"{turn} {number}") == Token(f"at {turn} {number}")


# --- Options, and delegation to the inner store -------------------------------------------------


def test_creates_the_store_from_profile_options(tmp_path: Path, inner: MemoryStore) -> None:
    registry = grantway.default_registry()
    options = json.loads(json.dumps({"inner": {"kind": "memory", "entries": 3}, "key": KEY}))
    store = registry.store("encrypted", **options)
    store.save("key", WHOLE)
    assert store.load("key") == WHOLE
    assert options["inner"]["kind"] == "memory"
    assert "MemoryStore" in repr(store)
    assert KEY not in repr(store)


@pytest.mark.parametrize("inner", [None, 7, {}, {"folder": "a"}, {"kind": 7}, []])
def test_rejects_an_invalid_inner_store(inner: Any) -> None:
    with pytest.raises(ConfigurationError, match="inner") as rejected:
        EncryptedStore(inner, key=KEY)
    assert list(rejected.value.errors) == ["inner"]
    assert KEY not in shown(rejected.value)


class Recording(MemoryStore):
    """Records its calls, and rejects every save."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Any] = []

    def save(self, key: str, token: Token, *, fence: int = 0) -> None:
        self.calls.append(("save", fence))
        raise StoreSaveError("the disk is full")

    def delete(self, key: str, *, fence: int = 0) -> None:
        self.calls.append(("delete", fence))

    def close(self) -> None:
        self.calls.append("close")


def test_passes_fences_errors_and_close_through() -> None:
    inner = Recording()
    store = EncryptedStore(inner, key=KEY)
    with pytest.raises(StoreSaveError, match="the disk is full") as unsaved:
        store.save("key", WHOLE, fence=7)
    assert MARK not in shown(unsaved.value)
    store.delete("key", fence=8)
    store.close()
    assert inner.calls == [("save", 7), ("delete", 8), "close"]
    EncryptedStore("memory", key=KEY).close()


def test_uses_the_lock_of_the_inner_store(inner: MemoryStore) -> None:
    store = EncryptedStore(inner, key=KEY)
    held = threading.Event()
    with store.lock("key", LOCK_WAIT), pytest.raises(TimeoutError), inner.lock("key", 0):
        held.set()
    assert not held.is_set()
