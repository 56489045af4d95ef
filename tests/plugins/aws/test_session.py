"""Logins of ``~/.aws/config`` against the embedded issuer."""

from __future__ import annotations

import hashlib
import json
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from grantway import Token
from grantway._exceptions import (
    AccessDeniedException,
    ConfigurationError,
    LoginNeededError,
    RequestInvalidError,
)
from grantway._transport.deadline import Deadline
from grantway._transport.http import HttpRequest
from grantway_grants import authorization_code
from grantway_grants.device_code import DeviceAuthorization
from grantway_plugins import aws
from grantway_plugins.aws import SsoSession
from grantway_plugins.aws._login.registration import RegistrationCache
from grantway_plugins.issuer import IssuerSettings, Lifetimes
from grantway_plugins.testing._live_issuer import LiveIssuer
from tests import faults
from tests.faults import FaultServer, free_port
from tests.waiting import PATIENCE

START_URL = "https://d-0000000000.awsapps.com/start"
CONFIG = f"""\
[sso-session dev]
sso_start_url = {START_URL}
sso_region = eu-west-1
sso_registration_scopes = sso:account:access

[profile older]
sso_start_url = {START_URL}
sso_region = eu-west-1
"""


@pytest.fixture
def grantway_issuer_settings() -> IssuerSettings:
    return IssuerSettings(lifetimes=Lifetimes(device_interval=0))


@pytest.fixture(autouse=True)
def environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, grantway_issuer: LiveIssuer
) -> None:
    (tmp_path / "config").write_text(CONFIG, encoding="utf-8")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_ENDPOINT_URL_SSO_OIDC", grantway_issuer.url)
    for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def session(cache: Path) -> Iterator[SsoSession]:
    with aws.sso_session("dev", folder=cache) as made:
        yield made


def log_in(session: SsoSession, issuer: LiveIssuer) -> Token:
    driver = issuer.browser_driver()

    def prompt(shown: DeviceAuthorization) -> None:
        driver.approve_device(shown.verification_uri, shown.user_code)

    return session.login_on_device(prompt)


def stored(session: SsoSession) -> Any:
    return session.store.read(session.store.path(session.key)).value


def change(session: SsoSession, **fields: str) -> None:
    path = session.store.path(session.key)
    path.write_text(json.dumps({**stored(session), **fields}), encoding="utf-8")


def timestamp_in(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))


def test_stores_and_refreshes_a_device_login(
    session: SsoSession, grantway_issuer: LiveIssuer
) -> None:
    login = log_in(session, grantway_issuer)
    first = stored(session)
    assert (first["startUrl"], first["region"]) == (START_URL, "eu-west-1")
    assert session.credential().token().access_token == login.access_token == first["accessToken"]

    change(session, expiresAt=timestamp_in(-1))
    refreshed = session.credential().token()
    second = stored(session)
    assert refreshed.access_token == second["accessToken"] != first["accessToken"]
    assert second["refreshToken"] != first["refreshToken"]
    assert second["clientId"] == first["clientId"]
    assert second["registrationExpiresAt"] == first["registrationExpiresAt"]
    assert refreshed.extra["clientId"] == first["clientId"]


def test_saves_the_whole_token_if_its_file_is_removed_during_a_refresh(
    session: SsoSession, grantway_issuer: LiveIssuer
) -> None:
    log_in(session, grantway_issuer)
    before = stored(session)
    change(session, expiresAt=timestamp_in(-1))
    path = session.store.path(session.key)
    # Between the response and the save.
    credential = session.credential()
    session.store.save = _removing_first(path, session.store.save)  # type: ignore[method-assign]
    credential.token()
    after = stored(session)
    assert after["accessToken"] != before["accessToken"]
    assert after["clientSecret"] == before["clientSecret"]


def _removing_first(path: Path, save: Callable[..., None]) -> Callable[..., None]:
    def removed(key: str, token: Token, *, fence: int = 0) -> None:
        if fence:
            path.unlink()
        save(key, token, fence=fence)

    return removed


def test_stores_and_refreshes_a_browser_login(
    session: SsoSession, grantway_issuer: LiveIssuer
) -> None:
    opened: list[str] = []
    driver = grantway_issuer.browser_driver()

    def open_browser(url: str) -> None:
        opened.append(url)
        driver.visit(driver.approve_authorization(url))

    login = session.login_with_browser(open_browser=open_browser)
    assert "scopes=sso%3Aaccount%3Aaccess" in opened[0]
    assert stored(session)["accessToken"] == login.access_token
    change(session, expiresAt=timestamp_in(-1))
    assert session.credential().token().access_token != login.access_token


def test_a_profile_without_a_session_is_stored_under_its_start_url(
    cache: Path, grantway_issuer: LiveIssuer
) -> None:
    with aws.sso_session(profile="older", folder=cache) as session:
        log_in(session, grantway_issuer)
        assert session.key == START_URL
        assert stored(session)["accessToken"]


