"""Tests of the store ``aws-cli``, which shares its files with the AWS tools."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest

import grantway
from grantway import Token
from grantway._exceptions import LeaseLostError
from grantway.testing._kits.processes import Opener
from grantway_plugins.aws._cache.store import AwsCliStore
from tests.plugins.stores.contract import MARK, WHOLE, DurableStoreContract, StoreContract

#: 2099-01-01T00:00:00Z.
NEW_YEAR = 4070908800.0
START_URL = "https://d-0000000000.awsapps.com/start"
REGISTRATION = {
    "clientId": "client-1",
    "clientSecret": f"cs-{MARK}",
    "registrationExpiresAt": "2099-01-02T03:04:05Z",
}


def sha1(key: str) -> str:
    return hashlib.sha1(key.encode()).hexdigest()


class TestAwsCliStore(StoreContract, DurableStoreContract):
    """The store contract."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> grantway.Store:
        return grantway.default_registry().store("aws-cli", folder=tmp_path / "cache")

    @pytest.fixture
    def reopen(self, tmp_path: Path) -> Opener:
        return partial(AwsCliStore, tmp_path / "cache")

    @pytest.fixture
    def corrupt(self, tmp_path: Path) -> Callable[[str, bytes], None]:
        def write(key: str, data: bytes) -> None:
            (tmp_path / "cache" / f"{sha1(key)}.json").write_bytes(data)

        return write

    def test_leaves_a_record_of_a_newer_version_unchanged(
        self, store: grantway.Store, corrupt: Callable[[str, bytes], None]
    ) -> None:
        """The format has no version; additional fields of a later grantway do no harm."""
        store.save("key", WHOLE)
        path = cast("AwsCliStore", store).path("key")
        fields = json.loads(path.read_text(encoding="utf-8"))
        later = {
            **fields,
            "grantway": {**fields["grantway"], "version": 2, "scope": "another form"},
        }
        corrupt("key", json.dumps(later).encode())
        found = store.load("key")
        assert found is not None
        assert (found.access_token, found.expires_at) == (WHOLE.access_token, WHOLE.expires_at)
        assert json.loads(path.read_text(encoding="utf-8")) == later


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def store(folder: Path) -> AwsCliStore:
    return AwsCliStore(folder, start_url=START_URL, region="eu-west-1")


@pytest.fixture
def dev(folder: Path) -> Path:
    folder.mkdir()
    return folder / f"{sha1('dev')}.json"


def put(path: Path, **fields: Any) -> None:
    path.write_text(json.dumps(fields), encoding="utf-8")


def write_token(path: Path, **changes: Any) -> None:
    """Write a file as botocore does."""
    put(
        path,
        **{
            "startUrl": START_URL,
            "region": "eu-west-1",
            "accessToken": "at-1",
            "expiresAt": "2099-01-02T03:04:05Z",
            "refreshToken": "rt-1",
            **REGISTRATION,
            **changes,
        },
    )


def test_writes_a_login_in_the_format_of_the_aws_cli(store: AwsCliStore, folder: Path) -> None:
    login = Token("at-1", "Bearer", 3600, 1767323045.9, "rt-1", extra=REGISTRATION)
    for key in ("dev", START_URL):
        store.save(key, login)
        path = folder / f"{sha1(key)}.json"
        fields = json.loads(path.read_text(encoding="utf-8"))
        ours = fields.pop("grantway")
        assert fields == {
            "startUrl": START_URL,
            "region": "eu-west-1",
            "accessToken": "at-1",
            "expiresAt": "2026-01-02T03:04:05Z",
            "refreshToken": "rt-1",
            **REGISTRATION,
        }
        # The extra member repeats no secret, which could remain after the first copy is deleted.
        assert not {"at-1", "rt-1", REGISTRATION["clientSecret"]} & set(map(str, ours.values()))
        assert store.load(key) == login
        if os.name != "nt":
            assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "time_of",
    ["2099-01-02T03:04:05Z", "2099-01-02T03:04:05.354Z", "2099-01-02T03:04:05UTC"],
)
def test_reads_each_time_format(store: AwsCliStore, dev: Path, time_of: str) -> None:
    write_token(dev, expiresAt=time_of)
    found = store.load("dev")
    assert found is not None
    assert found.expires_at == pytest.approx(NEW_YEAR + 86400 + 11045, abs=0.4)
    assert found.refresh_token == "rt-1"
    assert found.extra == REGISTRATION
    assert store.registration_of("rt-1") == REGISTRATION
    assert store.registration_of("rt-of-another") == {}


