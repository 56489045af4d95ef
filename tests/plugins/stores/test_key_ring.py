"""Tests of the store ``keyring``: the contract, crash safety, and the choice of the key ring."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import keyring.core
import pytest
from keyring.backend import KeyringBackend
from keyring.backends import fail, null
from keyring.backends.chainer import ChainerBackend
from keyrings.alt.file import PlaintextKeyring

import grantway
from grantway import Store, Token
from grantway._credentials.token_format import encode_token
from grantway._exceptions import (
    ConfigurationError,
    StoreError,
    StoreSaveError,
    StoreUnreadableError,
)
from grantway._secrets.masked import Masked
from grantway.testing._kits.processes import Opener
from grantway_plugins.stores.file._format import name_of
from grantway_plugins.stores.keyring import _text as ring_text
from grantway_plugins.stores.keyring._store import KeyRingStore
from grantway_plugins.stores.keyring._text import RingText
from tests.plugins.stores import rings
from tests.plugins.stores.contract import MARK, WHOLE, DurableStoreContract, StoreContract, shown

LONG = Token("a" * 1000, refresh_token="r" * 5000)
#: Length of a text's part in one entry of such a key ring.
ROOM = rings.WINDOWS_LIMIT - ring_text._HEADER
NEW = Token("b" * 4000, id_token="i" * 5000)


class TestKeyRingStore(StoreContract, DurableStoreContract):
    """The contract for a key ring with the length limit of Windows."""

    @pytest.fixture
    def reopen(self, tmp_path: Path) -> Opener:
        return partial(rings.on_disk, tmp_path)

    @pytest.fixture
    def store(self, reopen: Opener) -> Store:
        return reopen()

    @pytest.fixture
    def corrupt(self, tmp_path: Path) -> Callable[[str, bytes], None]:
        disk = rings.DiskRing(tmp_path / "ring.db")
        ring = RingText("grantway", disk, tmp_path / "locks", rings.WINDOWS_LIMIT)

        def corrupt(key: str, data: bytes) -> None:
            with ring.exclusive():
                ring.write(name_of(key), Masked(data.decode("latin-1")))

        return corrupt


class TestPlaintextKeyring(StoreContract):
    """The contract for a key ring that stores all entries in one file."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        return rings.plaintext(tmp_path)


@pytest.fixture
def crashing() -> rings.CrashingRing:
    return rings.CrashingRing()


def over(ring: KeyringBackend, folder: Path) -> KeyRingStore:
    return KeyRingStore(backend=ring, folder=folder, longest=rings.WINDOWS_LIMIT)


def test_a_crash_at_any_step_of_a_save_leaves_the_old_or_new_token(tmp_path: Path) -> None:
    steps = 0
    seen = []
    while True:
        ring = rings.CrashingRing()
        store = over(ring, tmp_path)
        store.save("key", Token("first"))
        store.save("key", LONG)
        ring.steps = steps
        try:
            store.save("key", NEW)
        except rings.Killed:
            died = True
        else:
            died = False
        ring.steps = 1_000_000
        seen.append(store.load("key"))
        assert seen[-1] in (LONG, NEW), f"after {steps} steps"
        store.save("key", LONG)
        assert store.load("key") == LONG
        store.save("key", Token("last"))
        assert len(ring.entries) == 1, f"after {steps} steps: entries are left behind"
        if not died:
            break
        steps += 1
    assert steps > 10
    assert seen == [LONG] * seen.count(LONG) + [NEW] * seen.count(NEW)
    assert seen[-1] == NEW