def test_an_existing_credential_uses_the_next_login(
    session: SsoSession, cache: Path, grantway_issuer: LiveIssuer
) -> None:
    """Refresh each token with the registration that is stored with it."""
    log_in(session, grantway_issuer)
    credential = session.credential()
    before = credential.token()
    for path in cache.glob("*.json"):
        path.unlink()
    with aws.sso_session("dev", folder=cache) as another_process:
        log_in(another_process, grantway_issuer)
    assert stored(session)["clientId"] != before.extra["clientId"]
    credential.invalidate(before)
    credential.invalidate(after := credential.token())
    assert credential.token().access_token not in (before.access_token, after.access_token)


def test_reuses_the_registration_of_a_login_method(
    session: SsoSession, grantway_issuer: LiveIssuer
) -> None:
    log_in(session, grantway_issuer)
    first = stored(session)["clientId"]
    log_in(session, grantway_issuer)
    assert stored(session)["clientId"] == first
    registrations = RegistrationCache(session.store, session.config)
    assert registrations.load("device") is not None
    assert registrations.load("browser") is None
    fields = json.loads(registrations.path.read_text(encoding="utf-8"))
    assert sorted(fields) == ["clientId", "clientSecret", "expiresAt", "scopes"]
    assert fields["scopes"] == ["sso:account:access"]


def test_stores_the_registration_in_the_file_of_the_aws_cli(session: SsoSession) -> None:
    facts = (
        '{"region": "eu-west-1", "scopes": ["sso:account:access"], "session_name": "dev", '
        f'"startUrl": "{START_URL}", "tool": "botocore"}}'
    )
    path = RegistrationCache(session.store, session.config).path
    assert path.name == f"{hashlib.sha1(facts.encode()).hexdigest()}.json"


@pytest.mark.parametrize("left", [-1, 55])
def test_replaces_a_registration_that_has_expired_or_soon_will(
    session: SsoSession, grantway_issuer: LiveIssuer, left: int
) -> None:
    log_in(session, grantway_issuer)
    first = stored(session)["clientId"]
    path = RegistrationCache(session.store, session.config).path
    fields = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**fields, "expiresAt": timestamp_in(left)}), encoding="utf-8")
    log_in(session, grantway_issuer)
    assert stored(session)["clientId"] != first


@pytest.mark.parametrize("unknown", [b"{", b"[]", b'{"clientId": 1}', b"\xff", b'{"version": 2}'])
def test_keeps_and_reports_a_registration_in_an_unknown_format(
    session: SsoSession,
    grantway_issuer: LiveIssuer,
    unknown: bytes,
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = RegistrationCache(session.store, session.config).path
    path.parent.mkdir()
    path.write_bytes(unknown)
    assert log_in(session, grantway_issuer).access_token
    assert path.read_bytes() == unknown
    (warning,) = (each for each in caplog.records if each.levelname == "WARNING")
    assert f"{path}: not a client registration" in warning.getMessage()


@pytest.mark.parametrize("ends", ["", "soon"])
def test_replaces_a_registration_with_an_invalid_expiry(
    session: SsoSession, grantway_issuer: LiveIssuer, ends: str
) -> None:
    path = RegistrationCache(session.store, session.config).path
    path.parent.mkdir()
    path.write_text(f'{{"clientId": "a", "clientSecret": "b", "expiresAt": "{ends}"}}')
    assert log_in(session, grantway_issuer).access_token
    assert RegistrationCache(session.store, session.config).load("device") is not None


def test_replaces_an_empty_registration_file(
    session: SsoSession, grantway_issuer: LiveIssuer
) -> None:
    path = RegistrationCache(session.store, session.config).path
    path.parent.mkdir()
    path.touch()
    log_in(session, grantway_issuer)
    assert RegistrationCache(session.store, session.config).load("device") is not None


def test_replaces_a_registration_unknown_to_the_service(
    session: SsoSession, grantway_issuer: LiveIssuer
) -> None:
    log_in(session, grantway_issuer)
    path = RegistrationCache(session.store, session.config).path
    fields = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**fields, "clientId": "forgotten"}), encoding="utf-8")
    assert log_in(session, grantway_issuer).access_token


@pytest.mark.parametrize("forgotten", ["clientId", "clientSecret"])
def test_replaces_an_unknown_registration_before_opening_the_browser(
    session: SsoSession, grantway_issuer: LiveIssuer, forgotten: str
) -> None:
    """Otherwise the service shows an error page, and the login waits until its timeout."""
    driver = grantway_issuer.browser_driver()
    opened: list[str] = []

    def approve(url: str) -> None:
        opened.append(url)
        driver.visit(driver.approve_authorization(url))

    session.login_with_browser(open_browser=approve)
    path = RegistrationCache(session.store, session.config).path
    fields = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**fields, forgotten: "forgotten"}), encoding="utf-8")
    session.login_with_browser(open_browser=approve, timeout=PATIENCE)
    assert len(opened) == 2
    assert stored(session)["clientId"] not in ("forgotten", fields["clientId"])
    again = stored(session)["clientId"]
    session.login_with_browser(open_browser=approve, timeout=PATIENCE)
    assert stored(session)["clientId"] == again


