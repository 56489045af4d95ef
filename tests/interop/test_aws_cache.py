"""Tests of a login in ``~/.aws/sso/cache`` shared by boto3, the JavaScript SDK and grantway."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from botocore.utils import JSONFileCache, SSOTokenLoader, parse_timestamp

from grantway_plugins.aws._cache.times import read_time, write_time
from grantway_plugins.aws._config.sso_config import read_config
from grantway_plugins.aws._login.session import SsoSession
from grantway_plugins.issuer._browser_driver import BrowserDriver
from tests.interop.aws_cache_reader import PROFILE, reader
from tests.interop.gate import Gate
from tests.interop.grantway_serve import grantway_serve
from tests.interop.program import Program

pytestmark = pytest.mark.slow

CONFIG = f"""\
[sso-session work]
sso_start_url = https://d-0000000000.awsapps.com/start
sso_region = us-east-1
sso_registration_scopes = sso:account:access

[profile {PROFILE}]
sso_session = work
region = us-east-1

[profile older]
sso_start_url = https://d-0000000000.awsapps.com/start
sso_region = us-east-1
"""
KINDS = ("botocore", "javascript", "grantway")
ROUNDS = 10


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    """An issuer with a reuse window for refresh tokens, which AWS's clients need."""
    with grantway_serve("--device-interval-seconds", "0") as url:
        yield url


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "config").write_text(CONFIG, encoding="utf-8")
    return tmp_path


@pytest.fixture
def login(home: Path, issuer: str) -> Iterator[SsoSession]:
    """A user's login with grantway."""
    config = read_config("work", path=home / ".aws" / "config")
    cache = home / ".aws" / "sso" / "cache"
    with (
        SsoSession(config, folder=cache, endpoint_url=issuer) as session,
        BrowserDriver() as driver,
    ):
        session.login_on_device(
            lambda shown: driver.approve_device(shown.verification_uri, shown.user_code)
        )
        yield session


def fields(login: SsoSession) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(login.store.path(login.key).read_text(encoding="utf-8"))
    return found


def expire_token(login: SsoSession) -> dict[str, Any]:
    """Change the token's expiry in the file to a minute ago, and return the previous fields."""
    there = fields(login)
    ended = {**there, "expiresAt": write_time(time.time() - 60)}
    login.store.path(login.key).write_text(json.dumps(ended), encoding="utf-8")
    return there


def token_from(program: Program) -> str:
    response = program.read_json()
    assert response["ok"], response
    return str(response["token"])


@pytest.mark.parametrize("kind", KINDS)
def test_every_client_reads_the_file_that_grantway_wrote(
    kind: str, home: Path, issuer: str, login: SsoSession
) -> None:
    with reader(kind, home, issuer) as program:
        program.write_json({})
        assert token_from(program) == fields(login)["accessToken"]


def test_botocore_reads_the_file_of_a_legacy_profile(home: Path, issuer: str) -> None:
    config = read_config(profile="older", path=home / ".aws" / "config")
    cache = home / ".aws" / "sso" / "cache"
    with (
        SsoSession(config, folder=cache, endpoint_url=issuer) as session,
        BrowserDriver() as driver,
    ):
        token = session.login_on_device(
            lambda shown: driver.approve_device(shown.verification_uri, shown.user_code)
        )
    found = SSOTokenLoader(JSONFileCache(str(cache)))(config.start_url)
    assert found["accessToken"] == token.access_token
    assert parse_timestamp(found["expiresAt"]).timestamp() > time.time()


@pytest.mark.parametrize("last", KINDS)
@pytest.mark.parametrize("first", KINDS)
def test_every_client_refreshes_a_token_refreshed_by_another(
    first: str, last: str, home: Path, issuer: str, login: SsoSession
) -> None:
    for kind in (first, last):
        before = expire_token(login)
        with reader(kind, home, issuer) as program:
            program.write_json({})
            token = token_from(program)
        after = fields(login)
        assert after["accessToken"] == token != before["accessToken"]
        assert after["refreshToken"] != before["refreshToken"]
        assert (read_time(after["expiresAt"]) or 0) > time.time() + 3000
        for name in ("clientId", "clientSecret", "registrationExpiresAt", "startUrl", "region"):
            assert after[name] == before[name]
    # grantway reads the last client's file as a fresh token.
    assert login.credential().token().access_token == fields(login)["accessToken"]


@pytest.mark.parametrize("theirs", [["botocore", "botocore"], ["javascript"]], ids="+".join)
def test_all_clients_refresh_at_once_without_errors(
    theirs: list[str], home: Path, issuer: str, login: SsoSession
) -> None:
    """All clients read the same refresh token before the first response arrives."""
    kinds = [*theirs, "grantway", "grantway"]
    with Gate(issuer) as gate:
        for _ in range(ROUNDS):
            with ExitStack() as exits:
                programs = [exits.enter_context(reader(kind, home, gate.url)) for kind in kinds]
                before = expire_token(login)
                # grantway's processes together send one request.
                gate.expect(len(theirs) + 1)
                for program in programs:
                    program.write_json({})
                tokens = [token_from(program) for program in programs]
            after = fields(login)
            assert before["accessToken"] not in tokens
            assert after["accessToken"] in tokens
            assert len(set(tokens)) <= len(theirs) + 1
        gate.open()
        for kind in KINDS:
            expire_token(login)
            with reader(kind, home, gate.url) as program:
                program.write_json({})
                assert token_from(program) == fields(login)["accessToken"]
