"""Keys of trusted issuers: discovery, rotation, expiry, failures, and shared reads."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import ECKey, RSAKey

from grantway._processes.driving import drive, drive_async
from grantway.testing.faults import FaultServer, respond
from grantway_plugins._jose import cached_keys
from grantway_plugins._jose.cached_keys import CachedKeys
from grantway_plugins._jose.errors import KeysUnavailableError
from grantway_plugins._jose.key_set import (
    MOST_KEYS,
    MOST_TRIED,
    InvalidKeySetError,
    KeySet,
    published_keys,
)
from grantway_plugins._jose.reading_keys import (
    MAX_DOCUMENT,
    UnreadableKeysError,
    read_keys,
)
from grantway_plugins.issuer import TrustedIssuer
from grantway_plugins.issuer._trust.trusted_token import (
    RejectedToken,
    TrustedToken,
)
from grantway_plugins.issuer._trust.verification import TrustedTokens
from grantway_plugins.testing import WorkloadIssuer
from tests.waiting import PATIENCE

URL = "https://tokens.example"
KEY = dict(ECKey.generate_key("P-256", {"kid": "1"}).as_dict(private=False))


class Timer:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Reads:
    """Reads keys as the test says, and counts."""

    def __init__(self) -> None:
        self.count = 0
        self.outcome: Callable[[], KeySet] = lambda: published_keys(
            json.dumps({"keys": [KEY]}).encode()
        )

    def __call__(self) -> KeySet:
        self.count += 1
        return self.outcome()

    def fail(self) -> KeySet:
        raise UnreadableKeysError("it is down")


@pytest.fixture
def timer() -> Timer:
    return Timer()


@pytest.fixture
def reads() -> Reads:
    return Reads()


@pytest.fixture
def cached(reads: Reads, timer: Timer) -> CachedKeys:
    return CachedKeys("https://idp.example", reads, timer)


def current(cached: CachedKeys) -> KeySet:
    return drive(cached.current(), Future.result)


def after(cached: CachedKeys, known: KeySet) -> KeySet:
    return drive(cached.after(known), Future.result)


async def current_async(cached: CachedKeys) -> KeySet:
    return await drive_async(cached.current(), asyncio.wrap_future)


# --- the cache ---


def test_concurrent_requests_share_one_read(cached: CachedKeys, reads: Reads) -> None:
    async def many() -> list[KeySet]:
        return await asyncio.gather(*(current_async(cached) for _ in range(50)))

    assert len({id(keys) for keys in asyncio.run(many())}) == 1
    assert reads.count == 1


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_process_does_not_wait_for_a_read_of_its_parent(
    cached: CachedKeys, reads: Reads
) -> None:
    begun, release = threading.Event(), threading.Event()
    usual = reads.outcome

    def slow() -> KeySet:
        if not begun.is_set():
            begun.set()
            assert release.wait(PATIENCE)
        return usual()

    reads.outcome = slow
    waiting = threading.Thread(target=current, args=(cached,))
    waiting.start()
    try:
        assert begun.wait(PATIENCE)
        child = os.fork()
        if child == 0:
            os._exit(0 if current(cached).has("1") else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        release.set()
        waiting.join(PATIENCE)


def test_a_cancelled_request_does_not_cancel_the_read(cached: CachedKeys, reads: Reads) -> None:
    release = threading.Event()
    usual = reads.outcome

    def slow() -> KeySet:
        assert release.wait(10)
        return usual()

    async def both() -> KeySet:
        first = asyncio.create_task(current_async(cached))
        second = asyncio.create_task(current_async(cached))
        await asyncio.sleep(0)
        first.cancel()
        release.set()
        return await second

    reads.outcome = slow
    assert asyncio.run(both()).keys
    assert reads.count == 1


def test_old_keys_are_used_while_they_are_read_again(
    cached: CachedKeys, reads: Reads, timer: Timer
) -> None:
    old = current(cached)
    timer.now = cached_keys.REFRESH_AFTER - 1
    assert current(cached) is old
    assert reads.count == 1
    timer.now += 1
    assert current(cached) is old
    reads.outcome = reads.fail
    timer.now += cached_keys.PAUSE
    assert current(cached) is not None
    timer.now = 2 * cached_keys.EXPIRE_AFTER
    with pytest.raises(KeysUnavailableError, match="it is down"):
        current(cached)


def test_failed_reads_are_repeated_after_a_pause(
    cached: CachedKeys, reads: Reads, timer: Timer, caplog: pytest.LogCaptureFixture
) -> None:
    reads.outcome = reads.fail
    for _ in range(3):
        with pytest.raises(KeysUnavailableError, match="it is down") as failed:
            current(cached)
        assert failed.value.issuer == "https://idp.example"
    assert reads.count == 1
    (record,) = caplog.records
    assert record.getMessage().startswith("The keys of https://idp.example ")
    assert record.getMessage().endswith("it is down")
    reads.outcome = Reads().outcome
    timer.now += cached_keys.PAUSE
    assert current(cached).keys


def test_an_unexpected_error_is_a_failed_read(cached: CachedKeys, reads: Reads) -> None:
    def broken() -> KeySet:
        raise ValueError("the text may contain a secret")

    reads.outcome = broken
    with pytest.raises(KeysUnavailableError, match=r"^unexpected ValueError$"):
        current(cached)


def test_unknown_keys_are_looked_for_once_per_pause(
    cached: CachedKeys, reads: Reads, timer: Timer
) -> None:
    known = current(cached)
    assert after(cached, known) is known
    assert reads.count == 1
    timer.now += cached_keys.PAUSE
    newer = after(cached, known)
    assert newer is not known
    assert after(cached, known) is newer
    assert reads.count == 2
    timer.now += cached_keys.PAUSE
    reads.outcome = reads.fail
    assert after(cached, newer) is newer


# --- verification ---


def verify(tokens: TrustedTokens, token: str) -> TrustedToken | RejectedToken:
    found = tokens.of({"assertion": token})
    assert asyncio.run(tokens.of_async({"assertion": token})) == found
    return found["assertion"]


@pytest.mark.parametrize("header", [{}, {"kid": None}], ids=["kid", "no-kid"])
def test_a_rotated_key_is_found_at_once(
    monkeypatch: pytest.MonkeyPatch, header: dict[str, Any]
) -> None:
    monkeypatch.setattr(cached_keys, "PAUSE", 0)
    with WorkloadIssuer() as cluster:
        tokens = TrustedTokens([TrustedIssuer(cluster.url, ("a",))], URL, cluster._clock)
        before = cluster.token("a", URL, header=header)
        assert isinstance(verify(tokens, before), TrustedToken)
        cluster.rotate()
        assert isinstance(verify(tokens, cluster.token("a", URL, header=header)), TrustedToken)
        assert isinstance(verify(tokens, before), RejectedToken)
        cluster.rotate(keep=True)
        assert isinstance(verify(tokens, cluster.token("a", URL, header=header)), TrustedToken)


def test_a_forged_token_with_a_known_key_id_causes_no_read() -> None:
    with WorkloadIssuer() as cluster, WorkloadIssuer(cluster.url) as forger:
        tokens = TrustedTokens([TrustedIssuer(cluster.url, ("a",))], URL, cluster._clock)
        assert isinstance(verify(tokens, cluster.token("a", URL)), TrustedToken)
        reads = cluster.requests.total()
        forged = forger.token("a", URL, header={"kid": cluster.jwks()["keys"][0]["kid"]})
        assert verify(tokens, forged) == RejectedToken("has an invalid signature")
        assert cluster.requests.total() == reads


def test_an_unreachable_issuer_affects_only_its_own_tokens() -> None:
    release = threading.Event()

    def read(trusted: TrustedIssuer) -> KeySet:
        if trusted.issuer != cluster.url:
            release.wait(10)
            raise UnreadableKeysError("no response")
        return read_keys(trusted)

    async def both() -> tuple[Any, Any]:
        hangs = asyncio.create_task(tokens.of_async({"assertion": lost.token("a", URL)}))
        works = await tokens.of_async({"assertion": cluster.token("a", URL)})
        assert not hangs.done()
        release.set()
        with pytest.raises(KeysUnavailableError):
            await hangs
        return works["assertion"], hangs

    with WorkloadIssuer() as cluster, WorkloadIssuer("https://lost.example") as lost:
        trusted = [TrustedIssuer(each.issuer, ("a",)) for each in (lost, cluster)]
        tokens = TrustedTokens(trusted, URL, cluster._clock, read)
        assert isinstance(asyncio.run(both())[0], TrustedToken)


def test_a_very_long_token_is_rejected() -> None:
    with WorkloadIssuer() as cluster:
        tokens = TrustedTokens([TrustedIssuer(cluster.url, ("a",))], URL, cluster._clock)
        found = verify(tokens, cluster.token("a", URL, padding="x" * 20_000))
    assert found == RejectedToken("is longer than 16384 characters")
    assert not cluster.requests


# --- published documents ---


def unreadable(trusted: TrustedIssuer) -> str:
    with pytest.raises(UnreadableKeysError) as failed:
        read_keys(trusted)
    return str(failed.value)


def document(**members: Any) -> Any:
    return respond(200, json.dumps(members).encode())


def test_discovery_requires_the_same_issuer_and_a_safe_jwks_uri() -> None:
    with FaultServer(document(issuer="https://other.example", jwks_uri="https://x")) as server:
        assert "names the issuer" in unreadable(TrustedIssuer(server.url, ("a",)))
    for uri in ({}, {"jwks_uri": "http://other.example/keys"}, {"jwks_uri": 7}):
        with FaultServer() as server:
            server._script.append(document(issuer=server.url, **uri))
            assert "jwks_uri" in unreadable(TrustedIssuer(server.url, ("a",)))


def test_the_bearer_token_goes_to_jwks_uri(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("s3cret\n")
    with FaultServer(document(keys=[KEY])) as server:
        uri = f"{server.url}/keys"
        trusted = TrustedIssuer("https://k8s.example", ("a",), jwks_uri=uri, token_file=str(file))
        assert read_keys(trusted).keys
        (request,) = server.requests
        assert request.headers["authorization"] == "Bearer s3cret"
        file.unlink()
        assert unreadable(trusted) == f"token_file {file}: No such file or directory"


@pytest.mark.parametrize(
    ("act", "problem"),
    [
        (respond(200, b"<html>"), "not a JWK Set"),
        (respond(200, b"[" * 100_000), "not a JWK Set"),
        (document(keys={}), "not a JWK Set"),
        (document(keys=[]), "no usable key"),
        (document(keys=[KEY] * (MOST_KEYS + 1)), f"more than {MOST_KEYS} keys"),
        (document(keys=[{"kty": "oct", "k": "AA"}]), "must be a public key"),
        (document(keys=[{**KEY, "use": "enc"}]), "no usable key"),
        (respond(200, b" " * (MAX_DOCUMENT + 1)), "larger"),
        (respond(500, b""), "returned status 500"),
        (respond(302, b"", {"Location": "https://x.example"}), "redirect"),
    ],
)
def test_unusable_documents(act: Any, problem: str) -> None:
    with FaultServer(act) as server:
        uri = f"{server.url}/keys"
        assert problem in unreadable(TrustedIssuer("x", ("a",), jwks_uri=uri))


def test_unusable_keys_are_ignored() -> None:
    short = {"kty": "RSA", "e": "AQAB", "n": "A" * 171}
    usable = dict(
        RSAKey.generate_key(2048, {"use": "sig", "key_ops": ["verify"]}).as_dict(private=False)
    )
    others: list[Any] = [short, {"kty": "new"}, "junk", {"kty": "EC", "crv": "new"}, {"kty": "EC"}]
    found = published_keys(json.dumps({"keys": [*others, usable]}).encode())
    assert len(found.keys) == 1
    with pytest.raises(InvalidKeySetError, match="RSA key must have at least 2048 bits"):
        published_keys(json.dumps({"keys": others}).encode())


def number(bits: int) -> str:
    """Return an odd number in the form of a JWK."""
    encoded = (2 ** (bits - 1) + 1).to_bytes(bits // 8 + 1, "big").lstrip(b"\0")
    return base64.urlsafe_b64encode(encoded).decode().rstrip("=")


@pytest.mark.parametrize(("modulus", "exponent"), [(2048, 1024), (8200, 17), (300_000, 17)])
def test_rsa_keys_that_take_long_to_check_are_rejected(modulus: int, exponent: int) -> None:
    key = {"kty": "RSA", "n": number(modulus), "e": number(exponent)}
    with pytest.raises(InvalidKeySetError, match="RSA key must have at most 8192 bits"):
        published_keys(json.dumps({"keys": [key]}).encode())


def test_a_token_without_a_key_id_is_tried_with_a_few_keys_only() -> None:
    keys = [ECKey.generate_key("P-256").as_dict(private=False) for _ in range(MOST_TRIED + 1)]
    found = published_keys(json.dumps({"keys": keys}).encode())
    assert len(found.keys) == MOST_TRIED + 1
    assert len(found.fitting({"alg": "ES256"}, ["ES256"])) == MOST_TRIED


def test_a_file_of_keys(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    trusted = TrustedIssuer("x", ("a",), jwks_file=str(file))
    assert "No such file" in unreadable(trusted)
    file.write_text(json.dumps({"keys": [KEY]}))
    assert read_keys(trusted).keys


def test_changed_keys_are_read_before_the_next_use(reads: Reads, timer: Timer) -> None:
    version = 1
    cached = CachedKeys("https://idp.example", reads, timer, version=lambda: version)
    first = current(cached)
    timer.now += cached_keys.PAUSE
    assert current(cached) is first
    version = 2
    second = current(cached)
    assert second is not first
    assert current(cached) is second
    assert reads.count == 2


def test_a_key_that_was_removed_from_the_file_is_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cached_keys, "PAUSE", 0.0)
    file = tmp_path / "keys.json"
    with WorkloadIssuer() as idp:
        file.write_text(json.dumps(idp.jwks()))
        trusted = TrustedIssuer(idp.url, ("a",), jwks_file=str(file))
        tokens, assertion = TrustedTokens([trusted], URL, time.time), idp.token("a", URL)
        assert isinstance(tokens.of({"assertion": assertion})["assertion"], TrustedToken)
        idp.rotate()
        file.write_text(json.dumps(idp.jwks()) + " ")
    assert isinstance(tokens.of({"assertion": assertion})["assertion"], RejectedToken)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_named_pipe_is_no_file_of_keys(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "keys.json")
    trusted = TrustedIssuer("x", ("a",), jwks_file=str(tmp_path / "keys.json"))
    assert "is a named pipe" in unreadable(trusted)