def test_restarts_the_login_if_its_registration_becomes_unknown(
    session: SsoSession, grantway_issuer: LiveIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = grantway_issuer.browser_driver()
    opened: list[str] = []

    def approve(url: str) -> None:
        opened.append(url)
        driver.visit(driver.approve_authorization(url))

    session.login_with_browser(open_browser=approve)
    path = RegistrationCache(session.store, session.config).path
    fields = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**fields, "clientSecret": "forgotten"}), encoding="utf-8")
    monkeypatch.setattr(authorization_code, "check_registration", lambda *_args, **_options: None)
    session.login_with_browser(open_browser=approve, timeout=PATIENCE)
    assert len(opened) == 3
    assert stored(session)["clientId"] != fields["clientId"]


def test_listens_on_a_free_port_of_the_given_ones(
    session: SsoSession, grantway_issuer: LiveIssuer
) -> None:
    free = free_port()
    with socket.create_server(("127.0.0.1", 0)) as busy:
        taken = busy.getsockname()[1]
        shown: list[str] = []
        driver = grantway_issuer.browser_driver()
        session.login_with_browser(
            prompt=shown.append,
            open_browser=lambda url: driver.visit(driver.approve_authorization(url)),
            ports=[taken, free],
            timeout=PATIENCE,
        )
    assert f"redirect_uri=http%3A%2F%2F127.0.0.1%3A{free}%2Foauth%2Fcallback" in shown[0]


def test_without_a_login_the_error_says_how_to_log_in(session: SsoSession) -> None:
    advice = "(?m)aws sso login --sso-session dev, or grantway login --sso-session dev$"
    with pytest.raises(LoginNeededError, match=advice):
        session.credential().token()


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"registrationExpiresAt": "2020-01-02T03:04:05Z"}, "registration has expired"),
        ({"registrationExpiresAt": ""}, "no client registration is stored"),
        ({"clientSecret": "another"}, "rejects its client registration"),
        ({"refreshToken": "another"}, "can no longer be refreshed"),
    ],
)
def test_a_failed_refresh_says_why_and_how_to_log_in(
    session: SsoSession, grantway_issuer: LiveIssuer, fields: dict[str, str], why: str
) -> None:
    log_in(session, grantway_issuer)
    before = stored(session)
    change(session, expiresAt=timestamp_in(-60), **fields)
    with pytest.raises(LoginNeededError, match=why) as needed:
        session.credential().token()
    assert "aws sso login --sso-session dev" in needed.value.message
    assert before["clientSecret"] not in str(needed.value)
    log_in(session, grantway_issuer)
    assert session.credential().token().access_token


def test_logout_deletes_only_the_token(session: SsoSession, grantway_issuer: LiveIssuer) -> None:
    log_in(session, grantway_issuer)
    assert session.logout() is True
    assert stored(session) is None
    assert session.logout() is False
    assert RegistrationCache(session.store, session.config).load("device") is not None


def test_a_denied_login_fails_and_stores_nothing(
    session: SsoSession, grantway_issuer: LiveIssuer
) -> None:
    driver = grantway_issuer.browser_driver()
    with pytest.raises(AccessDeniedException):
        session.login_on_device(
            lambda shown: driver.deny_device(shown.verification_uri, shown.user_code)
        )
    assert stored(session) is None


def test_repr_shows_no_secret(session: SsoSession, grantway_issuer: LiveIssuer) -> None:
    log_in(session, grantway_issuer)
    fields = stored(session)
    registration = RegistrationCache(session.store, session.config).load("device")
    shown = f"{session!r} {session.store!r} {session.credential()!r} {registration!r}"
    for name in ("accessToken", "refreshToken", "clientSecret"):
        assert fields[name] not in shown


def test_rejects_an_insecure_endpoint(tmp_path: Path) -> None:
    with pytest.raises(RequestInvalidError, match="http"):
        aws.sso_session("dev", endpoint_url="http://192.0.2.1")


@pytest.mark.parametrize("source", ["AWS_CA_BUNDLE", "ca_bundle of the AWS profile"])
def test_trusts_the_certificates_of_the_aws_settings(
    source: str, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def trust(path: str) -> None:
        monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)
        if source == "AWS_CA_BUNDLE":
            monkeypatch.setenv(source, path)
        else:
            (tmp_path / "config").write_text(f"{CONFIG}\n[default]\nca_bundle = {path}\n")

    trust("/nowhere.pem")
    with pytest.raises(ConfigurationError, match=f"^{source}: /nowhere.pem cannot be used"):
        aws.sso_session("dev", folder=cache)
    context, trusted = faults.certificate(tmp_path)
    trust(trusted)
    with (
        FaultServer(faults.respond(), tls=context) as server,
        aws.sso_session("dev", folder=cache, endpoint_url=server.url) as session,
    ):
        request = HttpRequest("GET", server.url, {})
        assert session._transport.send(request, Deadline(PATIENCE)).status == 200