def test_a_crash_at_any_step_of_a_delete_restores_no_older_token(tmp_path: Path) -> None:
    steps = 0
    died = True
    while died:
        ring = rings.CrashingRing()
        store = over(ring, tmp_path)
        store.save("key", LONG)
        # Crash after writing the new token and before deleting the previous one.
        ring.steps = len(encode_token(NEW)) // ROOM + 1
        with pytest.raises(rings.Killed):
            store.save("key", NEW)
        assert {name.split("/")[1] for name in ring.entries} == {"0", "1"}
        assert store.load("key") == NEW
        ring.steps = steps
        try:
            store.delete("key")
            died = False
        except rings.Killed:
            steps += 1
        ring.steps = 1_000_000
        assert store.load("key") in ([NEW, None] if died else [None])
        store.delete("key")
        assert ring.entries == {}
    assert steps > 10


@pytest.mark.parametrize("length", [1, ROOM - 1, ROOM, ROOM + 1, 2 * ROOM, 2 * ROOM + 1, 100_000])
def test_stores_texts_of_any_length(
    crashing: rings.CrashingRing, tmp_path: Path, length: int
) -> None:
    ring = RingText("grantway", crashing, tmp_path, rings.WINDOWS_LIMIT)
    text = ("0123456789\n:" * (length // 12 + 1))[:length]
    with ring.exclusive():
        ring.write("name", Masked(text))
        assert ring.read("name") == text
    assert len(crashing.entries) == -(-length // ROOM)


@pytest.mark.parametrize("change", ["", "x", "1:2:3", None])
def test_rejects_a_modified_entry(
    crashing: rings.CrashingRing, tmp_path: Path, change: str | None
) -> None:
    store = over(crashing, tmp_path)
    store.save("key", LONG)
    for entry, was in list(crashing.entries.items()):
        if change is not None:
            crashing.entries[entry] = change
        elif entry.endswith(("/1", "/0")) and "/0/" not in entry:
            crashing.entries[entry] = was[:-1]
        else:
            del crashing.entries[entry]
        before = dict(crashing.entries)
        with pytest.raises(StoreUnreadableError, match="missing or was modified"):
            store.load("key")
        assert crashing.entries == before
        crashing.entries[entry] = was
    assert store.load("key") == LONG


def made(kind: Callable[..., KeyringBackend]) -> KeyringBackend:
    """Create a backend; keyring's constructors have no type annotations."""
    return kind()


@pytest.mark.parametrize(
    ("ring", "advice"),
    [
        pytest.param(
            made(fail.Keyring), "no key ring on this machine.*install a keyring", id="none"
        ),
        pytest.param(made(rings.LockedRing), "is locked.*unlock it", id="locked"),
    ],
)
def test_explains_an_unusable_key_ring(tmp_path: Path, ring: KeyringBackend, advice: str) -> None:
    store = over(ring, tmp_path)
    with pytest.raises(StoreUnreadableError, match=advice):
        store.load("key")
    with pytest.raises(StoreSaveError, match=f"{advice}.*not saved") as unsaved:
        store.save("key", WHOLE)
    assert MARK not in shown(unsaved.value)
    with pytest.raises(StoreError, match=advice):
        store.delete("key")


def test_a_failed_save_keeps_the_previous_token_and_quotes_nothing(
    tmp_path: Path,
) -> None:
    over(rings.DiskRing(tmp_path / "ring.db"), tmp_path).save("key", Token("before"))
    store = over(rings.FullRing(tmp_path / "ring.db"), tmp_path)
    with pytest.raises(StoreSaveError, match=r"OSError.*previous one is unchanged") as unsaved:
        store.save("key", WHOLE)
    assert MARK not in shown(unsaved.value)
    assert store.load("key") == Token("before")


def test_detects_a_disabled_key_ring_that_stores_nothing(tmp_path: Path) -> None:
    store = over(made(null.Keyring), tmp_path)
    assert store.load("key") is None
    with pytest.raises(StoreSaveError, match="disabled") as unsaved:
        store.save("key", WHOLE)
    assert MARK not in shown(unsaved.value)


def test_reports_a_backend_that_cannot_be_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyring.core, "_keyring_backend", None)
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "no_such_package.Keyring")
    store = KeyRingStore(folder=tmp_path)
    with pytest.raises(StoreUnreadableError, match="PYTHON_KEYRING_BACKEND"):
        store.load("key")
    assert "grantway" in repr(store)


def test_creates_the_store_by_name_with_the_chosen_key_ring(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, crashing: rings.CrashingRing
) -> None:
    monkeypatch.setattr(keyring.core, "_keyring_backend", crashing)
    store = grantway.default_registry().store("keyring", service="mine", folder=str(tmp_path))
    assert isinstance(store, KeyRingStore)
    store.save("a key that says who", Token("at"))
    assert len(crashing.entries) == 1
    assert "who" not in next(iter(crashing.entries))
    assert "CrashingRing" in repr(store)
    assert "mine" in repr(store)


@pytest.mark.parametrize("service", ["", None, 7])
def test_rejects_an_invalid_service(service: str) -> None:
    with pytest.raises(ConfigurationError, match="service"):
        KeyRingStore(service)


@pytest.mark.parametrize("longest", [100, 0, -1, 1e4, None])
def test_rejects_an_invalid_length(longest: int) -> None:
    with pytest.raises(ConfigurationError, match="longest"):
        KeyRingStore(longest=longest)


def test_a_length_beyond_the_key_rings_limit_keeps_the_previous_token(
    crashing: rings.CrashingRing, tmp_path: Path
) -> None:
    over(crashing, tmp_path).save("key", LONG)
    store = KeyRingStore(backend=crashing, folder=tmp_path, longest=rings.WINDOWS_LIMIT * 2)
    with pytest.raises(StoreSaveError, match="lower the option longest"):
        store.save("key", NEW)
    assert store.load("key") == LONG


@pytest.fixture
def plain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of the plain text key ring that keyring falls back to."""
    file = tmp_path / "ring.cfg"
    ring = PlaintextKeyring().with_properties(file_path=str(file))
    monkeypatch.setattr(keyring.core, "_keyring_backend", ring)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("PYTHON_KEYRING_BACKEND", raising=False)
    return file


def test_rejects_a_key_ring_that_is_neither_chosen_nor_recommended(
    tmp_path: Path, plain: Path
) -> None:
    store = KeyRingStore(folder=tmp_path)
    with pytest.raises(StoreSaveError, match="name it in PYTHON_KEYRING_BACKEND"):
        store.save("key", WHOLE)
    with pytest.raises(StoreUnreadableError, match="does not recommend"):
        store.load("key")
    assert not plain.exists()


@pytest.mark.parametrize("by", ["environment", "file"])
def test_uses_a_key_ring_chosen_by_name(
    tmp_path: Path, plain: Path, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    name = "keyrings.alt.file.PlaintextKeyring"
    if by == "environment":
        monkeypatch.setenv("PYTHON_KEYRING_BACKEND", name)
    else:
        config = keyring.core._config_path()
        config.parent.mkdir(parents=True, exist_ok=True)
        config.write_text(f"[backend]\ndefault-keyring={name}\n")
        assert config.is_relative_to(tmp_path)
    store = KeyRingStore(folder=tmp_path)
    store.save("key", WHOLE)
    assert store.load("key") == WHOLE
    assert plain.exists()


def test_judges_a_chain_by_the_key_ring_that_it_writes_to(
    tmp_path: Path, plain: Path, monkeypatch: pytest.MonkeyPatch, crashing: rings.CrashingRing
) -> None:
    lowest = keyring.core.get_keyring()
    chain = made(ChainerBackend)
    for backends, used in (([crashing, lowest], True), ([lowest], False)):
        monkeypatch.setattr(ChainerBackend, "backends", backends)
        monkeypatch.setattr(keyring.core, "_keyring_backend", chain)
        store = KeyRingStore(folder=tmp_path)
        if used:
            store.save("key", WHOLE)
            assert crashing.entries
        else:
            with pytest.raises(StoreSaveError, match="does not recommend"):
                store.save("key", WHOLE)
    assert not plain.exists()
