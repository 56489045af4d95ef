"""Two issuers rotate their keys under load, and verifiers with caches notice nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt as pyjwt
import pytest
import requests
from joserfc import jwt
from joserfc.jwk import KeySet
from joserfc.jws import extract_compact

from grantway_plugins.grants import client_credentials
from grantway_plugins.issuer import IssuerServer, IssuerSettings, KeySettings, Lifetimes
from grantway_plugins.stores import generate_key
from tests.plugins.issuer.conftest import Caller
from tests.postgres import PostgresServer
from tests.waiting import PATIENCE

#: Seconds of the issuers' clock in one second.
SPEED = 1200.0
PUBLICATION = 600.0
START = time.time()


def fast_clock() -> float:
    return START + (time.time() - START) * SPEED


class StrictVerifier:
    """Reads the keys only when ``max-age`` has passed, not for an unknown key ID."""

    def __init__(self, url: str) -> None:
        self._url, self._until = url, 0.0
        self._keys = KeySet([])

    def __call__(self, token: str) -> None:
        if fast_clock() >= self._until:
            response = requests.get(f"{self._url}/jwks", timeout=PATIENCE)
            max_age = int(response.headers["cache-control"].rpartition("=")[2])
            self._keys = KeySet.import_key_set(response.json())
            self._until = fast_clock() + max_age
        jwt.decode(token, self._keys, algorithms=["ES256"])


class PyJwtVerifier:
    """PyJWT's client, which reads the keys again after ``max-age`` or for an unknown key ID."""

    def __init__(self, url: str) -> None:
        self._client = pyjwt.PyJWKClient(f"{url}/jwks", lifespan=300 / SPEED)

    def __call__(self, token: str) -> None:
        key = self._client.get_signing_key_from_jwt(token)
        options: Any = {"verify_aud": False, "verify_iat": False}
        pyjwt.decode(token, key, algorithms=["ES256"], options=options)


def is_valid(token: str, caller: Caller, verifiers: list[Callable[[str], None]]) -> bool:
    """Check a token everywhere; return False if it has expired because this machine is busy."""
    expiry = pyjwt.decode(token, options={"verify_signature": False})["exp"]
    try:
        for verify in verifiers:
            verify(token)
        assert caller.active(token)
    except Exception:
        if fast_clock() < expiry:
            raise
        return False
    return True


@pytest.mark.parametrize(
    ("where", "rotations"),
    [
        ("sqlite", 2),
        pytest.param("sqlite", 12, marks=pytest.mark.slow),
        pytest.param("postgresql", 12, marks=pytest.mark.slow),
    ],
)
def test_no_request_fails_while_keys_rotate(
    tmp_path: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
    rotations: int,
) -> None:
    # One second would be 20 minutes.
    monkeypatch.setattr("grantway_plugins.issuer._http.endpoints.jwks.CACHE_SECONDS", 0.0)
    database: Path | str = tmp_path / "issuer.sqlite3"
    if where == "postgresql":
        postgres: PostgresServer = request.getfixturevalue("postgres")
        postgres.sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        database = postgres.url
    settings = IssuerSettings(
        issuer="http://127.0.0.1:8400",
        registration="unrestricted",
        access_token_format="jwt",
        lifetimes=Lifetimes(access_token=300.0),
        keys=KeySettings(
            algorithms=("ES256",),
            rotation_interval=2 * PUBLICATION,
            publication=PUBLICATION,
            encryption_keys=(generate_key(),),
        ),
    )
    kids: set[str] = set()
    failures: list[str] = []

    def work(caller: Caller, verifiers: list[Callable[[str], None]]) -> None:
        deadline = time.monotonic() + PATIENCE
        try:
            while len(kids) <= rotations and not failures and time.monotonic() < deadline:
                made = caller.as_rfc("/token", grant_type=client_credentials.GRANT_TYPE)
                assert made.status_code == 200, made.text
                token = made.json()["access_token"]
                if is_valid(token, caller, verifiers):
                    kids.add(extract_compact(token.encode()).headers()["kid"])
        except Exception as error:  # noqa: BLE001 - reported below
            failures.append(repr(error))

    with (
        IssuerServer(settings, database=database, clock=fast_clock) as one,
        IssuerServer(settings, database=database, clock=fast_clock) as two,
        Caller(one.address) as first,
    ):
        first.register_rfc(grant_types=[client_credentials.GRANT_TYPE], redirect_uris=[])
        second = first.clone()
        second.url = two.address
        threads = []
        # Each verifier reads the keys of the other issuer.
        for caller, other in ((first, two), (second, one)):
            verifiers = [StrictVerifier(other.address), PyJwtVerifier(other.address)]
            threads.append(threading.Thread(target=work, args=(caller, verifiers)))
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        second.http.close()
    assert not failures
    assert len(kids) > rotations