def test_computes_the_lifetime_from_the_modification_time(store: AwsCliStore, dev: Path) -> None:
    write_token(dev, expiresAt="2026-01-02T03:04:05Z")
    os.utime(dev, (1767323045 - 28800, 1767323045 - 28800))
    found = store.load("dev")
    assert found is not None
    assert found.expires_in == 28800


def test_a_refresh_keeps_the_registration_and_unknown_fields(store: AwsCliStore, dev: Path) -> None:
    write_token(dev, someField={"of": "another tool"})
    with store.lock("dev", 1) as fence:
        store.save("dev", Token("at-2", expires_at=NEW_YEAR, refresh_token="rt-2"), fence=fence)
    fields = json.loads(dev.read_text(encoding="utf-8"))
    assert {name: fields[name] for name in REGISTRATION} == REGISTRATION
    assert fields["someField"] == {"of": "another tool"}
    assert (fields["accessToken"], fields["refreshToken"]) == ("at-2", "rt-2")


def test_ignores_extra_fields_that_belong_to_an_earlier_token(
    store: AwsCliStore, dev: Path
) -> None:
    store.save("dev", WHOLE)
    # The SDK for JavaScript keeps unknown fields.
    fields = json.loads(dev.read_text(encoding="utf-8"))
    put(dev, **{**fields, "accessToken": "at-2", "expiresAt": "2099-01-02T03:04:05.354Z"})
    found = store.load("dev")
    assert found is not None
    assert (found.token_type, found.id_token, found.scope, found.extra) == (
        "Bearer",
        None,
        None,
        {},
    )


def test_waits_for_a_file_that_is_being_written(
    store: AwsCliStore, dev: Path, caplog: pytest.LogCaptureFixture
) -> None:
    dev.write_bytes(b"")

    def fill() -> None:
        began.wait()
        write_token(dev)

    began = threading.Event()
    writer = threading.Thread(target=fill)
    writer.start()
    began.set()
    found = store.load("dev")
    writer.join()
    assert found is not None
    assert found.access_token == "at-1"
    assert not caplog.records


def test_treats_null_as_missing(store: AwsCliStore, dev: Path) -> None:
    write_token(
        dev, refreshToken=None, clientId=None, clientSecret=None, registrationExpiresAt=None
    )
    found = store.load("dev")
    assert found is not None
    assert not found.expired()
    assert found.refresh_token is None
    assert not set(REGISTRATION) & set(found.extra)


UNKNOWN: dict[str, bytes] = {
    "a wrong time": b'{"accessToken": "at", "expiresAt": "tomorrow"}',
    "a time that is a number": b'{"accessToken": "at", "expiresAt": 4070908800}',
    "no token": b'{"format": 2, "tokens": [{"value": "at"}]}',
    "a token that is no text": b'{"accessToken": {"value": "at"}, "expiresAt": null}',
    "no JSON": b"\x00\x01sealed",
    "other JSON": b'["at"]',
    "nothing": b"",
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_keeps_and_reports_a_file_in_an_unknown_format(
    store: AwsCliStore, dev: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    dev.write_bytes(UNKNOWN[name])
    os.utime(dev, (1_000_000_000, 1_000_000_000))
    for _ in range(2):
        assert store.load("dev") is None
    assert dev.read_bytes() == UNKNOWN[name]
    assert dev.stat().st_mtime == 1_000_000_000
    assert [path.name for path in dev.parent.iterdir()] == [dev.name]
    (first, _) = caplog.records
    assert first.levelname == "WARNING"
    assert str(dev) in caplog.text
    assert "new login" in caplog.text


def test_a_login_keeps_unknown_fields_of_an_unknown_format(store: AwsCliStore, dev: Path) -> None:
    put(dev, format=2, sealed="theirs", expiresAt=17)
    store.save("dev", Token("at-new", expires_at=NEW_YEAR, refresh_token="rt-new"))
    fields = json.loads(dev.read_text(encoding="utf-8"))
    assert (fields["format"], fields["sealed"]) == (2, "theirs")
    found = store.load("dev")
    assert found is not None
    assert found.access_token == "at-new"


@pytest.mark.parametrize("end", [{}, {"expiresAt": None}], ids=["missing", "null"])
def test_treats_a_token_without_an_expiry_as_expired(
    store: AwsCliStore, dev: Path, end: dict[str, None]
) -> None:
    write_token(dev)
    fields = json.loads(dev.read_text(encoding="utf-8"))
    del fields["expiresAt"]
    put(dev, **{**fields, **end})
    found = store.load("dev")
    assert found is not None
    assert found.expires_at is not None
    assert found.expires_at <= time.time()
    assert found.refresh_token == "rt-1"  # refreshing provides a token with an expiry


def test_leaves_files_of_other_tools_unchanged(store: AwsCliStore, dev: Path) -> None:
    others = {
        f"{sha1('https://other.awsapps.com/start')}.json": b'{"accessToken": "other"}',
        "botocore-client-id-eu-west-1.json": b'{"clientId": "c"}',
        "another.tmp": b"half",
        "aws-toolkit.lock": b"",
        f"{sha1('third')}.json.corrupt-20260101T000000.000000Z": b"{",
    }
    old = time.time() - 7 * 86_400
    for name, data in others.items():
        (dev.parent / name).write_bytes(data)
        os.utime(dev.parent / name, (old, old))
    write_token(dev)
    with store.lock("dev", 1) as fence:
        assert store.load("dev") is not None
        store.check_writable("dev", Token("at-2"))
        store.save("dev", Token("at-2", expires_at=NEW_YEAR), fence=fence)
        store.delete("dev", fence=fence)
    for name, data in others.items():
        assert (dev.parent / name).read_bytes() == data
        assert (dev.parent / name).stat().st_mtime == pytest.approx(old, abs=1)


def test_removes_temporary_files_of_killed_processes(store: AwsCliStore, dev: Path) -> None:
    left = dev.parent / f"{dev.stem}.abc.grantway.tmp"
    left.write_bytes(b"half")
    os.utime(left, (1_000_000_000, 1_000_000_000))
    store.save("dev", Token("at-2", expires_at=NEW_YEAR))
    assert not left.exists()


# --- concurrent changes by the AWS tools, which do not lock ---------------------------------------


def ours(expires_at: float) -> Token:
    return Token("at-ours", expires_at=expires_at, refresh_token="rt-ours")


@pytest.mark.parametrize("later", [0, 0.9, 3600])
def test_keeps_a_newer_token_of_an_aws_tool(store: AwsCliStore, dev: Path, later: float) -> None:
    write_token(dev)
    with store.lock("dev", 1) as fence:
        write_token(dev, accessToken="at-2", refreshToken="rt-2", expiresAt="2099-01-01T01:00:00Z")
        with pytest.raises(LeaseLostError, match="is newer"):
            store.save("dev", ours(NEW_YEAR + 3600.9 - later), fence=fence)
        with pytest.raises(LeaseLostError):
            store.delete("dev", fence=fence)
    found = store.load("dev")
    assert found is not None
    assert found.refresh_token == "rt-2"


def test_replaces_an_older_token_of_an_aws_tool(store: AwsCliStore, dev: Path) -> None:
    write_token(dev)
    with store.lock("dev", 1) as fence:
        write_token(dev, accessToken="at-2", refreshToken="rt-2", expiresAt="2099-01-01T01:00:00Z")
        store.save("dev", ours(NEW_YEAR + 3601), fence=fence)
    found = store.load("dev")
    assert found is not None
    assert (found.refresh_token, found.extra) == ("rt-ours", REGISTRATION)


def test_respects_a_concurrent_logout(store: AwsCliStore, dev: Path) -> None:
    write_token(dev)
    with store.lock("dev", 1) as fence:
        dev.unlink()
        with pytest.raises(LeaseLostError, match="removed"):
            store.save("dev", ours(NEW_YEAR), fence=fence)
        store.delete("dev", fence=fence)
    assert not dev.exists()


def test_respects_a_concurrent_login_even_if_it_expires_sooner(
    store: AwsCliStore, dev: Path
) -> None:
    write_token(dev)
    with store.lock("dev", 1) as fence:
        write_token(dev, clientId="client-2", expiresAt="2098-01-01T01:00:00Z")
        with pytest.raises(LeaseLostError, match="another login"):
            store.save("dev", ours(NEW_YEAR), fence=fence)


def test_our_login_replaces_a_concurrent_refresh(store: AwsCliStore, dev: Path) -> None:
    write_token(dev)
    login = Token("at-3", expires_at=1e9, extra={**REGISTRATION, "clientId": "client-3"})
    with store.lock("dev", 1) as fence:
        write_token(dev, accessToken="at-2")
        store.save("dev", login, fence=fence)
    found = store.load("dev")
    assert found is not None
    assert found.extra["clientId"] == "client-3"


def test_restores_the_registration_of_a_file_that_became_invalid(
    store: AwsCliStore, dev: Path
) -> None:
    write_token(dev)
    with store.lock("dev", 1) as fence:
        dev.write_bytes(b"{")
        os.utime(dev, (0, 0))
        store.save("dev", ours(NEW_YEAR), fence=fence)
    found = store.load("dev")
    assert found is not None
    assert (found.refresh_token, found.extra) == ("rt-ours", REGISTRATION)
